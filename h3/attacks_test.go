package h3

import (
	"bytes"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gopura/exchange"
)

// TestAttacks: each attack loses its connection before it has cost much, and whoever else
// asks meanwhile is served. With -v it says what they cost: the figures of
// docs/security/abuse.md. CPU time is that of both sides.
func TestAttacks(t *testing.T) {
	var begun, sent atomic.Int64
	f := start(t, Config{}, func(x *exchange.Exchange) {
		begun.Add(1)
		if _, err := exchange.ReadAll(x.Request.Body, 1<<20); err != nil {
			x.Err = exchange.AsError(err)
		}
		answer(x, 200, "ok")
	})
	others := f.client()
	trailer := func(lines ...string) []byte {
		return fields(append([]string{"-:method", "-:path", "-:scheme", "-:authority"}, lines...)...)
	}
	post := fields(":method: POST")
	// A byte of QPACK may stand for a field of its table: 30,000 of them.
	bomb := frame(frameHeaders, append([]byte{0, 0}, bytes.Repeat([]byte{0xc0 | 55}, 30_000)...))
	for _, a := range []struct {
		name  string
		begun int64
		each  []byte // of a request
		times int    // at the most
		reset bool   // they are reset at once; else each is waited for
		stays bool   // the connection: there is an answer
	}{
		{name: "rapid reset", begun: 2000, each: fields(), times: 2000, reset: true},
		{name: "made you reset: malformed heads", each: fields("connection: close"), times: 2000},
		{name: "made you reset: more DATA than announced", begun: 2000, each: append(fields(":method: POST", "content-length: 1"), frame(frameData, []byte("xy"))...), times: 2000},
		{name: "made you reset: less DATA than announced", begun: 2000, each: append(fields(":method: POST", "content-length: 3"), frame(frameData, []byte("xy"))...), times: 2000},
		{name: "made you reset: huge trailers", begun: 2000, each: append(bytes.Clone(post), trailer("a: "+strings.Repeat("b", 40<<10))...), times: 2000},
		{name: "made you reset: pseudo-headers in trailers", begun: 2000, each: append(bytes.Clone(post), fields()...), times: 2000},
		{name: "empty DATA", begun: 1, each: append(bytes.Clone(post), bytes.Repeat(frame(frameData, nil), 5000)...), times: 2000},
		{name: "frames that nobody knows", begun: 1, each: append(bytes.Clone(post), bytes.Repeat(frame(0x21, nil), 5000)...), times: 2000},
		{name: "QPACK bomb", each: bomb, times: 100, stays: true},
	} {
		t.Run(a.name, func(t *testing.T) {
			w := dial(t, f, nil)
			before, memory, cpu := begun.Load(), allocated(), cpuTime()
			sent.Store(0)
			last := ""
			for range a.times {
				s, err := w.conn.OpenStreamSync(w.conn.Context())
				if err != nil {
					break
				}
				n, _ := s.Write(a.each)
				sent.Add(int64(n))
				if a.reset {
					s.CancelWrite(codeRequestCancelled)
					s.CancelRead(codeRequestCancelled)
					continue
				}
				s.Close()
				last = w.outcome(s)
			}
			cpu, memory = cpuTime()-cpu, allocated()-memory
			exchanges := begun.Load() - before
			if !a.stays { // what was sent may still be on its way
				select {
				case <-w.conn.Context().Done():
				case <-time.After(5 * time.Second):
				}
			}
			if over := w.conn.Context().Err() != nil; over == a.stays {
				t.Errorf("%d bytes were sent, it is over: %v, the last answer: %s", sent.Load(), over, last)
			}
			if exchanges > a.begun {
				t.Errorf("%d exchanges have begun", exchanges)
			}
			if r, err := others.Get("https://shop.test/"); err != nil || r.StatusCode != 200 {
				t.Errorf("others are not served: %v", err)
			} else {
				r.Body.Close()
			}
			t.Logf("| %s | %d KiB | %d | %.1f ms | %d KiB |", a.name, sent.Load()>>10, exchanges, cpu.Seconds()*1000, memory>>10)
		})
	}
}

func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
