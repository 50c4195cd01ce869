package buffertest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Bench measures a driver: sends of several sizes, alone and many at once,
// receive with ack, and the way of one message from Send to Receive.
func Bench(b *testing.B, f Factory) {
	for _, size := range []int{1 << 10, 64 << 10, 256 << 10} {
		for _, senders := range []int{1, 8} {
			b.Run(fmt.Sprintf("Send/%dKiB/%dsenders", size>>10, senders), func(b *testing.B) {
				benchSend(b, f, size, senders)
			})
		}
		b.Run(fmt.Sprintf("ReceiveAck/%dKiB", size>>10), func(b *testing.B) { benchReceive(b, f, size) })
	}
	b.Run("SendToReceive/1KiB", func(b *testing.B) { benchLatency(b, f) })
}

func benchSend(b *testing.B, f Factory, size, senders int) {
	d := open(b, place(b, f), Options{})
	all := bodies(0, 1, size)
	b.SetBytes(int64(size))
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if errs := d.Send(b.Context(), 0, all); errs != nil {
					b.Errorf("send: %v", errors.Join(errs...))
					return
				}
			}
		})
	}
	group.Wait()
}

func benchReceive(b *testing.B, f Factory, size int) {
	d := open(b, place(b, f), Options{})
	for n := 0; n < b.N; n += 32 {
		send(b, d, 0, bodies(n, min(32, b.N-n), size)...)
	}
	b.SetBytes(int64(size))
	b.ResetTimer()
	for n := 0; n < b.N; {
		got, err := d.Receive(b.Context(), 0, 64)
		must(b, "receive", err)
		ack(b, got...)
		n += len(got)
	}
}

func benchLatency(b *testing.B, f Factory) {
	d := open(b, place(b, f), Options{})
	one := bodies(0, 1, 1<<10)
	var total time.Duration
	type arrival struct {
		at  time.Time
		err error
	}
	arrivals := make(chan arrival)
	for range b.N {
		go func() {
			got, err := d.Receive(b.Context(), 0, 1)
			at := time.Now()
			if err == nil {
				err = got[0].Ack(b.Context())
			}
			arrivals <- arrival{at, err}
		}()
		start := time.Now()
		if errs := d.Send(b.Context(), 0, one); errs != nil {
			b.Fatalf("send: %v", errors.Join(errs...))
		}
		a := <-arrivals
		must(b, "receive", a.err)
		total += a.at.Sub(start)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs-from-Send")
}
