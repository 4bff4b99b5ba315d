package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// endOfBytes is a connection from which nothing more comes.
type endOfBytes struct{ net.Conn }

func (endOfBytes) Read([]byte) (int, error)         { return 0, io.EOF }
func (endOfBytes) SetDeadline(time.Time) error      { return nil }
func (endOfBytes) SetReadDeadline(time.Time) error  { return nil }
func (endOfBytes) SetWriteDeadline(time.Time) error { return nil }

// bufferedBody is a body that has arrived whole.
func bufferedBody(b []byte, m framing) *body {
	l := new(link)
	l.use(endOfBytes{})
	lim := Limits{}.withDefaults()
	body := new(body)
	body.start(&inbox{link: l, b: b, w: len(b)}, &m, &lim)
	return body
}

// parsed is what one reading of a request says.
type parsed struct {
	r       exchange.Request
	p       requestParser
	head    int
	body    []byte
	trailer exchange.Header
	rest    []byte // behind the message
}

// parseWhole reads a message that is in memory.
func parseWhole(in []byte) (m *parsed, err error) {
	lim := Limits{}.withDefaults()
	m = &parsed{}
	m.r.Body = exchange.NoBody
	m.p.reset()
	n, e := m.p.parse(&m.r, in, &lim)
	if e != nil {
		return nil, e
	}
	if m.head = n; n == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	m.rest = in[n:]
	if !m.p.chunked && m.p.length <= 0 {
		return m, nil
	}
	b := bufferedBody(bytes.Clone(in[n:]), m.p.framing)
	m.r.Body = b
	for {
		p, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		m.body = append(m.body, p...)
	}
	m.rest = b.in.unread()
	if t := b.Trailer(); t != nil {
		m.trailer.CopyFrom(t)
	}
	return m, nil
}

func addCorpus(f *testing.F, folder string) {
	for _, c := range loadCases(f, folder) {
		if len(c.bytes) < 40<<10 {
			f.Add([]byte(c.bytes))
		}
	}
}

// FuzzRequest holds our reading of requests against that of net/http: what we
// accept, it accepts too, with the same method, target, host, length, body and
// number of bytes consumed. And what we forward reads as the same message.
func FuzzRequest(f *testing.F) {
	addCorpus(f, "wire")
	f.Add([]byte(browser))
	f.Fuzz(func(t *testing.T, in []byte) {
		sameInPieces(t, in)
		m, err := parseWhole(in)
		if err != nil {
			return
		}
		checkAgainstNetHTTP(t, in, m)
		checkRoundTrip(t, m)
	})
}

// sameInPieces checks that the parser says the same whether the head arrives at
// once or byte by byte.
func sameInPieces(t *testing.T, in []byte) {
	lim := Limits{Head: 4 << 10, Target: 1 << 10}.withDefaults()
	if len(in) > 6<<10 {
		return
	}
	var one, many requestParser
	var a, b exchange.Request
	one.reset()
	many.reset()
	n, err := one.parse(&a, in, &lim)
	for i := range len(in) + 1 {
		m, merr := many.parse(&b, in[:i], &lim)
		switch {
		case merr != nil && err == nil && n > 0:
			t.Fatalf("accepted at once, refused at byte %d: %v", i, merr)
		case merr != nil:
			return
		case m > 0:
			if m != n || err != nil || a.Header.Len() != b.Header.Len() || a.Method != b.Method || !bytes.Equal(a.Path, b.Path) {
				t.Fatalf("at once %d bytes (%v), in pieces %d", n, err, m)
			}
			return
		}
	}
	if err != nil {
		t.Fatalf("refused at once (%v), accepted in pieces", err)
	}
}

// Where net/http may differ:
//   - it does not skip the empty line before a request (its server does, in
//     another place), so that is taken off first;
//   - it parses the target as a URL and refuses what is none; for us a target is
//     bytes, and the route package normalises them;
//   - it refuses a Trailer field that names a framing field; we forward Trailer,
//     and refuse the trailer itself;
//   - it counts the overhead of small chunks and gives up on too much of it;
//   - it stops at its own limit of 16 MiB header and takes a chunk of any size
//     up to 16 hex digits, which we don't reach here.
func checkAgainstNetHTTP(t *testing.T, in []byte, m *parsed) {
	src := bytes.NewReader(bytes.TrimPrefix(in, []byte("\r\n")))
	br := bufio.NewReader(src)
	req, err := http.ReadRequest(br)
	if err != nil {
		if strings.Contains(err.Error(), "parse ") || strings.Contains(err.Error(), "invalid URI") || strings.Contains(err.Error(), "bad trailer key") {
			return
		}
		t.Fatalf("net/http refuses what we accept: %v\n%q", err, in)
	}
	if req.Method != m.r.Method {
		t.Fatalf("method %q, net/http %q", m.r.Method, req.Method)
	}
	if req.RequestURI != string(m.r.Target) {
		t.Fatalf("target %q, net/http %q", m.r.Target, req.RequestURI)
	}
	if !strings.EqualFold(req.Host, string(m.r.Authority)) {
		t.Fatalf("host %q, net/http %q", m.r.Authority, req.Host)
	}
	length := m.p.length
	if length < 0 && !m.p.chunked {
		length = 0
	}
	if length != req.ContentLength {
		t.Fatalf("length %d, net/http %d", length, req.ContentLength)
	}
	if req.ProtoMinor != int(m.p.minor) {
		t.Fatalf("minor version %d, net/http %d", m.p.minor, req.ProtoMinor)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		if strings.Contains(err.Error(), "excessive data") {
			return
		}
		t.Fatalf("net/http can't read the body that we accept: %v\n%q", err, in)
	}
	if !bytes.Equal(body, m.body) {
		t.Fatalf("body %q, net/http %q", m.body, body)
	}
	if rest := br.Buffered() + src.Len(); rest != len(m.rest) {
		t.Fatalf("%d bytes left, net/http leaves %d\n%q", len(m.rest), rest, in)
	}
}

// checkRoundTrip writes the request as it goes to a target and reads it again.
func checkRoundTrip(t *testing.T, m *parsed) {
	if m.p.minor == 0 && m.p.hosts == 0 && m.r.Authority == nil {
		return // goes out with an empty Host, which we would refuse
	}
	whole := exchange.BytesBody(m.body)
	r := m.r
	if m.p.chunked {
		whole = unsized{whole}
	}
	r.Body = whole
	out := appendRequest(nil, &r, "")
	if m.p.chunked {
		if len(m.body) > 0 {
			out = append(out, hexLength(len(m.body))...)
			out = append(append(out, m.body...), "\r\n"...)
		}
		out = append(appendFields(append(out, "0\r\n"...), &m.trailer), "\r\n"...)
	} else {
		out = append(out, m.body...)
	}
	if len(out) > 30<<10 || r.Header.Len() > 95 {
		return // near the limits the gateway's own fields may exceed them
	}
	again, err := parseWhole(append(bytes.Clone(out), "GET / HTTP"...))
	if err != nil {
		t.Fatalf("what we forward is refused: %v\n%q", err, out)
	}
	switch {
	case again.r.Method != r.Method, !bytes.Equal(again.r.Path, r.Path), !bytes.Equal(again.r.Query, r.Query),
		(again.r.Query == nil) != (r.Query == nil), !bytes.Equal(again.r.Authority, r.Authority), !bytes.Equal(again.r.Upgrade, r.Upgrade),
		!bytes.Equal(again.body, m.body), again.r.Trailers != r.Trailers, string(again.rest) != "GET / HTTP":
		t.Fatalf("forwarded as another message:\n%q", out)
	}
	sameFields(t, &again.r.Header, &r.Header)
	sameFields(t, &again.trailer, &m.trailer)
	if second := appendRequest(nil, withBody(&again.r, whole), ""); string(second) != string(out[:len(second)]) {
		t.Fatalf("the second round differs:\n%q\n%q", out, second)
	}
}

func withBody(r *exchange.Request, b exchange.Body) *exchange.Request {
	r.Body = b
	return r
}

type unsized struct{ exchange.Body }

func (unsized) Len() int64 { return -1 }

func hexLength(n int) string {
	const digits = "0123456789abcdef"
	s := "\r\n"
	for ; n > 0; n >>= 4 {
		s = digits[n&15:n&15+1] + s
	}
	return s
}

func sameFields(t *testing.T, a, b *exchange.Header) {
	if a.Len() != b.Len() {
		t.Fatalf("%d fields, then %d", b.Len(), a.Len())
	}
	for i := range a.Fields() {
		if x, y := a.At(i), b.At(i); !bytes.Equal(x.Name, y.Name) || !bytes.Equal(x.Value, y.Value) {
			t.Fatalf("field %q: %q, then %q: %q", y.Name, y.Value, x.Name, x.Value)
		}
	}
}

// FuzzResponse holds our reading of response heads against that of net/http.
func FuzzResponse(f *testing.F) {
	addCorpus(f, "answers")
	f.Add([]byte(kilobyte))
	f.Fuzz(func(t *testing.T, in []byte) {
		lim := Limits{}.withDefaults()
		var p responseParser
		var h exchange.Header
		p.reset()
		n, perr := p.parse(&h, in, &lim)
		if perr != nil || n == 0 {
			return
		}
		if p.status < 200 {
			return // net/http reads the body of an interim answer that has none
		}
		src := bytes.NewReader(in)
		br := bufio.NewReader(src)
		res, err := http.ReadResponse(br, &http.Request{Method: "GET"})
		if err != nil {
			if strings.Contains(err.Error(), "bad trailer key") {
				return
			}
			t.Fatalf("net/http refuses what we accept: %v\n%q", err, in)
		}
		if res.StatusCode != p.status || res.ProtoMinor != int(p.minor) {
			t.Fatalf("status %d, net/http %d", p.status, res.StatusCode)
		}
		if p.status == 204 || p.status == 304 {
			return
		}
		if res.ContentLength != p.length {
			t.Fatalf("length %d, net/http %d", p.length, res.ContentLength)
		}
		b := bufferedBody(bytes.Clone(in[n:]), p.framing)
		var got []byte
		var gerr error
		for gerr == nil {
			var piece []byte
			piece, gerr = b.Next()
			got = append(got, piece...)
		}
		if gerr != io.EOF {
			return
		}
		want, err := io.ReadAll(res.Body)
		if err != nil && strings.Contains(err.Error(), "excessive data") {
			return
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("body %q, net/http %q, %v", got, want, err)
		}
	})
}

// FuzzChunked reads a chunked body whole, and again in pieces, and by net/http.
func FuzzChunked(f *testing.F) {
	for _, c := range loadCases(f, "wire") {
		if _, body, ok := strings.Cut(c.bytes, "Transfer-Encoding: chunked\r\n\r\n"); ok && len(body) < 40<<10 {
			f.Add([]byte(body), uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		m := framing{length: -1, chunked: true}
		read := func(b *body) (out []byte, trailer exchange.Header, rest int, err error) {
			for {
				ready := b.Ready()
				used := b.in.w
				p, err := b.Next()
				if ready && b.in.w != used && err == nil {
					t.Fatal("Ready, yet it read")
				}
				if err == io.EOF {
					if tr := b.Trailer(); tr != nil {
						trailer.CopyFrom(tr)
					}
					return out, trailer, len(b.in.unread()), nil
				}
				if err != nil {
					return out, trailer, 0, err
				}
				if len(p) == 0 {
					t.Fatal("an empty piece")
				}
				out = append(out, p...)
			}
		}
		whole, trailer, rest, err := read(bufferedBody(bytes.Clone(in), m))
		lim := Limits{}.withDefaults()
		src := &drip{b: in, step: int(step%64) + 1}
		l := new(link)
		l.use(src)
		slow := new(body)
		slow.start(&inbox{link: l, b: make([]byte, exchange.BufferSize)}, &m, &lim)
		pieces, trailer2, rest2, err2 := read(slow)
		if (err == nil) != (err2 == nil) && !errors.Is(err2, errInboxFull) {
			t.Fatalf("whole: %v, in pieces: %v", err, err2)
		}
		if err != nil || err2 != nil {
			return
		}
		if !bytes.Equal(whole, pieces) || rest != rest2+len(src.b) {
			t.Fatalf("whole %q and %d left, in pieces %q and %d", whole, rest, pieces, rest2+len(src.b))
		}
		sameFields(t, &trailer, &trailer2)
		head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + string(in))))
		if err != nil {
			t.Fatal(err)
		}
		std, err := io.ReadAll(req.Body)
		if err != nil && strings.Contains(err.Error(), "excessive data") {
			return
		}
		if err != nil || !bytes.Equal(std, whole) {
			t.Fatalf("net/http reads %q, %v; we %q\n%q", std, err, whole, in)
		}
	})
}

// drip is a connection that gives a few bytes at a time.
type drip struct {
	endOfBytes
	b    []byte
	step int
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.b[:min(d.step, len(d.b))])
	d.b = d.b[n:]
	return n, nil
}
