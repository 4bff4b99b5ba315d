package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A tag names one request. It stands in the path, in a header and, over and
// over, in the body, and the answer has it in the same places: whatever is
// mixed up shows. What the upstream does with a request follows from its tag.

// behaviour is what the upstream does with the request of a tag.
type behaviour struct {
	kind  string
	size  int // of the answer's body
	delay time.Duration
}

var behaviours = []string{
	"length", "length", "length", "chunked", "chunked", "until close", "close after", "surplus",
	"early", "interim", "cut", "reset", "silent close", "reset at once",
}

func behaviourOf(tag string) behaviour {
	h := fnv.New64a()
	io.WriteString(h, tag)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	b := behaviour{kind: behaviours[r.IntN(len(behaviours))], size: 1 + r.IntN(200)}
	switch r.IntN(4) {
	case 0:
		b.size = r.IntN(200_000)
	case 1:
		b.delay = time.Duration(r.IntN(8)) * time.Millisecond
	}
	if b.kind == "surplus" {
		b.size %= 4000 // in one packet with the surplus, which is there before the next request then
	}
	return b
}

// whole reports whether the upstream answers it completely.
func (b behaviour) whole() bool {
	switch b.kind {
	case "cut", "reset", "silent close", "reset at once":
		return false
	}
	return true
}

// tagged returns n bytes of tag, over and over.
func tagged(tag string, n int) []byte {
	return bytes.Repeat([]byte(tag), n/len(tag)+1)[:n]
}

// TestMixing sends random requests over 64 connections, with random pipelining,
// fragments, slow reads and aborts, to an upstream that breaks off, resets,
// closes kept connections and sends more than it was asked for. Every answer
// must be that to its own request, and every request whole at the upstream.
func TestMixing(t *testing.T) {
	last := 10 * time.Second
	if testing.Short() {
		last = 2 * time.Second
	}
	m := &mixer{t: t}
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
limits: {body: 10MiB}
services:
  o: {targets: ["http://%s"], outliers: off, retries: {attempts: 2, body: 16KiB}}
routes: [{match: /*, to: o, timeout: 10s}]
`, m.upstream()))
	ctx, stop := context.WithTimeout(t.Context(), last)
	defer stop()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
			for n := 0; ctx.Err() == nil; n++ {
				m.client(g.Address("main"), r, fmt.Sprintf("c%d.%d", i, n))
			}
		})
	}
	all.Wait()
	t.Logf("%d answers, of them %d made by the gateway, %d broken off; %d connections aborted", m.answers.Load(), m.made.Load(), m.broken.Load(), m.aborts.Load())
	if m.answers.Load() < 500 || m.made.Load() > m.answers.Load()/2 {
		t.Error("too little was answered to say anything")
	}
}

type mixer struct {
	t                             *testing.T
	answers, made, broken, aborts atomic.Int64
	failures                      atomic.Int64
}

func (m *mixer) fail(format string, args ...any) {
	if m.failures.Add(1) <= 10 {
		m.t.Errorf(format, args...)
	}
}

// mixed is a request of a batch.
type mixed struct {
	tag, method string
	text        []byte
	body        int
}

// client opens a connection and sends a few batches over it.
func (m *mixer) client(address string, r *rand.Rand, name string) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		m.fail("dial: %v", err)
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	br := bufio.NewReaderSize(nc, 512)
	last := "nothing" // that was answered over this connection
	for batch := range 1 + r.IntN(12) {
		var list []mixed
		var text []byte
		for i := range 1 + r.IntN(6)*r.IntN(2) {
			q := request(r, fmt.Sprintf("<%s.%d.%d>", name, batch, i))
			list, text = append(list, q), append(text, q.text...)
		}
		seed := r.Uint64()
		var sent sync.WaitGroup
		sent.Go(func() { fragments(nc, text, rand.New(rand.NewPCG(seed, 2))) })
		abort := r.IntN(12) == 0
		for i, q := range list {
			if abort && i == len(list)-1 {
				m.abort(nc, r)
				sent.Wait()
				return
			}
			if !m.answer(br, q, list[i+1:], last, r) {
				nc.Close()
				sent.Wait()
				return
			}
			last = fmt.Sprintf("%s (%s) with %d bytes", q.method, behaviourOf(q.tag).kind, q.body)
		}
		sent.Wait()
	}
}

// request makes a random request.
func request(r *rand.Rand, tag string) mixed {
	q := mixed{tag: tag, method: [...]string{"GET", "GET", "GET", "HEAD", "POST", "PUT"}[r.IntN(6)]}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s /%s?%s HTTP/1.1\r\nHost: mixing.test\r\nX-Tag: %s\r\n", q.method, plainTag(tag), plainTag(tag), tag)
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "X-Pad: %s\r\n", strings.Repeat("p", r.IntN(6000)))
	}
	if q.method == "GET" || q.method == "HEAD" {
		b.WriteString("\r\n")
		q.text = b.Bytes()
		return q
	}
	if q.body = r.IntN(300); r.IntN(4) == 0 {
		q.body = r.IntN(100_000)
	}
	body := tagged(tag, q.body)
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
		b.Write(body)
	} else {
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := min(len(body), 1+r.IntN(20_000))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		b.WriteString("0\r\n\r\n")
	}
	q.text = b.Bytes()
	return q
}

func plainTag(tag string) string { return strings.Trim(tag, "<>") }

// fragments writes text in random pieces.
func fragments(w io.Writer, text []byte, r *rand.Rand) {
	pieces := 1 + r.IntN(4)
	for ; pieces > 1 && len(text) > 1; pieces-- {
		n := 1 + r.IntN(len(text)-1)
		if _, err := w.Write(text[:n]); err != nil {
			return
		}
		text = text[n:]
		time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
	}
	w.Write(text)
}

// abort ends a connection in one of the ways that clients have.
func (m *mixer) abort(nc net.Conn, r *rand.Rand) {
	m.aborts.Add(1)
	time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
	if r.IntN(2) == 0 {
		nc.(*net.TCPConn).SetLinger(0)
	}
	nc.Close()
}

// answer reads the answer to q and reports whether another may follow. A reset
// for one of the requests behind it takes with it what was on its way.
func (m *mixer) answer(br *bufio.Reader, q mixed, behind []mixed, last string, r *rand.Rand) bool {
	b := behaviourOf(q.tag)
	may := !b.whole() || slices.ContainsFunc(behind, func(q mixed) bool { return !behaviourOf(q.tag).whole() })
	resp, err := http.ReadResponse(br, &http.Request{Method: q.method})
	for err == nil && resp.StatusCode == http.StatusEarlyHints {
		resp, err = http.ReadResponse(br, &http.Request{Method: q.method})
	}
	if err != nil {
		if !may || !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) && err != io.EOF {
			m.fail("%s %s (%s): no answer: %v; before it %s", q.method, q.tag, b.kind, err, last)
		}
		return false
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	var from io.Reader = resp.Body
	if r.IntN(8) == 0 {
		from = &slowReader{from, r}
	}
	_, err = body.ReadFrom(from)
	m.answers.Add(1)
	if code := resp.Header.Get("Gopura-Answer"); code != "" {
		m.made.Add(1)
		if resp.StatusCode < 500 {
			m.fail("%s %s (%s): %d %s", q.method, q.tag, b.kind, resp.StatusCode, code)
		}
		if q.method == "GET" && b.whole() && b.kind != "surplus" {
			m.fail("%s %s (%s): %d %s %s", q.method, q.tag, b.kind, resp.StatusCode, code, body.Bytes())
		}
		return err == nil && !resp.Close
	}
	if got := resp.Header.Get("X-Tag"); got != q.tag || resp.StatusCode != 200 {
		m.fail("%s %s (%s) got the answer %d to %q", q.method, q.tag, b.kind, resp.StatusCode, got)
		return false
	}
	want := tagged(q.tag, b.size)
	if q.method == "HEAD" {
		want = nil
	}
	if err != nil {
		m.broken.Add(1)
		want = want[:min(len(want), body.Len())]
	}
	if !bytes.Equal(body.Bytes(), want) {
		m.fail("%s %s (%s): %d bytes of body instead of %d, or others: %.80q", q.method, q.tag, b.kind, body.Len(), len(want), body.Bytes())
	}
	// A body may break off only where the upstream did, or while the request's
	// own body was still on its way.
	if err != nil && !may && q.body == 0 || err == nil && !b.whole() && q.method != "HEAD" {
		m.fail("%s %s (%s): the body ended with %v", q.method, q.tag, b.kind, err)
	}
	return err == nil && !resp.Close
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset by peer") }

// slowReader takes a little at a time.
type slowReader struct {
	r    io.Reader
	rand *rand.Rand
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Duration(s.rand.IntN(3000)) * time.Microsecond)
	return s.r.Read(p[:min(len(p), 1+s.rand.IntN(30_000))])
}

// upstream starts the service and returns its address.
func (m *mixer) upstream() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go m.serve(c.(*net.TCPConn))
		}
	}()
	return ln.Addr().String()
}

func (m *mixer) serve(c *net.TCPConn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		tag := req.Header.Get("X-Tag")
		if plain := plainTag(tag); req.URL.Path != "/"+plain || req.URL.RawQuery != plain {
			m.fail("the upstream got %s with the tag %s", req.URL, tag)
			return
		}
		b := behaviourOf(tag)
		if b.kind == "early" { // it answers before it has read, and reads on
			m.reply(c, req, tag, b)
		}
		body, err := io.ReadAll(req.Body)
		if !bytes.Equal(body, tagged(tag, len(body))) {
			m.fail("the upstream got a body that is not that of %s: %.80q", tag, body)
		}
		if err != nil {
			return // the client has given up
		}
		time.Sleep(b.delay)
		if b.kind != "early" && !m.reply(c, req, tag, b) {
			return
		}
	}
}

// reply answers, and reports whether the connection goes on.
func (m *mixer) reply(c *net.TCPConn, req *http.Request, tag string, b behaviour) bool {
	body := tagged(tag, b.size)
	head := "HTTP/1.1 200 OK\r\nX-Tag: " + tag + "\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	bodyless := req.Method == "HEAD"
	if bodyless {
		body = nil
	}
	switch b.kind {
	case "silent close":
		return false
	case "reset at once":
		c.SetLinger(0)
		return false
	case "length", "early":
		return writes(c, head+length+"\r\n", body)
	case "interim":
		return writes(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+head+length+"\r\n", body)
	case "surplus":
		writes(c, head+length+"\r\n"+string(body)+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", nil)
		return true
	case "close after":
		writes(c, head+length+"\r\n", body)
		return false
	case "until close":
		writes(c, head+"Connection: close\r\n\r\n", body)
		return false
	case "chunked":
		if !writes(c, head+"Transfer-Encoding: chunked\r\n\r\n", nil) {
			return false
		}
		if bodyless {
			return true
		}
		for step := max(len(body)/3, 1); len(body) > 0; {
			n := min(step, len(body))
			if !writes(c, fmt.Sprintf("%x\r\n", n), append(body[:n:n], "\r\n"...)) {
				return false
			}
			body = body[n:]
		}
		return writes(c, "0\r\n\r\n", nil)
	}
	// cut and reset: in the middle of the body.
	writes(c, head+fmt.Sprintf("Content-Length: %d\r\n\r\n", b.size+10), body[:len(body)/2])
	if b.kind == "reset" {
		c.SetLinger(0)
	}
	return false
}

func writes(c net.Conn, head string, body []byte) bool {
	_, err := c.Write(append([]byte(head), body...))
	return err == nil
}
