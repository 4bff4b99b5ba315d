package h2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gopura/exchange"
)

// fixedTarget is a gRPC service that gives each call the same answer, and makes
// no garbage: what a call allocates is the transport's.
func fixedTarget(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(nc)
		}
	}()
	return ln.Addr().String()
}

func answerAll(nc net.Conn) {
	defer nc.Close()
	var out bytes.Buffer
	f := http2.NewFramer(&out, nil)
	block := func(fields ...string) []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		e.SetMaxDynamicTableSizeLimit(0)
		for i := 0; i < len(fields); i += 2 {
			e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return b.Bytes()
	}
	f.WriteSettings()
	f.WriteWindowUpdate(0, 1<<30)
	nc.Write(out.Bytes())
	out.Reset()
	f.WriteSettingsAck()
	ack := bytes.Clone(out.Bytes())
	out.Reset()
	var at [3]int
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200", "content-type", "application/grpc"), EndHeaders: true})
	at[1] = out.Len()
	f.WriteData(1, false, message)
	at[2] = out.Len()
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block("grpc-status", "0"), EndHeaders: true, EndStream: true})
	answer := out.Bytes()
	r := bufio.NewReader(nc)
	r.Discard(len(http2.ClientPreface))
	for {
		h, err := r.Peek(9)
		if err != nil {
			return
		}
		size, kind, flags, id := int(h[0])<<16|int(h[1])<<8|int(h[2]), h[3], h[4], binary.BigEndian.Uint32(h[5:])
		r.Discard(9 + size)
		switch {
		case kind == byte(http2.FrameSettings) && flags&1 == 0:
			nc.Write(ack)
		case kind <= 1 && flags&1 != 0: // DATA or HEADERS that ends the stream
			for _, i := range at {
				binary.BigEndian.PutUint32(answer[i+5:], id)
			}
			nc.Write(answer)
		}
	}
}

var message = append([]byte{0, 0, 0, 0, 100}, make([]byte, 100)...)

// A unary gRPC call costs, on the way to a target and back, an object of the
// frame reader for each of the answer's two header blocks, and a string of HPACK
// for each text in them that is compressed and new: here content-type's value
// and the name grpc-status. Nothing is ours.
func TestAllocationsOfACall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	tr := transport(t, TransportConfig{Address: fixedTarget(t), ResponseTimeout: 10 * time.Second})
	x, client := &exchange.Exchange{}, &exchange.Client{}
	path, authority := []byte("/bench.v1.Echo/Call"), []byte("shop.test")
	request := &onePiece{}
	one := func() {
		x.Reset()
		x.Client, x.Start = client, time.Now()
		q := &x.Request
		q.Method, q.Path, q.Authority, q.Trailers = "POST", path, authority, true
		q.Header.Add("content-type", "application/grpc")
		request.p = message
		q.Body = request
		x.Arm()
		if err := tr.Serve(x); err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			p, err := x.Response.Body.Next()
			if n += len(p); err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if s := x.Response.Body.Trailer(); n != len(message) || s == nil || string(s.Get("grpc-status")) != "0" {
			t.Fatal(n, s)
		}
		x.Done()
	}
	for range 200 {
		one()
	}
	per := testing.AllocsPerRun(2000, one)
	t.Logf("%.1f allocations a call", per)
	if per > 4.5 {
		t.Errorf("%.1f allocations a call", per)
	}
}

// onePiece is a request body that is here already.
type onePiece struct{ p []byte }

func (o *onePiece) Next() ([]byte, error) {
	if o.p == nil {
		return nil, io.EOF
	}
	p := o.p
	o.p = nil
	return p, nil
}
func (o *onePiece) Len() int64 {
	if o.p == nil {
		return 0
	}
	return int64(len(o.p))
}
func (o *onePiece) Trailer() *exchange.Header { return nil }
func (o *onePiece) Close() error              { return nil }
func (o *onePiece) Ready() bool               { return true }
