package h2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gopura/exchange"
)

// wire is a client that sends whatever frames a test wants.
type wire struct {
	t    testing.TB
	conn net.Conn
	*http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
}

func dial(t testing.TB, f *front, settings ...http2.Setting) *wire {
	t.Helper()
	c, err := net.Dial("tcp", f.plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return greet(t, c, settings...)
}

// greet begins a connection as HTTP/2 wants it.
func greet(t testing.TB, c net.Conn, settings ...http2.Setting) *wire {
	io.WriteString(c, http2.ClientPreface)
	w := newWire(t, c)
	w.WriteSettings(settings...)
	w.WriteSettingsAck()
	return w
}

func newWire(t testing.TB, c net.Conn) *wire {
	w := &wire{t: t, conn: c, Framer: http2.NewFramer(c, c)}
	w.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.AllowIllegalWrites = true
	w.enc = hpack.NewEncoder(&w.block)
	return w
}

// encode returns the header block of "name: value" lines. Pseudo-headers that
// the lines do not mention get ordinary values; a line "-:path" leaves it out.
func (w *wire) encode(lines ...string) []byte {
	w.block.Reset()
	fields := []string{":method: GET", ":scheme: http", ":authority: a.test", ":path: /"}
	for _, l := range lines {
		for i, f := range fields {
			name, _, _ := strings.Cut(f[1:], ":")
			if strings.HasPrefix(l, ":"+name+":") || l == "-:"+name {
				fields = append(fields[:i:i], fields[i+1:]...)
				break
			}
		}
	}
	for _, l := range append(fields, lines...) {
		if l[0] == '-' {
			continue
		}
		i := strings.Index(l[1:], ": ") + 1
		w.enc.WriteField(hpack.HeaderField{Name: l[:i], Value: l[i+2:]})
	}
	return w.block.Bytes()
}

func (w *wire) headers(id uint32, end bool, lines ...string) {
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: w.encode(lines...), EndHeaders: true, EndStream: end})
}

// outcome reads until stream id has ended: "200 body", "RST code", "GOAWAY
// code" or "closed".
func (w *wire) outcome(id uint32) string {
	w.t.Helper()
	status, body := "", ""
	for {
		f, err := w.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := f.(type) {
		case *http2.PingFrame:
			if !f.IsAck() {
				w.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return "GOAWAY " + f.ErrCode.String()
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "RST " + f.ErrCode.String()
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				if s := f.PseudoValue("status"); s != "" {
					status = s
				}
				if f.StreamEnded() {
					return strings.TrimSpace(status + " " + body)
				}
			}
		case *http2.DataFrame:
			if f.StreamID == id {
				body += string(f.Data())
				if f.StreamEnded() {
					return status + " " + strings.TrimSpace(body)
				}
			}
		}
	}
}

// Whatever is malformed never reaches the root, and the connection goes on
// serving others.
func TestMalformedRequests(t *testing.T) {
	const reset = "RST PROTOCOL_ERROR"
	var served atomic.Int32
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if _, err := exchange.ReadAll(x.Request.Body, 1<<20); err != nil {
			x.Response.Status, x.Response.Body = 200, &pieces{list: []any{err}, n: -1}
			return
		}
		served.Add(1)
		answer(x, 200, "served")
	})
	for _, c := range []struct {
		name  string
		lines []string
		data  string // with END_STREAM; none: HEADERS has it
		want  string
	}{
		// Names, values, connection-specific fields
		{name: "upper-case name", lines: []string{"X-Upper: 1"}, want: reset},
		{name: "name with a colon", lines: []string{"a:b: 1"}, want: reset},
		{name: "name with a space", lines: []string{"a b: 1"}, want: reset},
		{name: "name with a newline", lines: []string{"a\nb: 1"}, want: reset},
		{name: "empty name", lines: []string{": 1"}, want: reset},
		{name: "value with CR LF", lines: []string{"a: b\r\nx: y"}, want: reset},
		{name: "value with NUL", lines: []string{"a: b\x00"}, want: reset},
		{name: "connection", lines: []string{"connection: close"}, want: reset},
		{name: "transfer-encoding", lines: []string{"transfer-encoding: chunked"}, want: reset},
		{name: "keep-alive", lines: []string{"keep-alive: 1"}, want: reset},
		{name: "proxy-connection", lines: []string{"proxy-connection: 1"}, want: reset},
		{name: "upgrade", lines: []string{"upgrade: h2c"}, want: reset},
		{name: "te: gzip", lines: []string{"te: gzip"}, want: reset},
		{name: "te: trailers, gzip", lines: []string{"te: trailers, gzip"}, want: reset},
		{name: "content_length", lines: []string{"content_length: 5"}, want: "400 bad_header"},
		// Lengths
		{name: "length 0 with data", lines: []string{"content-length: 0"}, data: "x", want: reset},
		{name: "more data than announced", lines: []string{"content-length: 2"}, data: "abc", want: reset},
		{name: "less data than announced", lines: []string{"content-length: 4"}, data: "abc", want: reset},
		{name: "length without data", lines: []string{"content-length: 4"}, want: "400 bad_framing"},
		{name: "two lengths", lines: []string{"content-length: 3", "content-length: 4"}, data: "abc", want: "400 bad_framing"},
		{name: "two equal lengths", lines: []string{"content-length: 3", "content-length: 3"}, data: "abc", want: "400 bad_framing"},
		{name: "list of lengths", lines: []string{"content-length: 3, 3"}, want: "400 bad_framing"},
		{name: "signed length", lines: []string{"content-length: +3"}, want: "400 bad_framing"},
		{name: "no number", lines: []string{"content-length: three"}, want: "400 bad_framing"},
		{name: "empty length", lines: []string{"content-length: "}, want: "400 bad_framing"},
		// Pseudo-headers and targets
		{name: "empty path", lines: []string{":path: "}, want: reset},
		{name: "no path", lines: []string{"-:path"}, want: reset},
		{name: "no method", lines: []string{"-:method"}, want: reset},
		{name: "no scheme", lines: []string{"-:scheme"}, want: reset},
		{name: "scheme ftp", lines: []string{":scheme: ftp"}, want: reset},
		{name: "two paths", lines: []string{":path: /", ":path: /a"}, want: reset},
		{name: "two authorities", lines: []string{":authority: a", ":authority: b"}, want: reset},
		{name: "unknown pseudo-header", lines: []string{":foo: bar"}, want: reset},
		{name: "response pseudo-header", lines: []string{":status: 200"}, want: reset},
		{name: "late pseudo-header", lines: []string{"-:path", "a: b", ":path: /"}, want: reset},
		{name: "* with GET", lines: []string{":path: *"}, want: "400 bad_target"},
		{name: "absolute target", lines: []string{":path: http://b.test/"}, want: "400 bad_target"},
		{name: "no slash", lines: []string{":path: admin"}, want: "400 bad_target"},
		{name: "fragment", lines: []string{":path: /a#b"}, want: "400 bad_target"},
		{name: "space in the path", lines: []string{":path: /a b"}, want: "400 bad_target"},
		{name: "request line in the query", lines: []string{":path: /?a HTTP/1.1"}, want: "400 bad_target"},
		{name: "bytes beyond ASCII", lines: []string{":path: /?\xc3\xa4"}, want: "400 bad_target"},
		{name: "method with a space", lines: []string{":method: GET /x"}, want: "400 bad_request"},
		{name: "CONNECT", lines: []string{":method: CONNECT", "-:path", "-:scheme"}, want: "405 method_not_supported"},
		{name: "CONNECT with a path", lines: []string{":method: CONNECT"}, want: reset},
		{name: "extended CONNECT that has ended", lines: []string{":method: CONNECT", ":protocol: websocket"}, want: "400 bad_request"},
		{name: "protocol of another method", lines: []string{":protocol: websocket"}, want: reset},
		{name: "TRACE", lines: []string{":method: TRACE"}, want: "405 method_not_supported"},
		// Hosts
		{name: "no authority", lines: []string{"-:authority"}, want: "400 bad_host"},
		{name: "empty authority", lines: []string{":authority: "}, want: "400 bad_host"},
		{name: "userinfo", lines: []string{":authority: u@a.test"}, want: reset},
		{name: "bad authority", lines: []string{":authority: a,b"}, want: "400 bad_host"},
		{name: "bad port", lines: []string{":authority: a:b:c"}, want: "400 bad_host"},
		{name: "Host that differs", lines: []string{"host: b.test"}, want: "400 bad_host"},
		{name: "two Hosts", lines: []string{"-:authority", "host: a.test", "host: a.test"}, want: "400 bad_host"},
		// Limits
		{name: "long target", lines: []string{":path: /" + strings.Repeat("a", 8<<10)}, want: "414 target_too_long"},
		{name: "large head", lines: []string{"a: " + strings.Repeat("a", 32<<10)}, want: "431 header_too_large"},
		{name: "many fields", lines: strings.Split(strings.Repeat("a: b\n", 100)+"a: b", "\n"), want: "431 header_too_large"},
		{name: "large head in few bytes", lines: strings.Split(strings.Repeat("a: "+strings.Repeat("b", 1000)+"\n", 99)+"a: b", "\n"), want: "431 header_too_large"},
		{name: "unknown expectation", lines: []string{"expect: wonders"}, want: "417 expectation_failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := dial(t, f)
			before := served.Load()
			block := w.encode(c.lines...)
			first := block[:min(len(block), 16<<10)]
			rest := block[len(first):]
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(rest) == 0, EndStream: c.data == ""})
			for len(rest) > 0 {
				n := min(len(rest), 16<<10)
				w.WriteContinuation(1, n == len(rest), rest[:n])
				rest = rest[n:]
			}
			if c.data != "" {
				w.WriteData(1, true, []byte(c.data))
			}
			if got := w.outcome(1); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if n := served.Load() - before; n != 0 {
				t.Errorf("it was served %d times", n)
			}
			w.headers(3, true)
			if got := w.outcome(3); got != "200 served" {
				t.Errorf("the next stream: %q", got)
			}
		})
	}
}

// A value that could not be decoded within the limit ends the connection: HPACK
// has lost its state.
func TestGiantValue(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { t.Error("served") })
	w := dial(t, f)
	block := w.encode("a: " + strings.Repeat("a", 1<<20))
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:16<<10]})
	for block = block[16<<10:]; len(block) > 0; {
		n := min(len(block), 16<<10)
		if w.WriteContinuation(1, n == len(block), block[:n]) != nil {
			break
		}
		block = block[n:]
	}
	if out := w.outcome(1); out != "closed" && !strings.HasPrefix(out, "GOAWAY") {
		t.Error(out)
	}
}

func TestWellFormedRareRequests(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		answer(x, 200, fmt.Sprintf("%s %s %s %s", x.Request.Method, x.Request.Host, x.Request.Path, x.Request.Header.Get("cookie")))
	})
	for _, c := range []struct{ lines, want string }{
		{":method: OPTIONS|:path: *", "200 OPTIONS a.test *"},
		{"-:authority|host: b.test", "200 GET b.test /"},
		{"host: A.test", "200 GET a.test /"},
		{":authority: [::1]:80", "200 GET [::1] /"},
		{"cookie: a=1|cookie: b=2|cookie: c=3", "200 GET a.test / a=1; b=2; c=3"},
		{":method: get|:path: /?", "200 get a.test /"},
		{"content-length: 0", "200 GET a.test /"},
	} {
		w := dial(t, f)
		w.headers(1, true, strings.Split(c.lines, "|")...)
		if got := w.outcome(1); got != c.want {
			t.Errorf("%s: got %q, want %q", c.lines, got, c.want)
		}
	}
}

func TestMalformedTrailers(t *testing.T) {
	got := make(chan error, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		_, err := exchange.ReadAll(x.Request.Body, 100)
		got <- err
		answer(x, 200, "")
	})
	for name, trailers := range map[string]func(w *wire){
		"pseudo-header": func(w *wire) { w.headers(1, true, "a: b") },
		"no END_STREAM": func(w *wire) {
			w.headers(1, false, "-:method", "-:path", "-:scheme", "-:authority", "a: b")
		},
	} {
		w := dial(t, f)
		w.headers(1, false, ":method: POST")
		w.WriteData(1, false, []byte("abc"))
		trailers(w)
		if out := w.outcome(1); out != "RST PROTOCOL_ERROR" {
			t.Errorf("%s: %s", name, out)
		}
		if err := <-got; !exchange.ClientGone.Is(err) && !exchange.BadBody.Is(err) {
			t.Errorf("%s: the body ended with %v", name, err)
		}
	}
}

func TestBrokenRequestBody(t *testing.T) {
	got := make(chan error, 1)
	serving := make(chan struct{}, 1)
	f := start(t, Config{BodyTimeout: 100 * time.Millisecond}, func(x *exchange.Exchange) {
		serving <- struct{}{}
		_, err := exchange.ReadAll(x.Request.Body, 100)
		_, again := x.Request.Body.Next()
		if again != err {
			t.Error("the error does not stay")
		}
		got <- err
		answer(x, 400, "")
	})
	for _, c := range []struct {
		name string
		act  func(w *wire)
		want *exchange.Code
	}{
		{"ends early", func(w *wire) { w.WriteData(1, true, []byte("ab")) }, exchange.BadBody},
		{"reset", func(w *wire) { w.WriteRSTStream(1, http2.ErrCodeCancel) }, exchange.ClientGone},
		{"connection closed", func(w *wire) { w.conn.Close() }, exchange.ClientGone},
		{"nothing comes", func(w *wire) {}, exchange.RequestTimeout},
	} {
		w := dial(t, f)
		w.headers(1, false, ":method: POST", "content-length: 5")
		<-serving
		c.act(w)
		if err := <-got; !c.want.Is(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestBodyTimeoutRunsOnlyWhileTheClientIsWaitedFor(t *testing.T) {
	f := start(t, Config{BodyTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond}, func(x *exchange.Exchange) {
		for range 2 {
			x.Request.Body.Next()
			time.Sleep(100 * time.Millisecond) // a slow upstream
		}
		_, err := exchange.ReadAll(x.Request.Body, 100)
		answer(x, 200, fmt.Sprint(err))
	})
	w := dial(t, f)
	w.headers(1, false, ":method: POST", "content-length: 2")
	w.WriteData(1, false, []byte("a"))
	w.WriteData(1, true, []byte("b"))
	if out := w.outcome(1); out != "200 <nil>" {
		t.Error(out)
	}
}

// Floods end with the connection, and others don't notice.
func TestFloods(t *testing.T) {
	f := start(t, Config{WriteTimeout: time.Second}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/hold" {
			time.Sleep(100 * time.Millisecond)
		}
		answer(x, 200, "ok")
	})
	for name, flood := range map[string]func(w *wire) error{
		"rapid reset": func(w *wire) (err error) {
			for id := uint32(1); id < 40_000 && err == nil; id += 2 {
				w.headers(id, true, ":path: /hold")
				err = w.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			return err
		},
		"continuation": func(w *wire) (err error) {
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.encode(), EndStream: true})
			block := bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 3000)
			for i := 0; i < 1000 && err == nil; i++ {
				err = w.WriteContinuation(1, false, block)
			}
			return err
		},
		"pings whose answers are not read": func(w *wire) (err error) {
			w.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			ping := []byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}
			for i := 0; i < 1000 && err == nil; i++ {
				_, err = w.conn.Write(bytes.Repeat(ping, 1000))
			}
			return err
		},
		"oversized frame": func(w *wire) (err error) {
			w.headers(1, false, ":method: POST")
			for i := 0; i < 100 && err == nil; i++ {
				err = w.WriteData(1, false, make([]byte, 16<<10+1))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, f)
			if err := flood(w); err == nil {
				if out := w.outcome(0); out != "closed" && !strings.HasPrefix(out, "GOAWAY") {
					t.Errorf("the flood went through: %s", out)
				}
			}
			if _, body := send(t, f.client(t), "GET", "http://"+f.plain, nil, nil); body != "ok" {
				t.Error("others are not served")
			}
		})
	}
}

// What the client sent before it knew is finished, and so is what it sends until
// it has seen the first GOAWAY (RFC 9113 §6.8). What comes after the second is not
// begun, so that it can safely try that elsewhere.
func TestShutdownUnderLoad(t *testing.T) {
	const streams = 50
	finish := make(chan struct{})
	var served atomic.Int32
	var serving sync.WaitGroup
	serving.Add(streams + 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if served.Add(1) <= streams+1 {
			serving.Done()
		}
		<-finish
		answer(x, 200, "ok")
	})
	w := dial(t, f)
	for i := range uint32(streams) {
		w.headers(2*i+1, true)
	}
	var ping [8]byte
	goAway := func(what string, want uint32) {
		t.Helper()
		for {
			fr, err := w.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := fr.(*http2.PingFrame); ok {
				ping = p.Data
			}
			if g, ok := fr.(*http2.GoAwayFrame); ok {
				if g.LastStreamID != want || g.ErrCode != http2.ErrCodeNo {
					t.Fatalf("%s: GOAWAY %d %s, want %d", what, g.LastStreamID, g.ErrCode, want)
				}
				return
			}
		}
	}
	for served.Load() < streams {
		time.Sleep(time.Millisecond)
	}
	go f.close()
	goAway("the warning", 1<<31-1)
	crossing, late := uint32(2*streams+1), uint32(2*streams+3)
	w.headers(crossing, true)
	for ping == [8]byte{} {
		fr, err := w.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := fr.(*http2.PingFrame); ok {
			ping = p.Data
		}
	}
	w.WritePing(true, ping)
	goAway("the end", crossing)
	w.headers(late, true)
	serving.Wait()
	time.AfterFunc(50*time.Millisecond, func() { close(finish) })
	ended := 0
	for {
		fr, err := w.ReadFrame()
		if err != nil {
			break
		}
		if d, ok := fr.(*http2.DataFrame); ok && d.StreamEnded() {
			ended++
		}
	}
	if ended != streams+1 || served.Load() != streams+1 {
		t.Errorf("%d streams ended, %d were served", ended, served.Load())
	}
}
