package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"weir/internal/message"
	"weir/internal/problem"
	"weir/internal/sample"
)

// Bounds of a stop. The process is to end within 30 s of SIGTERM; the
// workers' drain time, 20 s by default, is part of its config, and closing the
// drivers takes time too.
const (
	stopRequests = 4 * time.Second
	stopGateway  = 2 * time.Second
)

// Run serves until ctx ends, then drains: requests are finished, the life is
// closed, what the queues hold is committed. It returns nil after that.
func (a *App) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.HTTP.Address)
	if err != nil {
		return fmt.Errorf("http.address: %w; another weir may be running, or name another address with --http", err)
	}
	server := &http.Server{
		Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(a.tails.Stop) // they would not end by themselves
	server.RegisterOnShutdown(a.lender.Stop)
	failed := make(chan error, 3)
	go func() { failed <- server.Serve(listener) }()
	if a.config.HTTP.Admin != "" {
		stop, err := a.serveAdmin(ctx, failed)
		if err != nil {
			return errors.Join(err, server.Close())
		}
		defer stop()
	}
	a.logger.Info("listening", "address", listener.Addr().String(), "data", a.config.Data, "version", a.version)
	roles := a.startRoles()
	select {
	case <-ctx.Done():
		a.logger.Info("stopping: finishing requests, then committing what is buffered")
		err = nil
	case err = <-failed:
		a.logger.Error("HTTP ended; stopping", "error", err)
	}
	a.ready.Store(false)
	deadline, cancel := context.WithTimeout(context.Background(), stopRequests)
	defer cancel()
	if serr := server.Shutdown(deadline); serr != nil {
		err = errors.Join(err, server.Close())
	}
	roles.stop()
	a.logger.Info("stopped")
	return err
}

// roles is the goroutines of gateway, worker and housekeeping.
type roles struct {
	stopGateway, cancelGateway, cancelWorker func()
	gateway, others                          sync.WaitGroup
}

func (a *App) startRoles() *roles {
	r := &roles{}
	stop := make(chan struct{})
	r.stopGateway = sync.OnceFunc(func() { close(stop) })
	gatewayContext, cancelGateway := context.WithCancel(context.Background())
	workerContext, cancelWorker := context.WithCancel(context.Background())
	r.cancelGateway, r.cancelWorker = cancelGateway, cancelWorker
	opened := make(chan struct{})
	r.others.Go(func() {
		if err := a.workers.Run(workerContext); err != nil {
			a.logger.Error("workers ended", "error", err)
		}
	})
	r.gateway.Go(func() {
		if err := a.gateway.Run(gatewayContext, stop, func() { close(opened) }); err != nil {
			a.logger.Error("gateway ended before its queues took all", "error", err)
		}
	})
	r.others.Go(func() {
		if a.becomeReady(workerContext, opened) {
			a.runPipelines(workerContext)
		}
	})
	r.others.Go(func() { a.makeWeeks(workerContext) })
	r.others.Go(func() {
		if err := a.merger.Run(workerContext); err != nil {
			a.logger.Error("merging ended", "error", err)
		}
	})
	r.others.Go(func() { a.retention.Run(workerContext) })
	return r
}

// stop ends the gateway first, so that the worker drains its last messages.
func (r *roles) stop() {
	r.stopGateway()
	cut := time.AfterFunc(stopGateway, r.cancelGateway)
	r.gateway.Wait()
	cut.Stop()
	r.cancelGateway()
	r.cancelWorker()
	r.others.Wait()
}

// readyTime bounds how long readiness waits for messages that are not taken:
// such as are given back again and again, and will be buried.
const readyTime = 15 * time.Second

// becomeReady waits until the worker has taken the life's start message from
// each queue, and all that is older: everything that was ever acknowledged can
// be read from then on. No request is served before, so nothing else comes. It
// says false where ctx ended first.
func (a *App) becomeReady(ctx context.Context, opened <-chan struct{}) bool {
	select {
	case <-opened:
	case <-ctx.Done():
		return false
	}
	for queue := range a.queues.Queues() {
		if a.workers.WaitSeen(ctx, queue, message.ID{Life: a.life, Number: 0}) != nil {
			return false
		}
	}
	waiting, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := a.allTaken(waiting); err != nil && ctx.Err() == nil {
		a.logger.Warn("ready, but some messages of the queues can't be handled: see weir queue", "error", err)
	}
	if ctx.Err() != nil {
		return false
	}
	// No other process has this folder, and nothing is archived before.
	if err := a.letGo(ctx); err != nil && ctx.Err() == nil {
		a.logger.Warn("what was being archived before is held until that expires", "error", err)
	}
	a.ready.Store(true)
	a.logger.Info("ready", "after", time.Since(a.started).Round(time.Millisecond))
	return true
}

// allTaken waits until the heads hold every message that the queues do.
func (a *App) allTaken(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		held := map[int]int{}
		for _, h := range a.workers.Heads() {
			held[h.Queue] = h.Messages
		}
		left := uint64(0)
		for queue := range a.queues.Queues() {
			d, err := a.queues.Depth(ctx, queue)
			if err != nil {
				return err
			}
			if n := uint64(held[queue]); d.Messages > n {
				left += d.Messages - n
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%d messages are not taken: %w", left, ctx.Err())
		}
	}
}

// makeWeeks makes the current week and, a day ahead, the next one.
func (a *App) makeWeeks(ctx context.Context) {
	every := time.NewTicker(10 * time.Minute)
	defer every.Stop()
	for {
		for _, ahead := range []time.Duration{0, 24 * time.Hour} {
			if _, err := a.book.EnsureWeek(ctx, sample.WeekOf(time.Now().Add(ahead).UnixNano())); err != nil && ctx.Err() == nil {
				a.logger.Warn("week not made; trying again", "error", err)
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) handler() http.Handler {
	api := http.NewServeMux()
	a.gateway.Register(api)
	a.queries.Register(api)
	a.statements.Register(api)
	a.tails.Register(api)
	a.history.Register(api)
	a.pipelines.Register(api)
	a.lender.Register(api)
	a.erasures.Register(api, a.explain)
	a.registerAdmin(api)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			notReady(w)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", a.metrics())
	mux.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !a.ready.Load() {
			notReady(w)
			return
		}
		if _, pattern := api.Handler(r); pattern == "" {
			problem.Write(w, http.StatusNotFound, "No such path", fmt.Sprintf("%s %s is not served here; see docs/api.md", r.Method, r.URL.Path))
			return
		}
		api.ServeHTTP(w, r)
	})
	return mux
}

func notReady(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	problem.Write(w, http.StatusServiceUnavailable, "Not ready", "the instance is starting or stopping; send the request again")
}

// serveAdmin serves profiles on an address of their own.
func (a *App) serveAdmin(ctx context.Context, failed chan<- error) (func(), error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.HTTP.Admin)
	if err != nil {
		return nil, fmt.Errorf("http.admin: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}
