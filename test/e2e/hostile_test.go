package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// sendRaw sends a body as it is, whatever its header says of it.
func sendRaw(t *testing.T, c *harness.Client, path, encoding string, body []byte) harness.Answer {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{Path: path, Body: body, Header: map[string]string{"Content-Encoding": encoding}})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func packed(t *testing.T, encoding string, body []byte) []byte {
	t.Helper()
	out, err := harness.Pack(encoding, body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Each bad request gets a clear error, and the service goes on.
func TestHostileBodies(t *testing.T) {
	flags := append(flushNever(), "--set", "gateway.body.packed=1048576", "--set", "gateway.body.unpacked=4194304")
	_, c := start(t, flags...)
	line := []byte("hostile value=1 1\n")
	bomb := bytes.Repeat([]byte("# a comment that says nothing at all\n"), 1<<20)
	for name, test := range map[string]struct {
		encoding string
		body     []byte
		status   int
	}{
		"gzip that is none":       {harness.Gzip, line, http.StatusBadRequest},
		"zstd that is none":       {harness.Zstd, line, http.StatusBadRequest},
		"gzip called zstd":        {harness.Zstd, packed(t, harness.Gzip, line), http.StatusBadRequest},
		"gzip cut short":          {harness.Gzip, packed(t, harness.Gzip, line)[:20], http.StatusBadRequest},
		"zstd cut short":          {harness.Zstd, packed(t, harness.Zstd, line)[:10], http.StatusBadRequest},
		"gzip that explodes":      {harness.Gzip, packed(t, harness.Gzip, bomb), http.StatusRequestEntityTooLarge},
		"zstd that explodes":      {harness.Zstd, packed(t, harness.Zstd, bomb), http.StatusRequestEntityTooLarge},
		"an unknown encoding":     {"br", line, http.StatusUnsupportedMediaType},
		"two encodings":           {"gzip, zstd", line, http.StatusUnsupportedMediaType},
		"gzip not named as such":  {harness.Identity, packed(t, harness.Gzip, line), http.StatusBadRequest},
		"binary":                  {harness.Identity, bytes.Repeat([]byte{0, 255, 10}, 1000), http.StatusBadRequest},
		"an oversized body":       {harness.Identity, bytes.Repeat(line, 1<<17), http.StatusRequestEntityTooLarge},
		"a line without an end":   {harness.Identity, bytes.Repeat([]byte("x"), 1<<20-1), http.StatusBadRequest},
		"a measurement too long":  {harness.Identity, []byte(strings.Repeat("m", 5000) + " value=1 1\n"), http.StatusBadRequest},
		"a tag twice":             {harness.Identity, []byte("hostile,a=1,a=2 value=1 1\n"), http.StatusBadRequest},
		"a tag that is not UTF-8": {harness.Identity, []byte("hostile,a=\xff value=1 1\n"), http.StatusBadRequest},
		"NaN":                     {harness.Identity, []byte("hostile value=NaN 1\n"), http.StatusBadRequest},
		"too many tags":           {harness.Identity, manyTags(200), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			answer := sendRaw(t, c, "/write", test.encoding, test.body)
			if answer.Status != test.status {
				t.Errorf("want %d, got %.500s", test.status, answer)
			}
			explained(t, answer)
			metric := strings.ReplaceAll(name, " ", "_")
			write(t, c, metric+"_after value=1 1\n")
			expect(t, c, metric+"_after", metric+"_after{} 1=1")
		})
	}
	expect(t, c, "hostile")
}

func manyTags(n int) []byte {
	body := []byte("hostile")
	for i := range n {
		body = fmt.Appendf(body, ",t%d=x", i)
	}
	return append(body, " value=1 1\n"...)
}

// A client that breaks off in the middle of a body is not half stored, and
// costs no one else anything.
func TestClientThatBreaksOff(t *testing.T) {
	server, c := start(t, flushNever()...)
	for range 20 {
		connection, err := net.Dial("tcp", server.Address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(connection, "POST /write HTTP/1.1\r\nHost: weir\r\nContent-Length: 1000\r\n\r\nbroken value=1 1\nbroken value=2 2\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(t, c, "whole value=1 1\n")
	expect(t, c, "whole", "whole{} 1=1")
	// Whether a half body is refused shows only once it was read.
	time.Sleep(100 * time.Millisecond)
	expect(t, c, "broken")
}

func TestUnknownPathsAndMethods(t *testing.T) {
	_, c := start(t, flushNever()...)
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/api/v1/nothing", http.StatusNotFound},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodDelete, "/api/v1/select", http.StatusMethodNotAllowed},
		{http.MethodGet, "/api/v1/weeks?x=1", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/ledger?start=x", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/ledger?start=5&end=4", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/ledger?from=5", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/queues/99/dead-letters", http.StatusBadRequest},
		{http.MethodPost, "/api/v1/queues/0/dead-letters/99/redrive", http.StatusNotFound},
	} {
		answer, err := c.Do(t.Context(), harness.Request{Method: test.method, Path: test.path})
		if err != nil || answer.Status != test.status {
			t.Errorf("%s %s: want %d, got %s, %v", test.method, test.path, test.status, answer, err)
			continue
		}
		explained(t, answer)
	}
}
