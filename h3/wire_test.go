package h3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"gopura/exchange"
)

// wire is a client that can say anything.
type wire struct {
	t    testing.TB
	conn *quic.Conn
}

func dial(t testing.TB, f *front, c *quic.Config) *wire {
	t.Helper()
	conn, err := quic.DialAddr(t.Context(), f.address.String(), f.tls, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(codeNo, "") })
	return &wire{t, conn}
}

// uni opens a unidirectional stream and sends b on it.
func (w *wire) uni(b ...byte) *quic.SendStream {
	w.t.Helper()
	s, err := w.conn.OpenUniStreamSync(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	s.Write(b)
	return s
}

// closed waits for the end of the connection, and returns its code.
func (w *wire) closed() uint64 {
	w.t.Helper()
	select {
	case <-w.conn.Context().Done():
	case <-time.After(10 * time.Second):
		w.t.Fatal("the connection is still there")
	}
	var ae *quic.ApplicationError
	if !errors.As(context.Cause(w.conn.Context()), &ae) {
		return 0
	}
	return uint64(ae.ErrorCode)
}

func (w *wire) request(frames ...[]byte) *quic.Stream {
	w.t.Helper()
	s, err := w.conn.OpenStreamSync(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	s.Write(bytes.Join(frames, nil))
	return s
}

func frame(kind uint64, payload []byte) []byte {
	return append(appendFrame(nil, kind, uint64(len(payload))), payload...)
}

// fields codes a head: a GET, changed by the lines. "-name" leaves a field out.
func fields(lines ...string) []byte {
	type field struct{ name, value string }
	list := []field{{":method", "GET"}, {":scheme", "https"}, {":authority", "shop.test"}, {":path", "/"}}
next:
	for _, l := range lines {
		i := strings.Index(l[1:], ": ")
		if l[0] == '-' {
			for j := range list {
				if list[j].name == l[1:] {
					list = append(list[:j], list[j+1:]...)
					continue next
				}
			}
		}
		f := field{l[:i+1], l[i+3:]}
		if f.name[0] == ':' {
			for j := range list {
				if list[j].name == f.name {
					list[j] = f
					continue next
				}
			}
		}
		list = append(list, f)
	}
	var b bytes.Buffer
	enc := qpack.NewEncoder(&b)
	for _, f := range list {
		enc.WriteField(qpack.HeaderField{Name: f.name, Value: f.value})
	}
	return frame(frameHeaders, b.Bytes())
}

// outcome is what came of a request: its status, or the code of a reset.
func (w *wire) outcome(s *quic.Stream) string {
	w.t.Helper()
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	var r reader
	r.start(s, make([]byte, 4096))
	out := ""
	for {
		kind, length, err := r.frame()
		if err == io.EOF {
			return out
		}
		var se *quic.StreamError
		if errors.As(err, &se) {
			return fmt.Sprintf("%sreset %#x", out, uint64(se.ErrorCode))
		}
		if err != nil {
			return out + err.Error()
		}
		var p []byte
		for uint64(len(p)) < length {
			q, err := r.chunk(length - uint64(len(p)))
			if err != nil {
				return out + err.Error()
			}
			p = append(p, q...)
		}
		if kind == frameHeaders {
			f, err := qpack.NewDecoder().Decode(p)()
			if err != nil {
				w.t.Fatal(err)
			}
			out += f.Value + " "
		} else {
			out += string(p)
		}
	}
}

// What is refused, what is reset, and what the record says: as in h2.
func TestRefusals(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if _, err := exchange.ReadAll(x.Request.Body, 1000); err != nil {
			x.Err = exchange.AsError(err)
			answer(x, x.Err.Status, x.Err.Code)
			return
		}
		answer(x, 200, "fine")
	})
	w := dial(t, f, nil)
	long := strings.Repeat("a", 9000)
	data := frame(frameData, []byte("hello"))
	for _, c := range []struct {
		head         []byte
		rest         []byte
		want, record string
	}{
		{fields(), nil, "200 fine", "GET ok"},
		{fields("cookie: a=1", "cookie: b=2"), nil, "200 fine", ""},
		{fields(":method: CONNECT", "-:scheme", "-:path"), nil, "405 method_not_supported", "CONNECT method_not_supported"},
		{fields(":method: TRACE"), nil, "405 method_not_supported", "TRACE method_not_supported"},
		{fields(":path: /" + long), nil, "414 target_too_long", "GET target_too_long"},
		{fields(":path: nothing"), nil, "400 bad_target", "GET bad_target"},
		{fields(":path: /a b"), nil, "400 bad_target", ""},
		{fields("x: " + strings.Repeat("b", 33<<10)), nil, "431 header_too_large", "GET header_too_large"},
		{fields("x: " + strings.Repeat("b", 200<<10)), nil, "431 header_too_large", " header_too_large"},
		{fields(strings.Split(strings.Repeat("x: y,", 101)[:5*101-1], ",")...), nil, "431 header_too_large", ""},
		{fields("host: other.test"), nil, "400 bad_host", "GET bad_host"},
		{fields("-:authority", "host: shop.test"), nil, "200 fine", ""},
		{fields("-:authority"), nil, "400 bad_host", ""},
		{fields("content-length: x"), nil, "400 bad_framing", "GET bad_framing"},
		{fields("content-length: 5", "content-length: 5"), data, "400 bad_framing", ""},
		{fields("content-length: 5"), nil, "400 bad_framing|reset 0x10e", ""},
		{fields("content-length: 0"), data, "400 bad_framing", ""},
		{fields("content_length: 5"), nil, "400 bad_header", "GET bad_header"},
		{fields("expect: wonders"), nil, "417 expectation_failed", "GET expectation_failed"},
		{fields("connection: close"), nil, "reset 0x10e", "GET bad_header"},
		{fields("te: gzip"), nil, "reset 0x10e", ""},
		{fields("X-Upper: 1"), nil, "reset 0x10e", ""},
		{fields("x: a\x00b"), nil, "reset 0x10e", ""},
		{fields("-:path"), nil, "reset 0x10e", "GET bad_request"},
		{fields(":foo: bar"), nil, "reset 0x10e", ""},
		{fields(":status: 200"), nil, "reset 0x10e", ""},
		{fields("a: b", ":protocol: websocket"), nil, "reset 0x10e", ""},
		{fields(":authority: a@shop.test"), nil, "reset 0x10e", "GET bad_host"},
		{fields(":method: POST"), data, "200 fine", "POST ok"},
		{fields(":method: POST", "content-length: 4"), data, "reset 0x10e", "POST bad_body"},
		{fields(":method: POST", "content-length: 6"), data, "reset 0x10e", ""},
		{fields(":method: POST"), append(data, fields()...), "reset 0x10e", ""},
		{fields(":method: POST"), frame(0x21, []byte("grease")), "200 fine", ""},
		{nil, append(frame(0x21, []byte("grease")), fields()...), "200 fine", ""},
	} {
		s := w.request(c.head, c.rest)
		s.Close()
		if got := w.outcome(s); !slices.Contains(strings.Split(c.want, "|"), got) {
			t.Errorf("%.80q: %s, want %s", c.head, got, c.want)
		}
		if c.record != "" {
			f.recorded(c.record)
		}
	}
}

// Fields keep their order, and trailers need no announcement.
func TestOrderAndUnannouncedTrailers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		b, err := exchange.ReadAll(x.Request.Body, 100)
		s := ""
		for _, h := range x.Request.Header.Fields() {
			s += fmt.Sprintf("%s=%s ", h.Name, h.Value)
		}
		answer(x, 200, fmt.Sprintf("%s%s %v %s", s, b, err, x.Request.Body.Trailer().Get("x-sum")))
	})
	w := dial(t, f, nil)
	s := w.request(fields(":method: POST", "zeta: 1", "alpha: 2", "zeta: 3"), frame(frameData, []byte("ab")), frame(frameData, []byte("c")),
		fields("-:method", "-:path", "-:scheme", "-:authority", "x-sum: 6"))
	s.Close()
	if got := w.outcome(s); got != "200 zeta=1 alpha=2 zeta=3 abc <nil> 6" {
		t.Error(got)
	}
}

// What breaks the protocol ends the connection, with the code that says why.
func TestBreaches(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		exchange.ReadAll(x.Request.Body, 1000)
		answer(x, 200, "")
	})
	settings := func(b ...byte) []byte { return append([]byte{streamControl}, frame(frameSettings, b)...) }
	for _, c := range []struct {
		name string
		uni  []byte
		bidi []byte
		fin  bool
		want uint64
	}{
		{"a control stream without SETTINGS", append([]byte{streamControl}, frame(frameGoAway, []byte{0})...), nil, false, codeMissingSettings},
		{"SETTINGS twice", append(settings(), frame(frameSettings, nil)...), nil, false, codeFrameUnexpected},
		{"a setting twice", settings(6, 1, 6, 1), nil, false, codeSettings},
		{"a setting of HTTP/2", settings(2, 1), nil, false, codeSettings},
		{"half a setting", settings(6), nil, false, codeFrame},
		{"large SETTINGS", append([]byte{streamControl}, appendFrame(nil, frameSettings, 1<<20)...), nil, false, codeExcessiveLoad},
		{"DATA on the control stream", append(settings(), frame(frameData, nil)...), nil, false, codeFrameUnexpected},
		{"a frame of HTTP/2", append(settings(), frame(0x8, nil)...), nil, false, codeFrameUnexpected},
		{"CANCEL_PUSH", append(settings(), frame(frameCancelPush, []byte{0})...), nil, false, codeID},
		{"a MAX_PUSH_ID that shrinks", append(append(settings(), frame(frameMaxPushID, []byte{9})...), frame(frameMaxPushID, []byte{8})...), nil, false, codeID},
		{"the end of the control stream", settings(), nil, true, codeClosedCritical},
		{"a push stream", []byte{streamPush, 0}, nil, false, codeStreamCreation},
		{"an insertion into the table", []byte{streamEncoder, 0xc0, 0}, nil, false, codeEncoderStream},
		{"DATA before HEADERS", nil, frame(frameData, []byte("x")), true, codeFrameUnexpected},
		{"SETTINGS on a request", nil, append(fields(":method: POST"), frame(frameSettings, nil)...), true, codeFrameUnexpected},
		{"DATA behind trailers", nil, append(append(fields(":method: POST"), fields("-:method", "-:path", "-:scheme", "-:authority", "a: b")...), frame(frameData, []byte("x"))...), true, codeFrameUnexpected},
		{"a frame that is cut short", nil, append(fields(":method: POST"), appendFrame(nil, frameData, 100)...), true, codeFrame},
		{"a block that refers to the table", nil, frame(frameHeaders, []byte{0, 0, 0x80}), true, codeDecompression},
		{"a block that waits for the table", nil, frame(frameHeaders, []byte{1, 0, 0xc1}), true, codeDecompression},
	} {
		w := dial(t, f, nil)
		if c.uni != nil {
			if s := w.uni(c.uni...); c.fin {
				s.Close()
			}
		}
		if c.bidi != nil {
			if s := w.request(c.bidi); c.fin {
				s.Close()
			}
		}
		if got := w.closed(); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

// What nobody knows yet is skipped: frames, streams, settings (RFC 9114 §9).
func TestGrease(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "fine") })
	w := dial(t, f, nil)
	w.uni(append(append([]byte{streamControl}, frame(frameSettings, []byte{0x21, 7, 0x40, 0x5f, 7})...), frame(0x21, make([]byte, 5000))...)...)
	w.uni(0x21, 1, 2, 3).Close()
	w.uni(streamDecoder, 0x41)
	w.uni(streamEncoder, 0x20)
	s := w.request(frame(0x40, nil), fields())
	s.Close()
	if got := w.outcome(s); got != "200 fine" {
		t.Error(got)
	}
}

// A client that opens streams and resets them has the allowance of a connection,
// and never more than its streams at work (CVE-2023-44487).
func TestRapidReset(t *testing.T) {
	var serving, most atomic.Int64
	f := start(t, Config{MaxStreams: 10}, func(x *exchange.Exchange) {
		most.Store(max(most.Load(), serving.Add(1)))
		time.Sleep(2 * time.Millisecond)
		serving.Add(-1)
		answer(x, 200, "")
	})
	w := dial(t, f, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n := 0
	for ; ; n++ {
		s, err := w.conn.OpenStreamSync(ctx)
		if err != nil {
			break
		}
		s.Write(fields())
		s.CancelRead(codeRequestCancelled)
		s.CancelWrite(codeRequestCancelled)
	}
	if got := w.closed(); got != codeExcessiveLoad || most.Load() > 10 {
		t.Errorf("%d resets, closed with %#x, %d at a time", n, got, most.Load())
	}
}

func TestFloods(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		exchange.ReadAll(x.Request.Body, 1000)
		answer(x, 200, "")
	})
	flood := func(write func([]byte) (int, error), b []byte) {
		for range 100_000 {
			if _, err := write(b); err != nil {
				return
			}
		}
	}
	for name, begin := range map[string]func(w *wire){
		"empty DATA": func(w *wire) { flood(w.request(fields(":method: POST")).Write, frame(frameData, nil)) },
		"unknown frames": func(w *wire) {
			flood(w.request(fields(":method: POST")).Write, frame(0x21, nil))
		},
		"unknown frames before HEADERS": func(w *wire) { flood(w.request().Write, frame(0x21, nil)) },
		"control frames":                func(w *wire) { flood(w.uni(streamControl, frameSettings, 0).Write, frame(frameMaxPushID, []byte{9})) },
		"unknown streams": func(w *wire) {
			for range 10_000 {
				s, err := w.conn.OpenUniStreamSync(w.conn.Context())
				if err != nil {
					return
				}
				s.Write([]byte{0x21})
				s.Close()
			}
		},
	} {
		w := dial(t, f, nil)
		begin(w)
		if got := w.closed(); got != codeExcessiveLoad {
			t.Errorf("%s: %#x", name, got)
		}
	}
}

// A head that does not come to its end has as much time as over HTTP/1.1; so has
// the wait for the end of a request without a body.
func TestSlowHeads(t *testing.T) {
	f := start(t, Config{HeadTimeout: 200 * time.Millisecond}, func(x *exchange.Exchange) { answer(x, 200, "fine") })
	w := dial(t, f, nil)
	half := w.request(fields()[:9])
	whole := w.request(fields())
	nothing := w.request(nil)
	if got := w.outcome(half); got != "408 request_timeout" {
		t.Error(got)
	}
	if got := w.outcome(whole); got != "408 request_timeout" {
		t.Error(got)
	}
	nothing.Write([]byte{}) // it was never seen
	f.recorded("GET request_timeout")
}

func TestSlowBody(t *testing.T) {
	f := start(t, Config{BodyTimeout: 200 * time.Millisecond}, func(x *exchange.Exchange) {
		_, err := exchange.ReadAll(x.Request.Body, 1000)
		x.Err = exchange.AsError(err)
		answer(x, x.Err.Status, x.Err.Code)
	})
	w := dial(t, f, nil)
	s := w.request(fields(":method: POST"), appendFrame(nil, frameData, 10), []byte("abc"))
	if got := w.outcome(s); got != "408 request_timeout" {
		t.Error(got)
	}
}

// A client that takes nothing holds its windows, and not for ever.
func TestSlowReader(t *testing.T) {
	var pulled atomic.Int64
	f := start(t, Config{WriteTimeout: 300 * time.Millisecond}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &endless{&pulled}
	})
	w := dial(t, f, &quic.Config{InitialStreamReceiveWindow: 64 << 10, MaxStreamReceiveWindow: 64 << 10})
	s := w.request(fields())
	s.Close()
	f.recorded("GET client_gone")
	if n := pulled.Load(); n > 256<<10 {
		t.Errorf("%d bytes were pulled", n)
	}
}

// endless is a body that counts what was pulled of it.
type endless struct{ pulled *atomic.Int64 }

func (e *endless) Next() ([]byte, error) {
	e.pulled.Add(exchange.BufferSize)
	return make([]byte, exchange.BufferSize), nil
}
func (e *endless) Len() int64                { return -1 }
func (e *endless) Ready() bool               { return true }
func (e *endless) Trailer() *exchange.Header { return nil }
func (e *endless) Close() error              { return nil }

// What a connection may send without being read is its window.
func TestUploadIsBounded(t *testing.T) {
	release := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		<-release
		answer(x, 200, "")
	})
	defer close(release)
	w := dial(t, f, nil)
	var sent atomic.Int64
	for range 30 {
		s := w.request(fields(":method: POST"), appendFrame(nil, frameData, 1<<30))
		s.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		go func() {
			for {
				n, err := s.Write(make([]byte, 8<<10))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(500 * time.Millisecond)
	if n := sent.Load(); n > maxConnWindow+64<<10 {
		t.Errorf("%d bytes of a connection are held", n)
	}
}

// The last GOAWAY says which requests were not seen; those that come all the same
// are refused in a way that lets the client try again.
func TestGoAway(t *testing.T) {
	hold := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		<-hold
		answer(x, 200, "fine")
	})
	w := dial(t, f, nil)
	control, err := w.conn.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var r reader
	r.start(control, make([]byte, 256))
	r.varint()
	_, length, _ := r.frame()
	r.skip(length)
	first := w.request(fields())
	first.Close()
	eventually(t, "the request", func() bool {
		f.Server.mu.Lock()
		defer f.Server.mu.Unlock()
		for c := range f.conns {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.active == 1
		}
		return false
	})
	f.Drain()
	for _, want := range []uint64{1<<62 - 4, 4} {
		kind, _, err := r.frame()
		id, _ := r.varint()
		if kind != frameGoAway || id != want || err != nil {
			t.Errorf("frame %d, id %d, %v", kind, id, err)
		}
	}
	late := w.request(fields())
	late.Close()
	if got := w.outcome(late); got != fmt.Sprintf("reset %#x", codeRequestRejected) {
		t.Error(got)
	}
	close(hold)
	if got := w.outcome(first); got != "200 fine" {
		t.Error(got)
	}
	if got := w.closed(); got != codeNo {
		t.Errorf("%#x", got)
	}
}

// FuzzHead: whatever a block decodes to, it is refused or within the limits.
func FuzzHead(f *testing.F) {
	for _, lines := range [][]string{nil, {"a: b", "cookie: c"}, {"content-length: 5"}, {":path: *"}, {"te: trailers", "host: shop.test"}} {
		b := fields(lines...)
		f.Add(b[2:])
	}
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff})
	c := Config{MaxHead: 1 << 10, MaxFields: 10}.withDefaults()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b block
		var h exchange.Header
		if err := b.decode(raw, &h, &c); err != nil || b.flaw != nil {
			return
		}
		size := 0
		for _, f := range h.Fields() {
			size += len(f.Name) + len(f.Value)
			if !exchange.ValidName(f.Name) || !exchange.ValidValue(f.Value) {
				t.Errorf("%q: %q", f.Name, f.Value)
			}
		}
		if size > c.MaxHead || h.Len() > c.MaxFields {
			t.Errorf("%d bytes in %d fields", size, h.Len())
		}
	})
}

// FuzzControl: a control stream ends in an error of the protocol, and in no panic.
func FuzzControl(f *testing.F) {
	f.Add(frame(frameSettings, []byte{6, 1}))
	f.Add(append(frame(frameSettings, nil), frame(frameGoAway, []byte{4})...))
	f.Add(quicvarint.Append(nil, 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		conf := Config{}.withDefaults()
		c := &conn{conf: &conf}
		c.calm.init(time.Now())
		var r reader
		r.start(bytes.NewReader(b), make([]byte, 64))
		if err := c.controlStream(&r); err == nil {
			t.Error("it did not end")
		}
	})
}
