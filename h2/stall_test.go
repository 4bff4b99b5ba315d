package h2

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// endless is a body that counts what was pulled of it.
type endless struct {
	left   int64
	pulled *atomic.Int64
}

func (e *endless) Next() ([]byte, error) {
	if e.left == 0 {
		return nil, io.EOF
	}
	n := min(e.left, exchange.BufferSize)
	e.left -= n
	e.pulled.Add(n)
	return make([]byte, n), nil
}
func (e *endless) Len() int64                { return e.left }
func (e *endless) Ready() bool               { return true }
func (e *endless) Trailer() *exchange.Header { return nil }
func (e *endless) Close() error              { return nil }

// A client that opens no window holds at most 64 KiB a stream, and not for ever.
func TestClosedWindow(t *testing.T) {
	for name, size := range map[string]int64{"large bodies": 10 << 20, "small bodies": 100} {
		t.Run(name, func(t *testing.T) {
			const streams = 100
			var pulled, gone atomic.Int64
			var done sync.WaitGroup
			done.Add(streams)
			f := start(t, Config{WriteTimeout: 300 * time.Millisecond}, func(x *exchange.Exchange) {
				x.Response.Status, x.Response.Body = 200, &endless{size, &pulled}
				x.OnDone(func(x *exchange.Exchange) {
					if exchange.ClientGone.Is(x.Cancelled()) && x.Err != nil && x.Err.Code == "client_gone" {
						gone.Add(1)
					}
					done.Done()
				})
			})
			w := dial(t, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			begin := time.Now()
			for i := range uint32(streams) {
				w.headers(2*i+1, true)
			}
			reset := 0
			for reset < streams {
				fr, err := w.ReadFrame()
				if err != nil {
					t.Fatalf("after %d resets: %v", reset, err)
				}
				if _, ok := fr.(*http2.RSTStreamFrame); ok {
					if reset++; time.Since(begin) < 250*time.Millisecond {
						t.Error("reset too early")
					}
				}
			}
			done.Wait()
			if n := pulled.Load() / streams; n > 64<<10 {
				t.Errorf("%d bytes a stream were buffered", n)
			}
			if gone.Load() != streams {
				t.Errorf("%d of %d exchanges say that the client is gone", gone.Load(), streams)
			}
			done.Add(1)
			w.headers(1001, true, ":method: HEAD")
			if out := w.outcome(1001); out != "200" {
				t.Errorf("afterwards: %s", out)
			}
		})
	}
}

// A client that stops reading its socket loses the connection.
func TestSocketThatIsNotRead(t *testing.T) {
	gone := make(chan error, 1)
	f := start(t, Config{WriteTimeout: 200 * time.Millisecond}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &endless{1 << 30, new(atomic.Int64)}
		x.OnDone(func(x *exchange.Exchange) { gone <- x.Err })
	})
	w := dial(t, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	w.WriteWindowUpdate(0, 1<<30)
	w.headers(1, true)
	select {
	case err := <-gone:
		if !exchange.ClientGone.Is(err) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the exchange is still held")
	}
}

// A stream beyond the limit is refused, and the client may try it again.
func TestStreamLimit(t *testing.T) {
	const limit = 100
	finish, served := make(chan struct{}), make(chan struct{}, limit+1)
	f := start(t, Config{MaxStreams: limit}, func(x *exchange.Exchange) {
		served <- struct{}{}
		<-finish
		answer(x, 200, "ok")
	})
	w := dial(t, f)
	for i := range uint32(limit + 1) {
		w.headers(2*i+1, true)
	}
	if out := w.outcome(2*limit + 1); out != "RST REFUSED_STREAM" {
		t.Error(out)
	}
	for range limit {
		<-served
	}
	close(finish)
	if out := w.outcome(2*limit - 1); out != "200 ok" {
		t.Error(out)
	}
	if len(served) > 0 {
		t.Error("a stream beyond the limit was served")
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	f := start(t, Config{IdleTimeout: 50 * time.Millisecond}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	w := dial(t, f)
	w.headers(1, true)
	if out := w.outcome(1); out != "200 ok" {
		t.Error(out)
	}
	if out := w.outcome(3); out != "closed" {
		t.Error(out)
	}
}

// Exchanges are reused: one must not see another's, under cancellation either.
func TestPooledExchangesStayApart(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if x.Cancelled() != nil && x.Request.Header.Get("x-leave") == nil {
			t.Error("cancelled by another's client")
		}
		if x.Request.Header.Get("x-leave") != nil {
			<-x.Context().Done()
		}
		answer(x, 200, string(x.Request.Path))
	})
	c := f.client(t)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				path := fmt.Sprintf("/%d/%d", g, i)
				if i%3 == 0 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
					r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+f.plain+path, nil)
					r.Header.Set("X-Leave", "1")
					c.Do(r)
					cancel()
				} else if _, body := send(t, c, "GET", "http://"+f.plain+path, nil, nil); body != path {
					t.Errorf("%s got %s", path, body)
				}
			}
		})
	}
	wg.Wait()
}

func TestNoGoroutinePerWaitingStream(t *testing.T) {
	const streams = 50
	finish := make(chan struct{})
	var serving sync.WaitGroup
	serving.Add(streams)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		serving.Done()
		<-finish
		answer(x, 200, "")
	})
	w := dial(t, f)
	before := runtime.NumGoroutine()
	for i := range uint32(streams) {
		w.headers(2*i+1, true)
	}
	serving.Wait()
	// One handler goroutine each; a few belong to the connection.
	if n := runtime.NumGoroutine() - before; n > streams+10 {
		t.Errorf("%d goroutines for %d streams", n, streams)
	}
	close(finish)
	w.outcome(2*streams - 1)
}
