package scripttest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// upstream is a server on loopback that does what a script says. It speaks
// HTTP/1.1 through sockets of its own, so that it can also speak it badly.
type upstream struct {
	name    string
	address string

	mu          sync.Mutex
	listener    net.Listener
	conns       map[net.Conn]struct{}
	connections int
	calls       []*call
	plan        []*behaviour            // the first that is not used up
	paths       map[string][]*behaviour // in place of plan, by path
	stopped     chan struct{}
	busy        sync.WaitGroup
}

// call is a request as the upstream received it.
type call struct {
	head    []byte // with the blank line
	body    []byte
	trailer http.Header
	err     error // why the body never ended
	ended   bool
}

// behaviour is what an upstream does with a request.
type behaviour struct {
	times              int // 0: for ever
	status             int
	header             [][2]string
	body               []byte
	trailer            [][2]string
	inform             int
	delay, pause       time.Duration
	chunked, echo      bool
	untilClose         bool
	close, reset, hang bool
	cut                int // -1: not
	raw                []byte
}

func newUpstream(name string) (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{name: name, address: l.Addr().String(), conns: map[net.Conn]struct{}{}}
	u.plan = []*behaviour{{status: 200, body: []byte(name), cut: -1}}
	u.serve(l)
	return u, nil
}

func (u *upstream) serve(l net.Listener) {
	u.listener, u.stopped = l, make(chan struct{})
	u.busy.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.connections++
			u.conns[c] = struct{}{}
			u.mu.Unlock()
			u.busy.Go(func() {
				u.connection(c)
				c.Close()
				u.mu.Lock()
				delete(u.conns, c)
				u.mu.Unlock()
			})
		}
	})
}

// stop closes everything; connections to it are refused from now on.
func (u *upstream) stop() {
	if u.listener == nil {
		return
	}
	u.listener.Close()
	u.listener = nil
	close(u.stopped)
	u.mu.Lock()
	for c := range u.conns {
		c.Close()
	}
	u.mu.Unlock()
	u.busy.Wait()
}

func (u *upstream) restart() error {
	if u.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", u.address)
	if err == nil {
		u.serve(l)
	}
	return err
}

// next counts the call and returns what to do with it.
func (u *upstream) next(c *call) *behaviour {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls = append(u.calls, c)
	path := pathOf(c.head)
	plan, own := u.paths[path]
	if !own {
		plan = u.plan
	}
	b := plan[0]
	if b.times > 0 {
		if b.times--; b.times == 0 && len(plan) > 1 {
			plan = plan[1:]
		}
	}
	if own {
		u.paths[path] = plan
	} else {
		u.plan = plan
	}
	return b
}

// pathOf is the path in a request's first line.
func pathOf(head []byte) string {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	if i := bytes.IndexAny(rest, " ?"); i >= 0 {
		rest = rest[:i]
	}
	return string(rest)
}

// then adds b behind a plan that ends, and replaces one that does not.
func (u *upstream) then(path string, b *behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if path == "" {
		u.plan = follow(u.plan, b)
		return
	}
	if u.paths == nil {
		u.paths = map[string][]*behaviour{}
	}
	u.paths[path] = follow(u.paths[path], b)
}

func follow(plan []*behaviour, b *behaviour) []*behaviour {
	if n := len(plan); n > 0 && plan[n-1].times > 0 {
		return append(plan, b)
	}
	return []*behaviour{b}
}

const maxHead = 1 << 20

func (u *upstream) connection(conn net.Conn) {
	br := bufio.NewReaderSize(conn, maxHead)
	for {
		head, err := peekHead(br)
		if err != nil {
			return
		}
		c := &call{head: head}
		b := u.next(c)
		req, err := http.ReadRequest(br)
		if err != nil {
			u.ended(c, nil, nil, err)
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		if req.Header.Get("Expect") != "" {
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.ReadAll(req.Body)
		u.ended(c, body, req.Trailer, err)
		if err != nil || !u.answer(conn, b, c, req) {
			return
		}
		if req.Close {
			return
		}
	}
}

func (u *upstream) ended(c *call, body []byte, trailer http.Header, err error) {
	u.mu.Lock()
	c.body, c.trailer, c.err, c.ended = body, trailer, err, true
	u.mu.Unlock()
}

// peekHead waits for a whole head and returns a copy of it.
func peekHead(br *bufio.Reader) ([]byte, error) {
	for {
		if _, err := br.Peek(br.Buffered() + 1); err != nil {
			return nil, err
		}
		b, _ := br.Peek(br.Buffered())
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return bytes.Clone(b[:i+4]), nil
		}
	}
}

// answer does what b says and reports whether the connection goes on.
func (u *upstream) answer(conn net.Conn, b *behaviour, c *call, req *http.Request) bool {
	if !u.sleep(b.delay) {
		return false
	}
	switch {
	case b.hang:
		<-u.stopped
		return false
	case b.reset:
		conn.(*net.TCPConn).SetLinger(0)
		return false
	case b.close:
		return false
	case b.raw != nil:
		conn.Write(b.raw)
		return false
	}
	body := b.body
	if b.echo {
		body = append(bytes.Clone(c.head), c.body...)
	}
	var w bytes.Buffer
	if b.inform != 0 {
		fmt.Fprintf(&w, "HTTP/1.1 %d Interim\r\nLink: </hint>\r\n\r\n", b.inform)
	}
	fmt.Fprintf(&w, "HTTP/1.1 %d %s\r\n", b.status, http.StatusText(b.status))
	for _, f := range b.header {
		fmt.Fprintf(&w, "%s: %s\r\n", f[0], f[1])
	}
	chunked := b.chunked || b.trailer != nil
	bodiless := b.status == 204 || b.status == 304
	switch {
	case bodiless:
	case chunked:
		w.WriteString("Transfer-Encoding: chunked\r\n")
	case b.untilClose:
		w.WriteString("Connection: close\r\n")
	default:
		fmt.Fprintf(&w, "Content-Length: %d\r\n", len(body))
	}
	w.WriteString("\r\n")
	if bodiless || req.Method == "HEAD" {
		_, err := conn.Write(w.Bytes())
		return err == nil && !b.untilClose
	}
	if b.pause > 0 {
		conn.Write(w.Bytes())
		w.Reset()
		if !u.sleep(b.pause) {
			return false
		}
	}
	if b.cut >= 0 {
		body = body[:min(b.cut, len(body))]
	}
	if chunked {
		writeChunks(&w, body)
		if b.cut < 0 {
			w.WriteString("0\r\n")
			for _, f := range b.trailer {
				fmt.Fprintf(&w, "%s: %s\r\n", f[0], f[1])
			}
			w.WriteString("\r\n")
		}
	} else {
		w.Write(body)
	}
	_, err := conn.Write(w.Bytes())
	return err == nil && b.cut < 0 && !b.untilClose
}

func (u *upstream) sleep(d time.Duration) bool {
	if d == 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-u.stopped:
		return false
	}
}

func writeChunks(w *bytes.Buffer, body []byte) {
	for len(body) > 0 {
		n := min(len(body), 10_000)
		fmt.Fprintf(w, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
}

// call returns the n-th call (from 1; 0: the last).
func (u *upstream) call(n int) (call, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n == 0 {
		n = len(u.calls)
	}
	if n < 1 || n > len(u.calls) {
		return call{}, fmt.Errorf("upstream %s was called %d times", u.name, len(u.calls))
	}
	return *u.calls[n-1], nil
}

// The commands.

func (r *run) named(name string) (*upstream, error) {
	if u := r.upstreams[name]; u != nil {
		return u, nil
	}
	return nil, usage("no upstream line mentions %s", name)
}

func (r *run) upstream(a args) error {
	u, err := r.named(a.words[0])
	if err != nil {
		return err
	}
	b := &behaviour{status: 200, body: []byte(u.name), cut: -1}
	if s := a.word(1); s != "" {
		if b.status, err = strconv.Atoi(s); err != nil || b.status < 100 || b.status > 999 {
			return usage("%q is no status", s)
		}
		b.body = []byte(a.word(2))
	}
	if a.has("file") {
		b.body = []byte(r.files[a.option("file")])
	}
	if a.has("size") {
		n, err := size(a.option("size"))
		if err != nil {
			return err
		}
		b.body = filler(n)
	}
	if a.has("raw") {
		if b.raw, err = unescape(r.files[a.option("raw")]); err != nil {
			return err
		}
	}
	b.echo, b.chunked, b.untilClose = a.has("echo"), a.has("chunked"), a.has("until-close")
	b.close, b.reset, b.hang = a.has("close"), a.has("reset"), a.has("hang")
	if b.header, err = fieldsOf(a.options["header"]); err != nil {
		return err
	}
	if b.trailer, err = fieldsOf(a.options["trailer"]); err != nil {
		return err
	}
	for name, n := range map[string]*int{"inform": &b.inform, "cut": &b.cut, "times": &b.times} {
		if a.has(name) {
			if *n, err = strconv.Atoi(a.option(name)); err != nil || *n < 0 {
				return usage("-%s wants a number", name)
			}
		}
	}
	for name, d := range map[string]*time.Duration{"delay": &b.delay, "pause": &b.pause} {
		if a.has(name) {
			if *d, err = time.ParseDuration(a.option(name)); err != nil {
				return usageError{err}
			}
		}
	}
	if a.has("gzip") {
		b.compress()
	}
	u.then(a.option("path"), b)
	return nil
}

// compress gzips the body.
func (b *behaviour) compress() {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b.body)
	w.Close()
	b.body = out.Bytes()
	b.header = append(b.header, [2]string{"Content-Encoding", "gzip"})
}

func fieldsOf(lines []string) (fields [][2]string, err error) {
	for _, l := range lines {
		name, value, err := field(l)
		if err != nil {
			return nil, err
		}
		fields = append(fields, [2]string{name, value})
	}
	return fields, nil
}

func (r *run) stopUpstream(a args) error {
	u, err := r.named(a.words[0])
	if err == nil {
		u.stop()
	}
	return err
}

func (r *run) startUpstream(a args) error {
	u, err := r.named(a.words[0])
	if err != nil {
		return err
	}
	return u.restart()
}

func (r *run) upstreamCalls(a args) error {
	return r.counted(a, "called", func(u *upstream) int { return len(u.calls) })
}

func (r *run) upstreamConnections(a args) error {
	return r.counted(a, "connected to", func(u *upstream) int { return u.connections })
}

func (r *run) counted(a args, verb string, count func(*upstream) int) error {
	u, err := r.named(a.words[0])
	if err != nil {
		return err
	}
	lo, hi, err := span(a.words[1])
	if err != nil {
		return err
	}
	return within(r.patience, func() error {
		u.mu.Lock()
		n := count(u)
		u.mu.Unlock()
		if n < lo || n > hi {
			return fmt.Errorf("upstream %s was %s %d times", u.name, verb, n)
		}
		return nil
	})
}

func (r *run) recorded(a args) (call, error) {
	u, err := r.named(a.words[0])
	if err != nil {
		return call{}, err
	}
	n := 0
	if a.has("call") {
		if n, err = strconv.Atoi(a.option("call")); err != nil || n < 1 {
			return call{}, usage("-call wants a number from 1")
		}
	}
	var c call
	err = within(r.patience, func() (err error) {
		if c, err = u.call(n); err == nil && !c.ended {
			err = fmt.Errorf("the request is still on its way to upstream %s", u.name)
		}
		return err
	})
	return c, err
}

func (r *run) upstreamSaw(a args) error {
	c, err := r.recorded(a)
	if err != nil {
		return err
	}
	if re := a.option("match"); re != "" {
		if err := matches(re, string(c.head)); err != nil {
			return err
		}
	}
	for _, want := range a.words[1:] {
		if !hasLine(string(c.head), want) {
			return fmt.Errorf("no line %q in the head that upstream %s received:\n%s", want, a.words[0], c.head)
		}
	}
	return nil
}

// hasLine reports whether the head has the line; a field's name in any case.
func hasLine(head, want string) bool {
	name, value, isField := strings.Cut(want, ": ")
	for i, l := range strings.Split(head, "\r\n") {
		if n, v, ok := strings.Cut(l, ": "); l == want || i > 0 && ok && isField && strings.EqualFold(n, name) && v == value {
			return true
		}
	}
	return false
}

func (r *run) upstreamBody(a args) error {
	if a.has("broken") {
		return within(r.patience, func() error {
			if c, err := r.recorded(a); err != nil || c.err != nil {
				return err
			}
			return errors.New("the body came whole")
		})
	}
	c, err := r.recorded(a)
	if err != nil {
		return err
	}
	if c.err != nil {
		return fmt.Errorf("the body that upstream %s received broke off: %w", a.words[0], c.err)
	}
	return r.compare(args{a.words[1:], a.options}, c.body)
}

func (r *run) upstreamTrailer(a args) error {
	c, err := r.recorded(a)
	if err != nil {
		return err
	}
	if got := strings.Join(c.trailer.Values(a.words[1]), ", "); got != a.words[2] {
		return fmt.Errorf("trailer %s is %q in %v", a.words[1], got, c.trailer)
	}
	return nil
}
