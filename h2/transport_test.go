package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gopura/exchange"
	"gopura/internal/freeport"
)

// origin is net/http's HTTP/2 server, in cleartext.
func origin(t testing.TB, serve http.HandlerFunc, maxStreams int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: serve, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams}}
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func transport(t testing.TB, c TransportConfig) *Transport {
	t.Helper()
	tr := NewTransport(c)
	t.Cleanup(func() {
		tr.Close()
		for range 200 { // readers end by themselves
			if open, _ := tr.Stats(); open == 0 {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		open, idle := tr.Stats()
		t.Errorf("after Close: %d connections, %d idle", open, idle)
	})
	return tr
}

func ask(method, path string, body exchange.Body, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Client: &exchange.Client{}, Start: time.Now()}
	x.Reset()
	x.Client = &exchange.Client{}
	x.Request.Method, x.Request.Path, x.Request.Authority = method, []byte(path), []byte("a.test")
	if body != nil {
		x.Request.Body = body
	}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Header.Add(fields[i], fields[i+1])
	}
	x.Arm()
	return x
}

// finish reads the response to its end, as a front end does.
func finish(x *exchange.Exchange) (body string, err error) {
	defer func() {
		x.Response.Body.Close()
		x.Done()
	}()
	var out strings.Builder
	for {
		p, err := x.Response.Body.Next()
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		out.Write(p)
	}
}

// lazily is a body whose pieces come when they are sent, and whose end is known
// at its end.
type lazily struct {
	pieces  chan []byte
	closed  chan struct{}
	once    sync.Once
	trailer *exchange.Header
}

func newLazily() *lazily { return &lazily{pieces: make(chan []byte), closed: make(chan struct{})} }

func (b *lazily) Next() ([]byte, error) {
	select {
	case p, ok := <-b.pieces:
		if !ok {
			return nil, io.EOF
		}
		return p, nil
	case <-b.closed:
		return nil, errors.New("closed")
	}
}
func (b *lazily) Len() int64                { return -1 }
func (b *lazily) Trailer() *exchange.Header { return b.trailer }
func (b *lazily) Close() error              { b.once.Do(func() { close(b.closed) }); return nil }

func TestTransportSendsAndReceives(t *testing.T) {
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Saw", fmt.Sprintf("%s %s %s %d %s", r.Method, r.Host, r.RequestURI, r.ContentLength, r.Header.Get("X-Mixed")))
		w.Header().Set("Trailer", "X-Sum")
		w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Mine"))
	}, 0)
	tr := transport(t, TransportConfig{Address: addr})
	x := ask("POST", "/a", exchange.BytesBody([]byte("hello")), "X-Mixed", "v")
	x.Request.Query = []byte("b=c")
	if err := tr.Serve(x); err != nil {
		t.Fatal(err)
	}
	if got := string(x.Response.Header.Get("x-saw")); got != "POST a.test /a?b=c 5 v" {
		t.Error(got)
	}
	if body, err := finish(x); body != "hello" || err != nil {
		t.Errorf("%q %v", body, err)
	}

	b := newLazily()
	b.trailer = new(exchange.Header)
	b.trailer.Add("X-Mine", "42")
	x = ask("POST", "/", b, "Trailer", "X-Mine")
	go func() {
		b.pieces <- []byte("one ")
		b.pieces <- []byte("two")
		close(b.pieces)
	}()
	if err := tr.Serve(x); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(exchange.Reader(x.Response.Body))
	if string(body) != "one two" || err != nil {
		t.Errorf("%q %v", body, err)
	}
	if tail := x.Response.Body.Trailer(); tail == nil || string(tail.Get("x-sum")) != "42" {
		t.Errorf("trailer %v", tail)
	}
	x.Done()
	if open, idle := tr.Stats(); open != 1 || idle != 1 {
		t.Errorf("%d connections, %d idle: one is enough", open, idle)
	}
}

// HEAD, 204 and 304 have no body, whatever length they state.
func TestTransportBodiless(t *testing.T) {
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "7")
		}
	}, 0)
	tr := transport(t, TransportConfig{Address: addr})
	for _, c := range []struct {
		method, path string
		status       int
		length       int64
	}{{"HEAD", "/", 200, 7}, {"GET", "/204", 204, 0}, {"GET", "/304", 304, -1}} {
		x := ask(c.method, c.path, nil)
		if err := tr.Serve(x); err != nil {
			t.Fatal(err)
		}
		if x.Response.Status != c.status || x.Response.Body.Len() != c.length {
			t.Errorf("%s %s: %d, length %d", c.method, c.path, x.Response.Status, x.Response.Body.Len())
		}
		if body, err := finish(x); body != "" || err != nil {
			t.Errorf("%s %s: %q %v", c.method, c.path, body, err)
		}
	}
}

// Both directions move at the same time: each piece is answered before the next
// is sent.
func TestTransportIsFullDuplex(t *testing.T) {
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				w.Write(bytes.ToUpper(buf[:n]))
				rc.Flush()
			}
			if err != nil {
				return
			}
		}
	}, 0)
	tr := transport(t, TransportConfig{Address: addr, ResponseTimeout: time.Minute})
	b := newLazily()
	x := ask("POST", "/", b)
	go func() { b.pieces <- []byte("a") }()
	if err := tr.Serve(x); err != nil {
		t.Fatal(err)
	}
	for _, letter := range []string{"b", "c", "d"} {
		p, err := x.Response.Body.Next()
		if err != nil || string(p) != string(letter[0]-'a'+'A'-1) {
			t.Fatalf("%q %v before %s was sent", p, err, letter)
		}
		b.pieces <- []byte(letter)
	}
	close(b.pieces)
	if body, err := finish(x); body != "D" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}

// A target that has answered before it has read the request gets the rest of it,
// also when the length of its answer says that this is whole before the stream
// ends.
func TestTransportEarlyAnswer(t *testing.T) {
	read := make(chan string, 1)
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "early")
		w.(http.Flusher).Flush()
		body, err := io.ReadAll(r.Body)
		read <- fmt.Sprintf("%s %v", body, err)
	}, 0)
	tr := transport(t, TransportConfig{Address: addr, ResponseTimeout: time.Minute})
	b := newLazily()
	x := ask("POST", "/", b)
	go func() { b.pieces <- []byte("one ") }()
	if err := tr.Serve(x); err != nil {
		t.Fatal(err)
	}
	if p, err := x.Response.Body.Next(); string(p) != "early" || err != nil {
		t.Fatalf("%q %v", p, err)
	}
	go func() {
		b.pieces <- []byte("two")
		close(b.pieces)
	}()
	x.Response.Body.Close() // five bytes were announced: nobody asks for more
	x.Done()
	if got := <-read; got != "one two <nil>" {
		t.Errorf("the target has read %s", got)
	}
}

// A target that allows few streams gets more connections, and never more streams.
func TestTransportOpensConnectionsAsNeeded(t *testing.T) {
	release := make(chan struct{})
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
	}, 10)
	tr := transport(t, TransportConfig{Address: addr, MaxConns: 3})
	first := ask("GET", "/", nil) // the settings are known afterwards
	if err := tr.Serve(first); err != nil {
		t.Fatal(err)
	}
	open := []*exchange.Exchange{first}
	for range 29 {
		x := ask("GET", "/", nil)
		if err := tr.Serve(x); err != nil {
			t.Fatal(err)
		}
		open = append(open, x)
	}
	if n, _ := tr.Stats(); n != 3 {
		t.Errorf("30 streams over %d connections", n)
	}
	x := ask("GET", "/", nil)
	if err := tr.Serve(x); !exchange.TargetBusy.Is(err) {
		t.Errorf("the 31st: %v", err)
	}
	x.Done()
	close(release)
	for _, x := range open {
		if _, err := finish(x); err != nil {
			t.Error(err)
		}
	}
}

// Cancelling resets the stream, and the target notices.
func TestTransportCancel(t *testing.T) {
	gone := make(chan struct{})
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		gone <- struct{}{}
	}, 0)
	tr := transport(t, TransportConfig{Address: addr})
	for _, path := range []string{"/head", "/body"} {
		x := ask("GET", path, nil)
		time.AfterFunc(50*time.Millisecond, func() { x.Cancel(exchange.ClientGone.Because(nil)) })
		err := tr.Serve(x)
		if path == "/body" {
			if err != nil {
				t.Fatal(err)
			}
			_, err = x.Response.Body.Next()
		}
		if !exchange.ClientGone.Is(err) {
			t.Errorf("%s: %v", path, err)
		}
		x.Done()
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the target was not told", path)
		}
	}
}

func TestTransportTimeouts(t *testing.T) {
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, 0)
	tr := transport(t, TransportConfig{Address: addr, ResponseTimeout: 600 * time.Millisecond})
	x := ask("GET", "/", nil)
	if err := tr.Serve(x); !exchange.UpstreamTimeout.Is(err) {
		t.Error(err)
	}
	x.Done()
	x = ask("GET", "/", nil)
	x.Deadline = time.Now().Add(20 * time.Millisecond)
	if err := tr.Serve(x); !exchange.ExchangeTimeout.Is(err) {
		t.Error(err)
	}
	x.Done()
	// While the client sends, the target is not to blame.
	b := newLazily()
	x = ask("POST", "/", b)
	go func() {
		for range 5 {
			b.pieces <- []byte("x")
			time.Sleep(150 * time.Millisecond)
		}
		close(b.pieces)
	}()
	start := time.Now()
	if err := tr.Serve(x); !exchange.UpstreamTimeout.Is(err) || time.Since(start) < 1200*time.Millisecond {
		t.Error(err, time.Since(start))
	}
	x.Done()
}

// A client that does not read holds up its own stream alone, and what waits for
// it is no more than a window.
func TestTransportSlowReader(t *testing.T) {
	var wrote atomic.Int64
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			w.Write(bytes.Repeat([]byte("q"), 1<<20))
			return
		}
		for range 100 {
			n, _ := w.Write(make([]byte, 100<<10))
			wrote.Add(int64(n))
		}
	}, 0)
	tr := transport(t, TransportConfig{Address: addr})
	slow := ask("GET", "/slow", nil)
	if err := tr.Serve(slow); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		x := ask("GET", "/quick", nil)
		if err := tr.Serve(x); err != nil {
			t.Fatal(err)
		}
		if body, err := finish(x); len(body) != 1<<20 || err != nil {
			t.Fatal(len(body), err)
		}
	}
	if n := wrote.Load(); n > 300<<10 {
		t.Errorf("%d bytes were taken for a client that reads none", n)
	}
	if body, err := finish(slow); len(body) != 100*100<<10 || err != nil {
		t.Error(len(body), err)
	}
}

func TestTransportLargeUploads(t *testing.T) {
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}, 0)
	tr := transport(t, TransportConfig{Address: addr})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			x := ask("POST", "/", exchange.BytesBody(make([]byte, 3<<20)))
			if err := tr.Serve(x); err != nil {
				t.Error(err)
				x.Done()
				return
			}
			if body, err := finish(x); body != fmt.Sprint(3<<20, nil) || err != nil {
				t.Error(body, err)
			}
		})
	}
	wg.Wait()
}

// lateBody is a body that its sender takes a while for.
type lateBody struct {
	exchange.Body
	late time.Duration
}

func (b *lateBody) Next() ([]byte, error) {
	time.Sleep(b.late)
	b.late = 0
	return b.Body.Next()
}

func (b *lateBody) Len() int64 { return -1 }

// The time that a client takes to send its body is told apart from the time that
// the target takes to answer.
func TestUploadIsTheClientsTime(t *testing.T) {
	const late = 60 * time.Millisecond
	tr := transport(t, TransportConfig{Address: origin(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(late)
	}, 0)})
	for _, c := range []struct {
		body   exchange.Body
		upload time.Duration // at least; 0: none
	}{{&lateBody{exchange.BytesBody([]byte("hi")), late}, late}, {exchange.NoBody, 0}} {
		x := ask("POST", "/", c.body)
		err := tr.Serve(x)
		if own := x.Upstream - x.Upload; x.Upload < c.upload || c.upload == 0 && x.Upload != 0 || own < late {
			t.Errorf("%v of upload in %v, want %v (%v)", x.Upload, x.Upstream, c.upload, err)
		}
		finish(x)
	}
}

// raw is a target that speaks as a test wants it to.
func raw(t *testing.T, serve func(f *http2.Framer, id uint32)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
				f := http2.NewFramer(c, c)
				f.AllowIllegalWrites = true
				f.WriteSettings()
				for {
					fr, err := f.ReadFrame()
					if err != nil {
						return
					}
					if h, ok := fr.(*http2.HeadersFrame); ok {
						serve(f, h.StreamID)
					}
				}
			})
		}
	})
	return l.Addr().String()
}

func fields(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

func writeHead(f *http2.Framer, id uint32, end bool, pairs ...string) {
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fields(pairs...), EndHeaders: true, EndStream: end})
}

// What a target may not say is refused with a stable code, and costs its stream
// alone.
func TestTransportRefusesMalformedAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(f *http2.Framer, id uint32)
		code  *exchange.Code
	}{
		"no status":          {func(f *http2.Framer, id uint32) { writeHead(f, id, true, "a", "b") }, exchange.UpstreamMalformed},
		"a status twice":     {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "200", ":status", "200") }, exchange.UpstreamMalformed},
		"status 20":          {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "20") }, exchange.UpstreamMalformed},
		"a request's pseudo": {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "200", ":path", "/") }, exchange.UpstreamMalformed},
		"a late pseudo":      {func(f *http2.Framer, id uint32) { writeHead(f, id, true, "a", "b", ":status", "200") }, exchange.UpstreamMalformed},
		"upper case":         {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "200", "X-A", "b") }, exchange.UpstreamMalformed},
		"a line break":       {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "200", "a", "b\r\nc: d") }, exchange.UpstreamMalformed},
		"connection":         {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "200", "connection", "close") }, exchange.UpstreamMalformed},
		"transfer-encoding": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, true, ":status", "200", "transfer-encoding", "chunked")
		}, exchange.UpstreamMalformed},
		"two lengths": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200", "content-length", "1", "content-length", "2")
		}, exchange.UpstreamMalformed},
		"a length that is none": {func(f *http2.Framer, id uint32) { writeHead(f, id, false, ":status", "200", "content-length", "+1") }, exchange.UpstreamMalformed},
		"a length, and no body": {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "200", "content-length", "1") }, exchange.UpstreamMalformed},
		"data first":            {func(f *http2.Framer, id uint32) { f.WriteData(id, true, []byte("x")) }, exchange.UpstreamMalformed},
		"101":                   {func(f *http2.Framer, id uint32) { writeHead(f, id, false, ":status", "101") }, exchange.UpstreamMalformed},
		"an interim end":        {func(f *http2.Framer, id uint32) { writeHead(f, id, true, ":status", "103") }, exchange.UpstreamMalformed},
		"too many interim": {func(f *http2.Framer, id uint32) {
			for range 17 {
				writeHead(f, id, false, ":status", "103")
			}
		}, exchange.UpstreamMalformed},
		"too large": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, true, ":status", "200", "a", strings.Repeat("b", 33<<10))
		}, exchange.UpstreamStale},
		"too many fields": {func(f *http2.Framer, id uint32) {
			p := []string{":status", "200"}
			for range 200 {
				p = append(p, "a", "b")
			}
			writeHead(f, id, true, p...)
		}, exchange.UpstreamMalformed},
		"a push": {func(f *http2.Framer, id uint32) {
			f.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true, BlockFragment: fields(":path", "/")})
		}, exchange.UpstreamReset},
		"a stream of its own": {func(f *http2.Framer, id uint32) { writeHead(f, 2, true, ":status", "200") }, exchange.UpstreamReset},
		"reset":               {func(f *http2.Framer, id uint32) { f.WriteRSTStream(id, http2.ErrCodeInternal) }, exchange.UpstreamReset},
		"a window too wide":   {func(f *http2.Framer, id uint32) { f.WriteWindowUpdate(id, maxWindow) }, exchange.UpstreamReset},
		"a frame too large": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200")
			f.WriteData(id, true, make([]byte, 20<<10))
		}, nil},
		"a body too long": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200", "content-length", "1")
			f.WriteData(id, true, []byte("xy"))
		}, nil},
		"a body too short": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200", "content-length", "3")
			f.WriteData(id, true, []byte("xy"))
		}, nil},
		"more than the window": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200")
			for range 5 {
				f.WriteData(id, false, make([]byte, 16<<10))
			}
		}, nil},
		"trailers without an end": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200")
			writeHead(f, id, false, "a", "b")
		}, nil},
		"a status in trailers": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "200")
			writeHead(f, id, true, ":status", "200")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := transport(t, TransportConfig{Address: raw(t, c.serve), ResponseTimeout: 5 * time.Second})
			x := ask("GET", "/", nil)
			err := tr.Serve(x)
			if c.code == nil {
				if err == nil {
					time.Sleep(20 * time.Millisecond) // nothing is pulled meanwhile
					_, err = finish(x)
				}
				if !exchange.UpstreamBroken.Is(err) && !exchange.UpstreamReset.Is(err) && !exchange.UpstreamMalformed.Is(err) {
					t.Errorf("%v, want a broken body", err)
				}
				return
			}
			if !c.code.Is(err) {
				if c.code != exchange.UpstreamStale || !exchange.UpstreamReset.Is(err) {
					t.Errorf("%v, want %s", err, c.code.Name)
				}
			}
			x.Done()
		})
	}
}

// A target that makes us work for nothing is given up, in bounded memory.
func TestTransportFloods(t *testing.T) {
	for name, flood := range map[string]func(f *http2.Framer, id uint32) error{
		"ping":         func(f *http2.Framer, id uint32) error { return f.WritePing(false, [8]byte{}) },
		"settings":     func(f *http2.Framer, id uint32) error { return f.WriteSettings() },
		"window":       func(f *http2.Framer, id uint32) error { return f.WriteWindowUpdate(id, 1) },
		"empty data":   func(f *http2.Framer, id uint32) error { return f.WriteData(id, false, nil) },
		"continuation": func(f *http2.Framer, id uint32) error { return f.WriteContinuation(id, false, nil) },
		"priority":     func(f *http2.Framer, id uint32) error { return f.WritePriority(id, http2.PriorityParam{StreamDep: 0}) },
		"unknown":      func(f *http2.Framer, id uint32) error { return f.WriteRawFrame(0x99, 0, 0, nil) },
		"interim": func(f *http2.Framer, id uint32) error {
			writeHead(f, id, false, ":status", "103")
			return f.WriteRawFrame(0x99, 0, 0, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopped := make(chan int, 10)
			tr := transport(t, TransportConfig{Address: raw(t, func(f *http2.Framer, id uint32) {
				switch name {
				case "empty data":
					writeHead(f, id, false, ":status", "200")
				case "continuation":
					f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fields(":status", "200")})
				}
				for n := range 1_000_000 {
					if flood(f, id) != nil {
						stopped <- n
						return
					}
				}
				stopped <- 1_000_000
			})})
			x := ask("GET", "/", nil)
			err := tr.Serve(x)
			if err == nil {
				_, err = x.Response.Body.Next()
			}
			x.Done()
			if err == nil {
				t.Error("the flood was an answer")
			}
			if n := <-stopped; n == 1_000_000 {
				t.Error("a million frames were taken")
			}
		})
	}
}

// What a target has not seen goes to another connection by itself; what it may
// have seen does not.
func TestTransportGoAway(t *testing.T) {
	var conns atomic.Int32
	addr := raw(t, func(f *http2.Framer, id uint32) {
		if conns.Add(1) == 1 {
			f.WriteGoAway(0, http2.ErrCodeNo, nil)
			return
		}
		writeHead(f, id, true, ":status", "204")
	})
	tr := transport(t, TransportConfig{Address: addr})
	x := ask("GET", "/", nil)
	if err := tr.Serve(x); err != nil || x.Response.Status != 204 {
		t.Fatal(err, x.Response.Status)
	}
	x.Done()
	if conns.Load() != 2 {
		t.Error(conns.Load(), "attempts")
	}
}

func TestTransportRefusedStream(t *testing.T) {
	var seen atomic.Int32
	addr := raw(t, func(f *http2.Framer, id uint32) {
		seen.Add(1)
		f.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	})
	tr := transport(t, TransportConfig{Address: addr})
	x := ask("POST", "/", exchange.BytesBody([]byte("x")))
	err := tr.Serve(x)
	var e *exchange.Error
	if !errors.As(err, &e) || !e.Retry {
		t.Errorf("%v: want a failure that may be retried", err)
	}
	if seen.Load() != 1 {
		t.Error("a body that was taken is not the transport's to repeat")
	}
	x.Done()
}

func TestTransportInformsAndContinues(t *testing.T) {
	addr := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		io.Copy(w, r.Body) // net/http says 100
	}, 0)
	tr := transport(t, TransportConfig{Address: addr})
	b := newLazily()
	x := ask("POST", "/", b)
	x.Request.ExpectContinue = true
	var interim []int
	x.OnInform(func(status int, h *exchange.Header) error {
		interim = append(interim, status)
		if string(h.Get("link")) != "</a>" {
			t.Error("no link")
		}
		return nil
	})
	go func() { b.pieces <- []byte("body"); close(b.pieces) }()
	if err := tr.Serve(x); err != nil {
		t.Fatal(err)
	}
	if body, err := finish(x); body != "body" || err != nil || len(interim) != 1 || interim[0] != 103 {
		t.Error(body, err, interim)
	}
}

func TestTransportTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })}
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	tr := transport(t, TransportConfig{Address: l.Addr().String(), TLS: &tls.Config{InsecureSkipVerify: true}})
	x := ask("GET", "/", nil)
	if err := tr.Serve(x); err != nil {
		t.Fatal(err)
	}
	if body, _ := finish(x); body != "HTTP/2.0" {
		t.Error(body)
	}
	tr = transport(t, TransportConfig{Address: l.Addr().String(), TLS: &tls.Config{ServerName: "a.test"}})
	x = ask("GET", "/", nil)
	if err := tr.Serve(x); !exchange.UpstreamTLS.Is(err) {
		t.Error(err)
	}
	x.Done()
}

func TestTransportConnectFails(t *testing.T) {
	tr := transport(t, TransportConfig{Address: freeport.Address(t)})
	x := ask("GET", "/", nil)
	if err := tr.Serve(x); !exchange.ConnectFailed.Is(err) {
		t.Error(err)
	}
	x.Done()
	tr = transport(t, TransportConfig{Address: "127.0.0.1:1", ConnectTimeout: 20 * time.Millisecond, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	x = ask("GET", "/", nil)
	if err := tr.Serve(x); !exchange.ConnectTimeout.Is(err) {
		t.Error(err)
	}
	x.Done()
}

// A connection that dies takes its streams with it, and the next exchange gets
// another.
func TestTransportSurvivesLostConnections(t *testing.T) {
	n := 0
	addr := raw(t, func(f *http2.Framer, id uint32) {
		if n++; n == 1 {
			panicFree(f)
			return
		}
		writeHead(f, id, true, ":status", "204")
	})
	tr := transport(t, TransportConfig{Address: addr})
	x := ask("GET", "/", nil)
	if err := tr.Serve(x); !exchange.UpstreamReset.Is(err) {
		t.Error(err)
	}
	x.Done()
	x = ask("GET", "/", nil)
	if err := tr.Serve(x); err != nil {
		t.Error(err)
	}
	x.Done()
}

// panicFree breaks the protocol, which ends the connection.
func panicFree(f *http2.Framer) { f.WriteRawFrame(http2.FramePing, 0, 0, []byte{1}) }
