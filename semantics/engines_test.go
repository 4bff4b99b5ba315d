package semantics_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gopura/exchange"
	"gopura/h2"
	"gopura/h3"
	"gopura/internal/testca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func said(e *exchange.Error) string { return fmt.Sprintf("%d %s", e.Status, e.Code) }

// root serves everything, and answers refusals with their code.
type root struct{}

func (root) Serve(x *exchange.Exchange) {
	x.Response.Status, x.Response.Body = 200, exchange.BytesBody([]byte(served))
}

func (root) Refuse(x *exchange.Exchange, e *exchange.Error) {
	x.Err = e
	x.Response.Status, x.Response.Body = e.Status, exchange.BytesBody([]byte(said(e)))
}

// TestEngines sends the heads over HTTP/2 and over HTTP/3: both say what the table says,
// and go on serving.
func TestEngines(t *testing.T) {
	for name, ask := range map[string]func([]field) string{"HTTP/2": overHTTP2(t), "HTTP/3": overHTTP3(t)} {
		t.Run(name, func(t *testing.T) {
			for _, c := range heads {
				if got := ask(get(c.change)); got != c.want {
					t.Errorf("%s: %s, want %s", c.name, got, c.want)
				}
			}
		})
	}
}

// overHTTP2 returns a client that sends a head as it is, with the end of the stream.
func overHTTP2(t *testing.T) func([]field) string {
	s := h2.New(h2.Config{Root: root{}})
	t.Cleanup(func() { s.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.ServeConn(c, &exchange.Client{})
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, http2.ClientPreface)
	fr := http2.NewFramer(c, c)
	fr.AllowIllegalWrites = true
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.WriteSettings()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	id := uint32(1)
	return func(head []field) string {
		block.Reset()
		for _, f := range head {
			enc.WriteField(hpack.HeaderField{Name: f.name, Value: f.value})
		}
		first := block.Next(16 << 10)
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: block.Len() == 0})
		for block.Len() > 0 {
			part := block.Next(16 << 10)
			fr.WriteContinuation(id, block.Len() == 0, part)
		}
		defer func() { id += 2 }()
		return answerOver2(fr, id)
	}
}

func answerOver2(fr *http2.Framer, id uint32) (body string) {
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return err.Error()
		}
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			return reset
		case *http2.DataFrame:
			if body += string(f.Data()); f.StreamEnded() {
				return body
			}
		}
	}
}

// overHTTP3 returns a client that sends a head as it is, with the end of the stream.
func overHTTP3(t *testing.T) func([]field) string {
	ca := testca.New(t, "root")
	leaf := ca.Server("shop.test")
	cert, err := tls.LoadX509KeyPair(leaf.Cert, leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := h3.Serve(socket, h3.Config{Root: root{}}, h3.Hooks{
		TLS:   &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h3"}},
		Enter: func(ctx context.Context, _ netip.AddrPort) (context.Context, bool) { return ctx, true },
		Client: func(_ context.Context, state tls.ConnectionState) (*exchange.Client, error) {
			return &exchange.Client{TLS: &state}, nil
		},
		Left: func(context.Context) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	conn, err := quic.DialAddr(t.Context(), socket.LocalAddr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "shop.test", NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0x100, "") })
	return func(head []field) string {
		var block bytes.Buffer
		enc := qpack.NewEncoder(&block)
		for _, f := range head {
			enc.WriteField(qpack.HeaderField{Name: f.name, Value: f.value})
		}
		str, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			return err.Error()
		}
		str.SetDeadline(time.Now().Add(10 * time.Second))
		const headers = 1
		str.Write(append(quicvarint.Append(quicvarint.Append(nil, headers), uint64(block.Len())), block.Bytes()...))
		str.Close()
		return answerOver3(str)
	}
}

func answerOver3(str *quic.Stream) (body string) {
	r := quicvarint.NewReader(str)
	for {
		kind, err := quicvarint.Read(r)
		var se *quic.StreamError
		switch {
		case errors.As(err, &se):
			return reset
		case err == io.EOF:
			return body
		case err != nil:
			return err.Error()
		}
		length, _ := quicvarint.Read(r)
		p := make([]byte, length)
		io.ReadFull(r, p)
		if kind == 0 {
			body += string(p)
		}
	}
}
