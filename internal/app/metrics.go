package app

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/internal/store"
)

// metrics serves Weir's own metrics in Prometheus' text format.
func (a *App) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{a},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// collector reads the roles' own counts when it is asked.
type collector struct{ *App }

// Describe gives nothing: what is collected depends on the queues there are.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads all counts.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	g := c.gateway.Counts()
	counter, gauge := sender(out, prometheus.CounterValue), sender(out, prometheus.GaugeValue)
	counter("weir_gateway_requests_total", "Intake requests.", float64(g.Requests))
	counter("weir_gateway_refused_requests_total", "Intake requests answered with an error for all.", float64(g.Refused))
	counter("weir_gateway_samples_total", "Samples answered 204, or kept from a request with bad lines.", float64(g.Samples))
	counter("weir_gateway_rejected_total", "Lines or values refused in answers.", float64(g.Rejected))
	counter("weir_gateway_bytes_total", "Unpacked bytes of intake requests.", float64(g.Bytes))
	counter("weir_gateway_message_bytes_total", "Bytes of messages that the buffer has.", float64(g.Sent))
	gauge("weir_catalog_series", "Series that are registered.", float64(c.catalog.Len()))
	m := c.merger.Counts()
	counter("weir_merge_merges_total", "Merges of items that count.", float64(m.Merges))
	counter("weir_merge_void_total", "Merges that came too late to count.", float64(m.Void))
	counter("weir_merge_items_total", "Items that merges replaced.", float64(m.Items))
	counter("weir_merge_samples_total", "Samples that merges rewrote.", float64(m.Samples))
	counter("weir_merge_read_bytes_total", "Bytes of items that merges read.", float64(m.ReadBytes))
	counter("weir_merge_written_bytes_total", "Bytes of items that merges wrote.", float64(m.Written))
	counter("weir_merge_swept_items_total", "Replaced items that were removed.", float64(m.Swept))
	counter("weir_merge_orphans_total", "Items of crashed flushes and merges that were removed.", float64(m.Orphans))
	counter("weir_merge_unreadable_items_total", "Items that could not be read, and were left as they are.", float64(m.Unreadable))
	for _, f := range c.workers.Flushes() {
		class := f.Class.String()
		counter("weir_flush_commits_total", "Commits, each one put into a journal.", float64(f.Commits), "class", class)
		counter("weir_flush_items_total", "Items that flushes wrote.", float64(f.Items), "class", class)
		counter("weir_flush_bytes_total", "Bytes of items that flushes wrote.", float64(f.Bytes), "class", class)
		counter("weir_flush_samples_total", "Samples in items that flushes wrote.", float64(f.Samples), "class", class)
	}
	c.retention.Counts().Each(counter)
	ready := 0.0
	if c.ready.Load() {
		ready = 1
	}
	gauge("weir_ready", "Whether /readyz answers 200.", ready)
	c.workersState(gauge)
	for _, h := range c.workers.Heads() {
		queue := strconv.Itoa(h.Queue)
		gauge("weir_head_samples", "Samples that no commit names yet.", float64(h.Samples), "queue", queue)
		gauge("weir_head_messages", "Messages that no commit names yet.", float64(h.Messages), "queue", queue)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if inspector, ok := c.store.(store.Inspector); ok {
		if list, err := inspector.Damage(ctx); err == nil {
			gauge("weir_store_damaged", "Files and tables that were found damaged; weir doctor names them.", float64(len(list)))
		}
	}
	for queue := range c.queues.Queues() {
		d, err := c.queues.Depth(ctx, queue)
		if err != nil {
			continue // the scrape shows the queue missing
		}
		name := strconv.Itoa(queue)
		gauge("weir_queue_messages", "Messages that are not acked.", float64(d.Messages), "queue", name)
		gauge("weir_queue_bytes", "Bytes of messages that are not acked.", float64(d.Bytes), "queue", name)
		if !d.Oldest.IsZero() {
			gauge("weir_queue_oldest_seconds", "Age of the oldest message that is not acked.", time.Since(d.Oldest).Seconds(), "queue", name)
		}
	}
}

// workersState tells how many workers run, how many should, and why.
func (c *collector) workersState(gauge func(name, help string, value float64, labels ...string)) {
	s := c.workers.State()
	gauge("weir_workers_running", "Workers that run, those that drain and end included.", float64(s.Running))
	gauge("weir_workers_desired", "Workers that the autoscale policy wants, and its last verdict.", float64(s.Decision.Desired), "verdict", string(s.Decision.Verdict))
	gauge("weir_workers_needed", "Workers' worth of arrivals and backlog, before bounds and cool-downs.", s.Decision.Need)
	gauge("weir_worker_capacity", "Messages a second that one worker takes when busy; 0: not known yet.", s.Decision.Capacity)
	gauge("weir_worker_acceptable_backlog", "Messages a worker works off within the target latency.", s.Decision.Acceptable)
}

// sender gives what sends metrics of one kind; labels are names and values in
// turn.
func sender(out chan<- prometheus.Metric, kind prometheus.ValueType) func(name, help string, value float64, labels ...string) {
	return func(name, help string, value float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
	}
}
