//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// drainBody is what the slow answers hold, in pieces over some time.
var drainBody = strings.Repeat("gopura!\n", 4<<10)

// TestDrain stops the gateway under load. The rule: every request that was sent
// is answered whole, but for one that a client sends on a kept connection just
// when that is closed for being idle: no byte of an answer comes then, and the
// client tries again elsewhere. A new connection is refused, or answered; one
// that still waits in the system's queue when the socket is closed is reset by
// the system before anything is read of it. The process ends by itself, long
// before its grace is over.
func TestDrain(t *testing.T) {
	slow := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for piece := range 4 {
			n := len(drainBody) / 4
			io.WriteString(w, drainBody[piece*n:(piece+1)*n])
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go slow.Serve(ln)
	defer slow.Close()
	for _, test := range []struct {
		name    string
		clients int
		run     func(d *drained)
	}{
		{"kept connections", 16, (*drained).keptConnections},
		{"new connections", 4, (*drained).newConnections},
		{"HTTP2", 8, (*drained).streams},
	} {
		t.Run(test.name, func(t *testing.T) {
			web := freeport.Address(t)
			path := file(t, fmt.Sprintf("listen: %s\naccess_log: off\nshutdown: {grace: 30s}\nservices: {slow: \"http://%s\"}\nroutes:\n  - {match: /*, to: slow}\n", web, ln.Addr()))
			c := launch(t, "run", "-c", path)
			eventually(t, "in force", func() bool { return strings.Contains(c.stderr.String(), "in force") })
			d := &drained{t: t, web: web}
			var all sync.WaitGroup
			for range test.clients {
				all.Go(func() { test.run(d) })
			}
			time.Sleep(500 * time.Millisecond)
			c.Process.Signal(syscall.SIGTERM)
			begun := time.Now()
			code := c.exit(t)
			took := time.Since(begun)
			d.stop.Store(true)
			all.Wait()
			t.Logf("%d answers, %d idle closes, %d reset in the queue, exit after %v", d.answers.Load(), d.idle.Load(), d.queued.Load(), took)
			if code != 0 || took > 5*time.Second {
				t.Errorf("exit %d after %v\n%s", code, took, c.stderr)
			}
			if d.answers.Load() < 20 {
				t.Error("too little was answered to say anything")
			}
		})
	}
}

type drained struct {
	t    *testing.T
	web  string
	stop atomic.Bool

	answers, idle, queued, failures atomic.Int64
}

func (d *drained) fail(format string, args ...any) {
	if d.failures.Add(1) <= 5 {
		d.t.Errorf(format, args...)
	}
}

// check reads an answer whole.
func (d *drained) check(r *http.Response, err error) bool {
	if err != nil {
		d.fail("no answer: %v", err)
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != 200 || string(body) != drainBody {
		d.fail("%d with %d of %d bytes: %v", r.StatusCode, len(body), len(drainBody), err)
		return false
	}
	d.answers.Add(1)
	return true
}

const drainRequest = "GET /x HTTP/1.1\r\nHost: drain.test\r\n\r\n"

// keptConnections sends request after request over connections that are kept as
// long as the gateway says so.
func (d *drained) keptConnections() {
	for {
		nc, err := net.Dial("tcp", d.web)
		if err != nil {
			return // it accepts no more
		}
		br := bufio.NewReader(nc)
		for used := false; ; used = true {
			io.WriteString(nc, drainRequest)
			if _, err := br.Peek(1); err != nil && used {
				d.idle.Add(1)
				break
			}
			r, err := http.ReadResponse(br, nil)
			if !d.check(r, err) {
				nc.Close()
				return
			}
			if r.Close {
				break
			}
		}
		nc.Close()
	}
}

// newConnections sends each request over a connection of its own.
func (d *drained) newConnections() {
	for {
		nc, err := net.Dial("tcp", d.web)
		if err != nil {
			return
		}
		io.WriteString(nc, drainRequest)
		br := bufio.NewReader(nc)
		if _, err := br.Peek(1); errors.Is(err, syscall.ECONNRESET) {
			d.queued.Add(1)
			nc.Close()
			return
		}
		r, err := http.ReadResponse(br, nil)
		ok := d.check(r, err)
		nc.Close()
		if !ok {
			return
		}
	}
}

// streams sends requests over HTTP/2 connections; Go's client repeats those that
// GOAWAY says were not taken.
func (d *drained) streams() {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for !d.stop.Load() {
				q, _ := http.NewRequest("GET", "http://"+d.web+"/x", nil)
				r, err := transport.RoundTrip(q)
				if errors.Is(err, syscall.ECONNREFUSED) {
					return
				}
				if !d.check(r, err) {
					return
				}
			}
		})
	}
	all.Wait()
}
