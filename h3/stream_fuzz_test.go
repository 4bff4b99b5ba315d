package h3

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"gopura/exchange"
)

// FuzzRequestStream lets a client say anything on the stream of a request. Whatever it
// is, the stream ends, in an answer or in a reset, and what is served is a request
// within the limits.
func FuzzRequestStream(f *testing.F) {
	data := frame(frameData, []byte("hello"))
	for _, seed := range [][]byte{
		fields(), append(fields(":method: POST", "content-length: 5"), data...), append(fields(":method: POST"), data...), append(append(fields(":method: POST"), data...), fields("-:method", "-:scheme", "-:authority", "-:path", "x: y")...),
		data, frame(0x21, []byte("grease")), append(frame(0x21, nil), fields()...), fields(":method: CONNECT", ":protocol: websocket"), append(fields("content-length: 9"), data...), {0x01}, {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		frame(frameSettings, nil), append(fields(), frame(frameGoAway, []byte{0})...), fields("x: \x00"), fields(":path: //a\\b"),
	} {
		f.Add(seed)
	}
	var flaw atomic.Value // of a request that was served
	s := start(f, Config{BodyTimeout: time.Second, HeadTimeout: time.Second}, func(x *exchange.Exchange) {
		for _, h := range x.Request.Header.Fields() {
			if !exchange.ValidName(h.Name) || !exchange.ValidValue(h.Value) {
				flaw.Store(fmt.Sprintf("field %q: %q", h.Name, h.Value))
			}
		}
		if p := x.Request.Path; len(p) == 0 || p[0] != '/' && string(p) != "*" {
			flaw.Store(fmt.Sprintf("path %q", p))
		}
		b, err := exchange.ReadAll(x.Request.Body, 1<<20)
		if err != nil {
			answer(x, 400, "")
			return
		}
		answer(x, 200, string(b))
	})
	var w *wire
	f.Fuzz(func(t *testing.T, b []byte) {
		if w == nil || w.conn.Context().Err() != nil {
			conn, err := quic.DialAddr(t.Context(), s.address.String(), s.tls, nil)
			if err != nil {
				t.Fatal(err)
			}
			w = &wire{t, conn}
		}
		stream, err := w.conn.OpenStreamSync(t.Context())
		if err != nil {
			return // the last input has ended the connection
		}
		stream.SetDeadline(time.Now().Add(5 * time.Second))
		stream.Write(b)
		stream.Close()
		defer func() {
			if v := flaw.Swap(""); v != nil && v != "" {
				t.Error(v)
			}
		}()
		if _, err := io.Copy(io.Discard, stream); err != nil && stream.Context().Err() == nil && w.conn.Context().Err() == nil {
			stream.CancelRead(0)
			if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
				t.Errorf("the stream does not end")
			}
		}
	})
}
