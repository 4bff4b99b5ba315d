package h2

import (
	"bytes"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// attack is what a client sends on one connection: once, and then again and again, with
// ids that rise by two. Frames are made before the clock runs, so that the CPU time is
// ours, but for the system calls of a client that writes much at a time.
type attack struct {
	name  string
	once  func(w *wire)
	again func(w *wire, id uint32)
	begun int64 // exchanges that may begin at the most; 0: any number
}

// attacks are floods of HTTP/2.
var attacks = []attack{
	{name: "rapid reset (CVE-2023-44487)", again: func(w *wire, id uint32) {
		w.headers(id, true)
		w.WriteRSTStream(id, http2.ErrCodeCancel)
	}, begun: 2000},
	{name: "made you reset: WINDOW_UPDATE of 0 (CVE-2025-8671)", again: func(w *wire, id uint32) {
		w.headers(id, true)
		w.WriteWindowUpdate(id, 0)
	}, begun: 2000},
	{name: "made you reset: window beyond 2^31", again: func(w *wire, id uint32) {
		w.headers(id, true)
		w.WriteWindowUpdate(id, 1<<31-1)
	}, begun: 2000},
	{name: "made you reset: DATA behind the end", again: func(w *wire, id uint32) {
		w.headers(id, true)
		w.WriteData(id, true, []byte("x"))
	}, begun: 2000},
	{name: "made you reset: HEADERS behind the end", again: func(w *wire, id uint32) {
		w.headers(id, true)
		w.headers(id, true, "-:method", "-:path", "-:scheme", "-:authority", "a: b")
	}, begun: 2000},
	{name: "made you reset: a stream that depends on itself", again: func(w *wire, id uint32) {
		w.headers(id, true)
		w.WritePriority(id, http2.PriorityParam{StreamDep: id})
	}, begun: 2000},
	{name: "made you reset: more DATA than announced", again: func(w *wire, id uint32) {
		w.headers(id, false, ":method: POST", "content-length: 1")
		w.WriteData(id, true, []byte("xy"))
	}, begun: 2000},
	{name: "made you reset: malformed heads", again: func(w *wire, id uint32) { w.headers(id, true, "connection: close") }, begun: 2000},
	{name: "RST_STREAM behind an upload", again: func(w *wire, id uint32) {
		w.headers(id, false, ":method: POST")
		w.WriteData(id, false, make([]byte, 100))
		w.WriteRSTStream(id, http2.ErrCodeCancel)
	}, begun: 2000},
	{name: "CONTINUATION without an end (CVE-2024-27316)", once: func(w *wire) {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.encode(), EndStream: true})
	}, again: func(w *wire, id uint32) {
		w.WriteContinuation(1, false, bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 3000))
	}, begun: 1},
	{name: "CONTINUATION of nothing", once: func(w *wire) {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.encode(), EndStream: true})
	}, again: func(w *wire, id uint32) { w.WriteContinuation(1, false, nil) }, begun: 1},
	{name: "HPACK bomb: a table entry, named 16,000 times a frame", once: func(w *wire) {
		w.headers(1, true, "a: "+string(bytes.Repeat([]byte{'b'}, 4000)))
	}, again: func(w *wire, id uint32) {
		const first = 0x80 | 62 // of the dynamic table
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Repeat([]byte{first}, 16000), EndStream: true, EndHeaders: true})
	}, begun: 2},
	{name: "PING", again: func(w *wire, id uint32) { w.WritePing(false, [8]byte{}) }},
	{name: "SETTINGS", again: func(w *wire, id uint32) { w.WriteSettings() }},
	{name: "SETTINGS that move all windows", again: func(w *wire, id uint32) {
		w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: id})
	}},
	{name: "empty DATA", once: func(w *wire) { w.headers(1, false, ":method: POST") }, again: func(w *wire, id uint32) { w.WriteData(1, false, nil) }},
	{name: "DATA of padding", once: func(w *wire) { w.headers(1, false, ":method: POST") }, again: func(w *wire, id uint32) { w.WriteDataPadded(1, false, nil, []byte{0}) }},
	{name: "PRIORITY", again: func(w *wire, id uint32) { w.WritePriority(id, http2.PriorityParam{StreamDep: id + 2, Weight: 255}) }},
	{name: "PRIORITY in circles", again: func(w *wire, id uint32) {
		w.WritePriority(1, http2.PriorityParam{StreamDep: 3, Exclusive: true})
		w.WritePriority(3, http2.PriorityParam{StreamDep: 1, Exclusive: true})
	}},
	{name: "WINDOW_UPDATE of 1", once: func(w *wire) { w.headers(1, false, ":method: POST") }, again: func(w *wire, id uint32) { w.WriteWindowUpdate(1, 1) }},
	{name: "frames that nobody knows", again: func(w *wire, id uint32) { w.WriteRawFrame(0x77, 0, 0, []byte("x")) }},
	{name: "huge trailers", once: func(w *wire) { w.headers(1, false, ":method: POST") }, again: func(w *wire, id uint32) {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 3000), EndStream: true})
		for range 20 {
			w.WriteContinuation(1, false, bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 3000))
		}
	}},
}

// TestAttacks: each attack loses its connection before it has cost much, and whoever else
// asks meanwhile is served. With -v it says what they cost: the figures of
// docs/security/abuse.md.
func TestAttacks(t *testing.T) {
	var begun atomic.Int64
	f := start(t, Config{}, func(x *exchange.Exchange) {
		begun.Add(1)
		if x.Request.Body != exchange.NoBody {
			exchange.ReadAll(x.Request.Body, 1<<20)
		}
		answer(x, 200, "ok")
	})
	others := f.client(t)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			stream := a.frames()
			c, err := net.Dial("tcp", f.plain)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			before, memory, cpu := begun.Load(), allocated(), cpuTime()
			ended := make(chan string, 1)
			go func() { ended <- floodOutcome(&wire{t: t, conn: c, Framer: http2.NewFramer(nil, c)}) }()
			sent := pour(c, stream)
			end := <-ended
			cpu = cpuTime() - cpu
			memory = allocated() - memory
			exchanges := begun.Load() - before
			if end != "closed" && !strings.HasPrefix(end, "GOAWAY ") {
				t.Errorf("%d bytes went through: %s", sent, end)
			}
			if a.begun > 0 && exchanges > a.begun {
				t.Errorf("%d exchanges have begun", exchanges)
			}
			if memory > 8<<20 && !raceEnabled {
				t.Errorf("%d bytes were allocated", memory)
			}
			if limit := time.Second; cpu > limit && !raceEnabled {
				t.Errorf("it took %s of CPU time", cpu)
			}
			if r, err := others.Get("http://" + f.plain); err != nil || r.StatusCode != http.StatusOK {
				t.Errorf("others are not served: %v", err)
			} else {
				r.Body.Close()
			}
			t.Logf("| %s | %d KiB | %d | %.1f ms | %d KiB |", a.name, sent>>10, exchanges, cpu.Seconds()*1000, memory>>10)
		})
	}
}

// frames are what the attack sends.
func (a attack) frames() []byte {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	w := newWire(nil, nil)
	w.Framer = http2.NewFramer(&b, nil)
	w.AllowIllegalWrites = true
	w.WriteSettings()
	if a.once != nil {
		a.once(w)
	}
	for id := uint32(3); b.Len() < 512<<10 && id < 40_000; id += 2 {
		a.again(w, id)
	}
	return b.Bytes()
}

// allocated is how much has been allocated so far: no less than what was held at once.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// pour writes until all is written, or the connection has ended.
func pour(c net.Conn, all []byte) (sent int) {
	for p := range slices.Chunk(all, 64<<10) {
		n, err := c.Write(p)
		sent += n
		if err != nil {
			break
		}
	}
	return sent
}

// What a client sends for a tunnel before it has been accepted is nobody's request body,
// reaches no target that refuses, and is read by no one as frames or requests.
func TestTunnelDataBeforeTheAnswer(t *testing.T) {
	refuse := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if x.Request.Upgrade == nil {
			answer(x, 200, "ok")
			return
		}
		<-refuse
		b, err := exchange.ReadAll(x.Request.Body, 1<<20)
		if len(b) > 0 || err != nil {
			t.Errorf("the tunnel's bytes are a request body: %q, %v", b, err)
		}
		answer(x, 403, "no")
	})
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: websocket")
	w.WriteData(1, false, []byte("GET /admin HTTP/1.1\r\nhost: a.test\r\n\r\n"))
	close(refuse)
	if out := w.outcome(1); out != "403 no" {
		t.Error(out)
	}
	w.WriteData(1, true, []byte("GET /admin HTTP/1.1\r\nhost: a.test\r\n\r\n"))
	w.headers(3, true)
	if out := w.outcome(3); out != "200 ok" {
		t.Errorf("the next stream: %s", out)
	}
}

// A client that opens its window byte by byte pays for it like any other flood.
func TestWindowByteByByte(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &endless{10 << 20, new(atomic.Int64)}
	})
	w := dial(t, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	w.headers(1, true)
	var sent atomic.Int64
	go func() {
		for w.WriteWindowUpdate(1, 1) == nil {
			sent.Add(1)
		}
	}()
	if out := floodOutcome(w); out != "closed" && out != "GOAWAY ENHANCE_YOUR_CALM" {
		t.Errorf("%d updates went through: %s", sent.Load(), out)
	}
}
