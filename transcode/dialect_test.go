package transcode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"testing"

	"gopura/exchange"
)

// split is a body that comes in pieces of n bytes.
type split struct {
	b []byte
	n int
}

func (p *split) Next() ([]byte, error) {
	if len(p.b) == 0 {
		return nil, io.EOF
	}
	n := min(p.n, len(p.b))
	piece := p.b[:n]
	p.b = p.b[n:]
	return piece, nil
}
func (p *split) Len() int64                { return -1 }
func (p *split) Trailer() *exchange.Header { return nil }
func (p *split) Close() error              { return nil }

func dialectExchange(method, query, kind string, body exchange.Body) *exchange.Exchange {
	x := &exchange.Exchange{Client: &exchange.Client{}}
	x.Request = exchange.Request{Method: method, Path: []byte("/a.B/C"), Query: []byte(query), Body: body}
	if kind != "" {
		x.Request.Header.Add("Content-Type", kind)
	}
	return x
}

// The base64 of gRPC-Web gives what was encoded, wherever it is cut and padded;
// what is none is an error, and never a panic.
func FuzzWebText(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x03abc"), []byte("AAAA"), uint8(3), uint8(4))
	f.Add([]byte(""), []byte("AA==AA==!"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, message, text []byte, cut, size uint8) {
		at := min(int(cut), len(message))
		encoded := base64.StdEncoding.AppendEncode(nil, message[:at])
		encoded = base64.StdEncoding.AppendEncode(encoded, message[at:])
		read := func(b []byte) ([]byte, error) {
			i := &Interpreter{Web: true, Max: 1 << 16}
			x := dialectExchange("POST", "", "application/grpc-web-text", &split{b, int(size)%7 + 1})
			defer x.Done()
			if _, err := i.Begin(x, i.Dialect(&x.Request)); err != nil {
				t.Fatal(err)
			}
			return exchange.ReadAll(x.Request.Body, 1<<20)
		}
		if got, err := read(encoded); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%q, want %q: %v", got, message, err)
		}
		_, _ = read(text)
	})
}

// Whatever a service sends, the answer of gRPC-Web ends with a trailer frame that
// has a status, and the messages before it are the service's.
func FuzzWebAnswer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01a"), "0", true)
	f.Add([]byte("x"), "", false)
	f.Fuzz(func(t *testing.T, body []byte, status string, text bool) {
		kind := "application/grpc-web"
		if text {
			kind = "application/grpc-web-text"
		}
		x := dialectExchange("POST", "", kind, exchange.NoBody)
		x.Response.Status = 200
		x.Response.Header.Add("Content-Type", "application/grpc")
		if status != "" && exchange.ValidValue(status) {
			x.Response.Header.Add("Grpc-Status", status)
		}
		x.Response.Body = &split{body, 5}
		Say(x, Web)
		var out []byte
		for {
			p, err := x.Response.Body.Next()
			if err == io.EOF {
				break
			}
			if text {
				if p, err = base64.StdEncoding.AppendDecode(nil, p); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, p...)
		}
		i := bytes.LastIndexByte(out[:bytes.LastIndex(out, []byte("grpc-status: "))], trailerFlag)
		if i < 0 || x.Response.Header.Has("grpc-status") {
			t.Fatalf("%q", out)
		}
	})
}

// The envelopes of a client become the frames of gRPC that hold the same, or an
// error; those of a service too, with an end that is JSON.
func FuzzConnectEnvelopes(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x00"), uint8(2), false)
	f.Add([]byte("\x01\x00\x00\x00\x01a"), uint8(2), true)
	f.Add([]byte("\x02\x00\x00\x00\x02{}"), uint8(200), true)
	f.Fuzz(func(t *testing.T, body []byte, size uint8, squeezed bool) {
		i := &Interpreter{Connect: true, Max: 1 << 12}
		x := dialectExchange("POST", "", "application/connect+proto", &split{body, int(size) + 1})
		if squeezed {
			x.Request.Header.Add("Connect-Content-Encoding", "gzip")
		}
		talk, err := i.Begin(x, i.Dialect(&x.Request))
		if err != nil {
			t.Fatal(err)
		}
		got, err := exchange.ReadAll(x.Request.Body, 1<<30)
		if err == nil && !squeezed && !bytes.Equal(got, body) {
			t.Fatalf("%q, want %q", got, body)
		}
		if (err == nil) != (talk.Blame(nil) == nil) {
			t.Fatalf("%v, blamed on %v", err, talk.Blame(nil))
		}
		x.Done()

		x = dialectExchange("POST", "", "application/connect+proto", exchange.NoBody)
		x.Response.Status = 200
		x.Response.Header.Add("Content-Type", "application/grpc")
		x.Response.Body = &split{body, int(size) + 1}
		Say(x, ConnectStream)
		out, err := exchange.ReadAll(x.Response.Body, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		var r FrameReader
		_ = r.Reset(exchange.BytesBody(out), 1<<30, nil)
		for {
			frame, err := r.frame()
			if err != nil {
				t.Fatalf("%q has no end: %v", out, err)
			}
			if frame[0] == endFlag {
				if !json.Valid(frame[prefixSize:]) {
					t.Fatalf("%q", frame)
				}
				break
			}
		}
	})
}

// A query is read without a panic, and a message that was put into one comes out.
func FuzzConnectGet(f *testing.F) {
	f.Add("connect=v1&encoding=proto&message=%00&base64=0", []byte("\x00\xff"))
	f.Add("message=&&=&base64=1&message=_-==", []byte(""))
	f.Fuzz(func(t *testing.T, query string, message []byte) {
		p := getParams([]byte(query))
		_, _ = p.decode()
		p = getParams([]byte("connect=v1&base64=1&encoding=proto&message=" + base64.RawURLEncoding.EncodeToString(message)))
		if got, ok := p.decode(); !ok || !bytes.Equal(got, message) || !p.version || string(p.encoding) != "proto" {
			t.Fatalf("%q, want %q", got, message)
		}
		DialectOf(&exchange.Request{Method: "GET", Query: []byte(query)})
	})
}

// Errors are JSON, whatever is in them.
func FuzzConnectError(f *testing.F) {
	f.Add(uint8(5), "no\"\x00\xff", "type.googleapis.com/a.B", []byte("x"))
	f.Fuzz(func(t *testing.T, code uint8, message, kind string, value []byte) {
		out := appendConnectError(nil, &Status{exchange.GRPCCode(code), message, []Detail{{kind, value}}})
		if !json.Valid(out) {
			t.Fatalf("%q", out)
		}
	})
}

// What is a call in which dialect: only requests that say so beyond doubt, unless
// nothing else comes to a route.
func TestDialectOf(t *testing.T) {
	for _, c := range []struct {
		method, query, kind, version string
		anywhere, here               Dialect
	}{
		{"POST", "", "application/grpc-web", "", Web, Web},
		{"POST", "", "application/grpc-web-text+proto", "", Web, Web},
		{"POST", "", "application/grpc", "", NoDialect, NoDialect},
		{"PUT", "", "application/grpc-web", "", NoDialect, NoDialect},
		{"POST", "", "application/json", "", NoDialect, ConnectUnary},
		{"POST", "", "application/json; charset=utf-8", "1", ConnectUnary, ConnectUnary},
		{"POST", "", "application/jsonl", "1", NoDialect, NoDialect},
		{"POST", "", "application/proto", "", NoDialect, ConnectUnary},
		{"POST", "", "application/proto", "1", ConnectUnary, ConnectUnary},
		{"POST", "", "application/connect+proto", "", ConnectStream, ConnectStream},
		{"GET", "connect=v1&encoding=json&message=x", "", "", ConnectGet, ConnectGet},
		{"GET", "encoding=json&message=x", "", "", NoDialect, ConnectGet},
		{"GET", "message=x", "", "", NoDialect, NoDialect},
		{"OPTIONS", "", "application/grpc-web", "", NoDialect, NoDialect},
	} {
		x := dialectExchange(c.method, c.query, c.kind, exchange.NoBody)
		if c.version != "" {
			x.Request.Header.Add("Connect-Protocol-Version", c.version)
		}
		i := &Interpreter{Web: true, Connect: true, Only: true}
		if got, here := DialectOf(&x.Request), i.Dialect(&x.Request); got != c.anywhere || here != c.here {
			t.Errorf("%+v: %d, here %d", c, got, here)
		}
	}
}
