package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// Fields keep the order and the case that they had on the wire, and trailers
// need no announcement.
func TestOrderAndUnannouncedTrailers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		b, err := exchange.ReadAll(x.Request.Body, 100)
		var s strings.Builder
		for _, h := range x.Request.Header.Fields() {
			fmt.Fprintf(&s, "%s=%s ", h.Name, h.Value)
		}
		answer(x, 200, fmt.Sprintf("%s%s %v %s", s.String(), b, err, x.Request.Body.Trailer().Get("x-sum")))
	})
	w := dial(t, f)
	w.headers(1, false, ":method: POST", "zeta: 1", "alpha: 2", "zeta: 3")
	w.WriteData(1, false, []byte("abc"))
	w.headers(1, true, "-:method", "-:path", "-:scheme", "-:authority", "x-sum: 6")
	if got := w.outcome(1); got != "200 zeta=1 alpha=2 zeta=3 abc <nil> 6" {
		t.Error(got)
	}
}

// What is refused and what is reset has a record with a code, all the same.
func TestRefusalsAreRecorded(t *testing.T) {
	records := make(chan string, 1)
	rec := recorder(func(x *exchange.Exchange) {
		code := ""
		if x.Err != nil {
			code = x.Err.Code
		}
		records <- fmt.Sprintf("%s %s", x.Request.Method, code)
	})
	s := New(Config{Root: rec})
	defer s.Close()
	a, b := net.Pipe()
	defer b.Close()
	s.ServeConn(a, &exchange.Client{})
	w := greet(t, b)
	go io.Copy(io.Discard, b)
	for i, c := range []struct{ line, want string }{
		{"connection: close", "GET bad_header"},
		{"X-Upper: 1", "GET bad_header"},
		{":foo: bar", "GET bad_request"},
		{":path: ", "GET bad_target"},
		{":method: TRACE", "TRACE method_not_supported"},
		{":path: /" + strings.Repeat("a", 9000), "GET target_too_long"},
	} {
		w.headers(uint32(2*i+1), true, c.line)
		if got := <-records; got != c.want {
			t.Errorf("%.20s: %s, want %s", c.line, got, c.want)
		}
	}
}

// recorder is a root that refuses everything, and looks at the end.
type recorder func(x *exchange.Exchange)

func (r recorder) Serve(x *exchange.Exchange) {
	x.OnDone(r)
	answer(x, 200, "")
}
func (r recorder) Refuse(x *exchange.Exchange, e *exchange.Error) {
	x.Err, x.Response.Status = e, e.Status
	x.OnDone(r)
}

// Frames that cost more than they bring end the connection, and soon.
func TestFloodsOfSmallFrames(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	for name, frame := range map[string]func(w *wire, i uint32) error{
		"settings":       func(w *wire, i uint32) error { return w.WriteSettings() },
		"pings":          func(w *wire, i uint32) error { return w.WritePing(false, [8]byte{}) },
		"empty data":     func(w *wire, i uint32) error { return w.WriteData(1, false, nil) },
		"priority":       func(w *wire, i uint32) error { return w.WritePriority(1, http2.PriorityParam{Weight: 1}) },
		"window updates": func(w *wire, i uint32) error { return w.WriteWindowUpdate(1, 1) },
		"unknown":        func(w *wire, i uint32) error { return w.WriteRawFrame(0x77, 0, 0, []byte("x")) },
		"resets of streams that are over": func(w *wire, i uint32) error {
			w.headers(2*i+3, true)
			return w.WriteRSTStream(2*i+3, http2.ErrCodeCancel)
		},
		"made you reset": func(w *wire, i uint32) error { // CVE-2025-8671
			w.headers(2*i+3, true)
			return w.WriteWindowUpdate(2*i+3, 0)
		},
		"acknowledgements": func(w *wire, i uint32) error { return w.WriteSettingsAck() },
		"malformed": func(w *wire, i uint32) error {
			w.headers(2*i+3, true, "Upper: 1")
			return w.WriteData(2*i+3, true, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, f)
			w.headers(1, false, ":method: POST")
			var sent atomic.Int32
			go func() {
				for i := uint32(0); i < 50_000 && frame(w, i) == nil; i++ {
					sent.Add(1)
				}
			}()
			if out := floodOutcome(w); out != "closed" && out != "GOAWAY ENHANCE_YOUR_CALM" {
				t.Errorf("%d frames went through: %s", sent.Load(), out)
			}
			w.conn.Close()
		})
	}
}

// floodOutcome reads until the connection ends. It answers nothing, because
// somebody else is writing.
func floodOutcome(w *wire) string {
	for {
		fr, err := w.ReadFrame()
		var se http2.StreamError
		if errors.As(err, &se) {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "still open"
		}
		if err != nil {
			return "closed"
		}
		if g, ok := fr.(*http2.GoAwayFrame); ok && g.ErrCode != http2.ErrCodeNo {
			return "GOAWAY " + g.ErrCode.String()
		}
	}
}

// A client that works may also do what would be a flood without that.
func TestBusyConnectionsMayCancel(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/wait" {
			<-x.Context().Done()
		}
		answer(x, 200, "ok")
	})
	w := dial(t, f)
	for i := range uint32(2000) {
		w.headers(4*i+1, true, ":path: /wait")
		w.WriteRSTStream(4*i+1, http2.ErrCodeCancel)
		w.headers(4*i+3, true)
		if out := w.outcome(4*i + 3); out != "200 ok" {
			t.Fatalf("after %d: %s", i, out)
		}
	}
}

// DATA beyond a window is refused; a body that nobody pulls takes one window, and
// what was dropped is given back to the connection.
func TestWindowsOfRequestBodies(t *testing.T) {
	finish := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/hold" {
			<-finish
		}
		answer(x, 200, "ok")
	})
	w := dial(t, f)
	piece := make([]byte, 16<<10)
	w.headers(1, false, ":method: POST", ":path: /hold")
	for range 5 {
		w.WriteData(1, false, piece)
	}
	if out := w.outcome(1); out != "RST FLOW_CONTROL_ERROR" {
		t.Error(out)
	}
	close(finish)
	// 64 KiB a stream that nobody reads, much more than the connection's window
	// in all.
	for i := range uint32(40) {
		id := 2*i + 3
		w.headers(id, false, ":method: POST")
		for range 4 {
			w.WriteData(id, false, piece)
		}
		if out := w.outcome(id); !strings.HasPrefix(out, "200") {
			t.Fatalf("%d: %s", i, out)
		}
	}
}

// The window that is given back is what was pulled: upload goes on as long as
// somebody reads.
func TestUploadFlowsAsItIsPulled(t *testing.T) {
	const size = 4 << 20
	f := start(t, Config{}, func(x *exchange.Exchange) {
		n := 0
		for {
			p, err := x.Request.Body.Next()
			if n += len(p); err != nil {
				answer(x, 200, fmt.Sprint(n, " ", err))
				return
			}
		}
	})
	_, got := send(t, f.client(t), "POST", "http://"+f.plain, bytes.NewReader(make([]byte, size)), nil)
	if got != fmt.Sprint(size, " EOF") {
		t.Error(got)
	}
}

// Many large responses over one connection advance together: none waits for the
// end of another.
func TestResponsesShareTheConnection(t *testing.T) {
	const streams, size = 8, 1 << 20
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &endless{size, new(atomic.Int64)}
	})
	w := dial(t, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	for i := range uint32(streams) {
		w.headers(2*i+1, true)
	}
	time.Sleep(50 * time.Millisecond) // the connection's window is used up, and all wait
	got := map[uint32]int{}
	for ended := 0; ended < streams; {
		fr, err := w.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := fr.(*http2.DataFrame); ok {
			got[d.StreamID] += len(d.Data())
			w.WriteWindowUpdate(0, uint32(len(d.Data())+1))
			if d.StreamEnded() {
				if ended++; ended == 1 {
					for id, n := range got {
						if n < size/4 {
							t.Errorf("stream %d has %d bytes when the first has all %d", id, n, size)
						}
					}
				}
			}
		}
	}
}

func TestClientThatSaysNothing(t *testing.T) {
	f := start(t, Config{HeadTimeout: 50 * time.Millisecond}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	for name, say := range map[string]func(w *wire, c net.Conn){
		"no preface":     func(w *wire, c net.Conn) {},
		"half a preface": func(w *wire, c net.Conn) { io.WriteString(c, http2.ClientPreface[:10]) },
		"no SETTINGS":    func(w *wire, c net.Conn) { io.WriteString(c, http2.ClientPreface) },
		"half a frame": func(w *wire, c net.Conn) {
			io.WriteString(c, http2.ClientPreface)
			w.WriteSettings()
			c.Write([]byte{0, 0})
		},
		"half a head": func(w *wire, c net.Conn) {
			io.WriteString(c, http2.ClientPreface)
			w.WriteSettings()
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.encode()})
		},
	} {
		c, err := net.Dial("tcp", f.plain)
		if err != nil {
			t.Fatal(err)
		}
		say(newWire(t, c), c)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: still open", name)
		}
		c.Close()
	}
}

// Drain ends the connections that are there; those that come later are served.
func TestDrain(t *testing.T) {
	finish := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/wait" {
			<-finish
		}
		answer(x, 200, "ok")
	})
	w := dial(t, f)
	w.headers(1, true, ":path: /wait")
	idle := dial(t, f)
	idle.headers(1, true)
	idle.outcome(1)
	f.Drain()
	if out := idle.outcome(99); out != "closed" {
		t.Error(out)
	}
	later := dial(t, f)
	later.headers(1, true)
	if out := later.outcome(1); out != "200 ok" {
		t.Error(out)
	}
	close(finish)
	if out := w.outcome(1); out != "200 ok" {
		t.Error(out)
	}
	if out := w.outcome(99); out != "closed" {
		t.Error(out)
	}
}

// An idle connection holds no buffer. (A TCP connection of its own costs the
// kernel more than what is measured here.)
func TestMemoryOfIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for connections to go cold")
	}
	const conns, most = 200, 16 << 10 // with what the pools hold, and the race detector
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	before := heap()
	var all []*wire
	for range conns {
		w := dial(t, f)
		w.headers(1, true)
		w.outcome(1)
		w.Framer, w.enc, w.ReadMetaHeaders = nil, nil, nil
		all = append(all, w)
	}
	per := int64(0)
	for end := time.Now().Add(10 * warmFor); time.Now().Before(end); time.Sleep(warmFor / 2) {
		if per = (heap() - before) / conns; per <= most {
			break
		}
	}
	t.Logf("%d bytes a connection", per)
	if per > most {
		t.Errorf("an idle connection holds %d bytes", per)
	}
	runtime.KeepAlive(all)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// A stream whose fields the client repeats costs an object of the frame reader,
// and the body that this test makes.
func TestAllocationsOfAStream(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, exchange.BytesBody(okBody)
		x.Response.Header.Add("Content-Type", "text/plain")
	})
	w := dial(t, f)
	w.headers(1, true, "user-agent: test", "x-request-id: 12345") // fills the table
	if out := w.outcome(1); out != "200 ok" {
		t.Fatal(out)
	}
	block := bytes.Clone(w.encode("user-agent: test", "x-request-id: 12345"))
	id, buf := uint32(1), make([]byte, 4096)
	one := func() {
		id += 2
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
		for ended := false; !ended; {
			n, err := w.conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			ended = bytes.HasSuffix(buf[:n], okBody)
		}
	}
	for range 200 {
		one()
	}
	if per := testing.AllocsPerRun(2000, one); per > 3 {
		t.Errorf("%.1f allocations a stream", per)
	} else {
		t.Logf("%.1f allocations a stream", per)
	}
}

var okBody = []byte("ok")
