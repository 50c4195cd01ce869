package bench

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"weir/internal/simulate"
)

// hostFields and hostEvery are TSBS's: ten fields a host, one line every 10 s.
const (
	hostFields = 10
	hostEvery  = 10 * time.Second
)

// load is what a fleet of hosts sends: requests, and what is in them.
type load struct {
	bodies     [][]byte
	values     int
	hosts      int
	start, end int64 // samples lie in [start, end), in ns; both are whole hours or samples' times
}

// fleet gives the configuration of so many hosts that send for so long.
func fleet(hosts int, length time.Duration) simulate.Config {
	c := simulate.Default()
	c.Count, c.For = hosts, length
	return c
}

// steps gives how long hosts send until they have sent so many values.
func steps(values, hosts int) time.Duration {
	return time.Duration(max(values/(hostFields*hosts), 1)) * hostEvery
}

// render makes all requests before the first is sent, so that making them
// costs nothing while a server is measured.
func render(b testing.TB, c simulate.Config) load {
	b.Helper()
	fleet, err := simulate.New("hosts", c)
	if err != nil {
		b.Fatal(err)
	}
	l := load{hosts: c.Count, start: c.Start, end: c.Start + int64(c.For)}
	for {
		batch, more := fleet.Next(nil, *lines)
		if !more {
			return l
		}
		l.bodies = append(l.bodies, batch.Body)
		l.values += batch.Samples
	}
}

// send sends the bodies in order over a few connections, and returns when all
// are answered 204.
func send(b testing.TB, url string, bodies [][]byte) {
	next := make(chan []byte)
	var all sync.WaitGroup
	for range *connections {
		all.Go(func() {
			for body := range next {
				for !post(b, url+"/write?precision=ns", body) {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	for _, body := range bodies {
		next <- body
	}
	close(next)
	all.Wait()
}

// post sends one request and says whether it is to be sent again: no.
func post(b testing.TB, url string, body []byte) bool {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return true
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Error(err)
		return true
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNoContent:
	case http.StatusServiceUnavailable:
		return false
	default:
		b.Errorf("%s answered %s", url, answer.Status)
	}
	return true
}
