package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// faultKinds are the ways in which the frail service fails.
var faultKinds = []string{"slow", "resets", "refuses", "cuts answers short"}

// services are what stands behind the gateway: two targets that are well, and two that are frail.
type services struct {
	well, frail []*target
	broken      atomic.Value // string: how; "": not at all
	healed      atomic.Int64 // unix nanoseconds of the last time
}

// target is a server whose socket may be closed and opened again.
type target struct {
	address string
	mu      sync.Mutex
	server  *http.Server
	handler http.Handler
}

func serve() (*services, error) {
	s := &services{}
	s.broken.Store("")
	for range 2 {
		s.well = append(s.well, &target{address: "127.0.0.1:0", handler: http.HandlerFunc(answer)})
		s.frail = append(s.frail, &target{address: "127.0.0.1:0", handler: http.HandlerFunc(s.frailAnswer)})
	}
	for _, t := range append(s.well, s.frail...) {
		if err := t.open(); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *services) close() {
	for _, t := range append(s.well, s.frail...) {
		t.close()
	}
}

func (t *target) open() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		return nil
	}
	ln, err := net.Listen("tcp", t.address)
	if err != nil {
		return err
	}
	if strings.HasSuffix(t.address, ":0") { // the first time: from then on it is that, and others read it
		t.address = ln.Addr().String()
	}
	t.server = &http.Server{Handler: t.handler}
	go t.server.Serve(ln)
	return nil
}

func (t *target) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		t.server.Close()
		t.server = nil
	}
}

// break_ makes the frail service fail.
func (s *services) break_(kind string) {
	s.broken.Store(kind)
	if kind == "refuses" {
		for _, t := range s.frail {
			t.close()
		}
	}
}

func (s *services) heal() {
	for _, t := range s.frail {
		// Somebody may have the port as his own for a moment; if it is for longer, wrong answers tell.
		for end := time.Now().Add(patience); t.open() != nil && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	s.healed.Store(time.Now().UnixNano())
	s.broken.Store("")
}

// patience is how long the gateway waits for the frail service while faults are expected: enough for a
// machine that others use.
const patience = 8 * time.Second

// recovery is how long after a fault the gateway may still refuse: until the breaker has closed,
// targets are let in again, and answers that had been asked for are over.
const recovery = 2 * patience

// excuses reports whether a request that began then may have failed.
func (s *services) excuses(began time.Time) bool {
	return s.broken.Load() != "" || began.UnixNano() < s.healed.Load()+int64(recovery)
}

// frailAnswer is answer, as long as nothing is broken.
func (s *services) frailAnswer(w http.ResponseWriter, r *http.Request) {
	switch s.broken.Load() {
	case "slow":
		select {
		case <-time.After(2 * patience):
		case <-r.Context().Done():
			return
		}
	case "resets":
		reset(w)
		return
	case "cuts answers short":
		w.Header().Set("Content-Length", "100000")
		w.Write(bytes.Repeat([]byte("x"), 20000))
		w.(http.Flusher).Flush()
		reset(w)
		return
	}
	answer(w, r)
}

// reset breaks the connection off as a crash does.
func reset(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// answer says what it was asked for: the last part of the path is the tag of the request.
func answer(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	tag := parts[len(parts)-1]
	w.Header().Set("X-Tag", tag)
	switch parts[0] {
	case "socket":
		echoSocket(w, r)
	case "events":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range eventsEach {
			fmt.Fprintf(w, "data: %s %d\n\n", tag, i)
			w.(http.Flusher).Flush()
			if !pause(r.Context(), 100*time.Millisecond) {
				return
			}
		}
	case "part":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"tag":%q}`, tag)
	case "cached":
		w.Header().Set("Cache-Control", "max-age=1")
		io.WriteString(w, tag)
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		io.WriteString(w, tag+" ")
		w.Write(body)
	}
}

func echoSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}
