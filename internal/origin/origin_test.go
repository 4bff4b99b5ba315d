package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func start(t testing.TB) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestAnswersByPath(t *testing.T) {
	s := start(t)
	for path, want := range map[string]struct{ status, size int }{
		"/0":              {200, 0},
		"/1k":             {200, 1024},
		"/10k?x=1":        {200, 10240},
		"/1m":             {200, 1 << 20},
		"/orders/42/1k":   {200, 1024},
		"/sleep/1ms":      {200, 0},
		"/sleep/nonsense": {404, 0},
		"/status/503":     {503, 0},
		"/status/204":     {204, 0},
		"/status/99":      {404, 0},
		"/":               {404, 0},
		"/nothing":        {404, 0},
	} {
		t.Run(path, func(t *testing.T) {
			r, err := http.Get(s.URL(path))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || r.StatusCode != want.status || len(body) != want.size {
				t.Errorf("got %d with %d bytes (%v), want %d with %d", r.StatusCode, len(body), err, want.status, want.size)
			}
			if r.Header.Get("X-Origin") != "gopura" {
				t.Error("no X-Origin")
			}
		})
	}
}

func TestEchoGivesTheBodyBack(t *testing.T) {
	s := start(t)
	sent := strings.Repeat("tower ", 10_000)
	for name, body := range map[string]io.Reader{
		"with a length": strings.NewReader(sent),
		"chunked":       io.MultiReader(strings.NewReader(sent)), // hides the length from net/http
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.Post(s.URL("/echo"), "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if got, _ := io.ReadAll(r.Body); string(got) != sent {
				t.Errorf("%d bytes came back, %d were sent", len(got), len(sent))
			}
		})
	}
}

// One connection serves request after request, also where they arrive in one piece.
func TestKeepAliveAndPipelining(t *testing.T) {
	s := start(t)
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"HEAD /1k HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /headers HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nConnection: close\r\n\r\n")
	in := bufio.NewReader(c)
	for _, want := range []struct{ method, body string }{
		{"POST", "hello"},
		{"HEAD", ""},
		{"GET", "GET /headers HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nConnection: close\r\n"},
	} {
		r, err := http.ReadResponse(in, &http.Request{Method: want.method})
		if err != nil {
			t.Fatal(want.method, err)
		}
		if got, _ := io.ReadAll(r.Body); string(got) != want.body {
			t.Errorf("%s: got %q, want %q", want.method, got, want.body)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after Connection: close: %v, want EOF", err)
	}
	if s.Requests() != 3 {
		t.Errorf("%d requests counted", s.Requests())
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	s := start(t)
	for name, text := range map[string]string{
		"no request line":   "hello\r\n\r\n",
		"HTTP/1.0":          "GET / HTTP/1.0\r\n\r\n",
		"no colon":          "GET /1k HTTP/1.1\r\nHost\r\n\r\n",
		"a negative length": "GET /1k HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"too many fields":   "GET /1k HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxFields+1) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.Address())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, text)
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || r.StatusCode != 400 {
				t.Fatalf("got %v (%v), want 400", r, err)
			}
		})
	}
}

func TestCloseEndsSleepsAndIdleConnections(t *testing.T) {
	s := start(t)
	ended := make(chan error)
	go func() {
		_, err := http.Get(s.URL("/sleep/1m"))
		ended <- err
	}()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n == 1 || time.Now().After(deadline) {
			break
		}
	}
	s.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a sleeping request got an answer from a closed origin")
		}
	case <-time.After(5 * time.Second):
		t.Error("a sleeping request outlived Close")
	}
}

func BenchmarkKeepAlive(b *testing.B) {
	s := start(b)
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := []byte("GET /1k HTTP/1.1\r\nHost: x\r\n\r\n")
	size := len(s.answers["/1k"])
	buf := make([]byte, size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
