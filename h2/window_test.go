package h2

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// parked is a body that keeps its stream open until the test ends.
type parked struct{ until chan struct{} }

func (p parked) Next() ([]byte, error)     { <-p.until; return exchange.NoBody.Next() }
func (p parked) Len() int64                { return -1 }
func (p parked) Trailer() *exchange.Header { return nil }
func (p parked) Close() error              { return nil }

// What nobody will read any more takes no share of the connection's window: neither of
// streams that are answered before their upload has ended, however long the answer is,
// nor of those that the client has reset. (DATA beyond the window would end the
// connection; this client sends what it may if all of it was given back.)
func TestWindowOfUploadsThatNobodyReads(t *testing.T) {
	until := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		switch string(x.Request.Path) {
		case "/park":
			for b := x.Request.Body.(exchange.Ready); !b.Ready(); {
				time.Sleep(100 * time.Microsecond)
			}
			x.Request.Body.Close()
			x.Response.Status, x.Response.Body = 200, parked{until}
		case "/hold":
			<-until
		case "/upload":
			b, err := exchange.ReadAll(x.Request.Body, 1<<20)
			if err != nil || len(b) != 64<<10 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			answer(x, 200, "read")
		default:
			answer(x, 200, "early")
		}
	})
	defer close(until)
	w := dial(t, f)
	id := uint32(1)
	upload := func(path string, end bool) uint32 {
		id += 2
		w.headers(id, false, ":method: POST", ":path: "+path)
		for i := range 4 {
			w.WriteData(id, end && i == 3, make([]byte, 16<<10))
		}
		return id
	}
	whole := func(when string) {
		t.Helper()
		if out := w.outcome(upload("/upload", true)); out != "200 read" {
			t.Fatalf("%s: %s", when, out)
		}
	}
	for range 1000 {
		if out := w.outcome(upload("/early", false)); !strings.HasPrefix(out, "200") {
			t.Fatal(out)
		}
	}
	whole("after 1000 early answers")
	for range 60 {
		upload("/park", false)
		w.await(t, http2.FrameHeaders)
	}
	whole("with 60 early answers that go on")
	for range 60 {
		w.WriteRSTStream(upload("/hold", false), http2.ErrCodeCancel)
	}
	whole("with 60 streams that the client has left")
}

// An error after the end was agreed on names no higher stream than that did (RFC 9113
// §6.8): the client has tried the others elsewhere.
func TestErrorAfterTheLastGoAway(t *testing.T) {
	until := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) { <-until; answer(x, 200, "ok") })
	defer close(until)
	w := dial(t, f)
	w.headers(1, true)
	goAway := func(want uint32, code http2.ErrCode) {
		t.Helper()
		if g := w.await(t, http2.FrameGoAway).(*http2.GoAwayFrame); g.LastStreamID != want || g.ErrCode != code {
			t.Errorf("GOAWAY %d %s, want %d %s", g.LastStreamID, g.ErrCode, want, code)
		}
	}
	w.WritePing(false, [8]byte{1})
	w.await(t, http2.FramePing) // the stream is known
	f.Drain()
	goAway(maxStreamID, http2.ErrCodeNo)
	w.WritePing(true, w.await(t, http2.FramePing).(*http2.PingFrame).Data)
	goAway(1, http2.ErrCodeNo)
	w.headers(3, true)
	w.headers(5, true)
	w.WriteWindowUpdate(99, 1)
	goAway(1, http2.ErrCodeProtocol)
}

// What a stream holds that waits: its goroutine, its exchange, and what it has received,
// which is never more than the connection's window for all of them.
func TestMemoryOfStreams(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	const conns, streams = 10, 100
	for _, c := range []struct {
		name  string
		data  int // bytes that each of them sends and nobody reads
		limit int64
	}{
		{"without a body", 0, 16 << 10},
		{"with a small message", 100, 16 << 10},
		{"with all that the connection may send", connWindow / streams, 40 << 10},
	} {
		until := make(chan struct{})
		var serving, served sync.WaitGroup
		f := start(t, Config{}, func(x *exchange.Exchange) {
			x.OnDone(func(*exchange.Exchange) { served.Done() })
			serving.Done()
			<-until
			answer(x, 200, "ok")
		})
		var all []*wire
		for range conns {
			all = append(all, dial(t, f))
		}
		runtime.GC() // pools forget
		before := heap()
		serving.Add(conns * streams)
		served.Add(conns * streams)
		for _, w := range all {
			for i := range uint32(streams) {
				w.headers(2*i+1, c.data == 0, ":method: POST")
				if c.data > 0 {
					w.WriteData(2*i+1, false, make([]byte, c.data))
				}
			}
			w.WritePing(false, [8]byte{1})
			w.await(t, http2.FramePing)
		}
		serving.Wait()
		per := (heap() - before) / (conns * streams)
		t.Logf("%s: %d bytes a stream", c.name, per)
		if per > c.limit {
			t.Errorf("%s: %d bytes a stream", c.name, per)
		}
		close(until)
		served.Wait()
	}
}
