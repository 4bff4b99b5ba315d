package h2

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// FuzzServer lets a client say anything behind the preface. Whatever it is, the
// server does not panic, and ends with the connection: every exchange that was
// begun is done, and nothing is left behind (TestMain looks for goroutines).
func FuzzServer(f *testing.F) {
	for _, seed := range serverSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		begun := make(chan struct{}, 1<<16)
		ended := make(chan struct{}, 1<<16)
		s := New(Config{
			HeadTimeout: 2 * time.Second, BodyTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second, IdleTimeout: time.Second,
			Root: root(func(x *exchange.Exchange) {
				begun <- struct{}{}
				x.OnDone(func(*exchange.Exchange) { ended <- struct{}{} })
				for _, h := range x.Request.Header.Fields() {
					if !exchange.ValidName(h.Name) || !exchange.ValidValue(h.Value) {
						t.Errorf("field %q: %q", h.Name, h.Value)
					}
				}
				if p := x.Request.Path; len(p) == 0 || p[0] != '/' && string(p) != "*" {
					t.Errorf("path %q", p)
				}
				b, err := exchange.ReadAll(x.Request.Body, 1<<20)
				if err != nil {
					x.Response.Status = 400
					return
				}
				x.Response.Status, x.Response.Body = 200, exchange.BytesBody(b)
			}),
		})
		a, b := net.Pipe()
		s.ServeConn(a, &exchange.Client{})
		go io.Copy(io.Discard, b)
		b.SetWriteDeadline(time.Now().Add(2 * time.Second))
		io.WriteString(b, http2.ClientPreface)
		b.Write(frames)
		b.Close()
		for begin := time.Now(); s.Open() > 0; time.Sleep(100 * time.Microsecond) {
			if time.Since(begin) > 5*time.Second {
				t.Fatal("the connection is still there")
			}
		}
		if len(begun) != len(ended) {
			t.Errorf("%d exchanges have begun, %d have ended", len(begun), len(ended))
		}
		s.Close()
	})
}

// serverSeeds are connections as clients have them, good ones and bad ones.
func serverSeeds() (seeds [][]byte) {
	for _, say := range []func(w *wire){
		func(w *wire) { w.headers(1, true) },
		func(w *wire) {
			w.headers(1, false, ":method: POST", "content-length: 3")
			w.WriteData(1, true, []byte("abc"))
		},
		func(w *wire) {
			w.headers(1, false, ":method: POST")
			w.WriteDataPadded(1, false, []byte("abc"), []byte{0, 0})
			w.headers(1, true, "-:method", "-:path", "-:scheme", "-:authority", "x-sum: 6")
		},
		func(w *wire) {
			block := w.encode("a: b")
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:5], EndStream: true})
			w.WriteContinuation(1, true, block[5:])
		},
		func(w *wire) { w.headers(1, true); w.WriteRSTStream(1, http2.ErrCodeCancel); w.headers(3, true) },
		func(w *wire) {
			w.headers(1, false, ":method: CONNECT", ":protocol: websocket")
			w.WriteData(1, true, []byte("x"))
		},
		func(w *wire) { w.WritePing(false, [8]byte{}); w.WriteWindowUpdate(0, 1<<20); w.WriteGoAway(0, 0, nil) },
		func(w *wire) {
			w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			w.headers(1, true)
		},
		func(w *wire) { w.headers(2, true) },
		func(w *wire) { w.headers(1, true, "connection: close"); w.WriteData(1, true, []byte("late")) },
		func(w *wire) { w.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}) },
	} {
		var b bytes.Buffer
		w := newWire(nil, nil)
		w.Framer = http2.NewFramer(&b, nil)
		w.AllowIllegalWrites = true
		w.WriteSettings()
		w.WriteSettingsAck()
		say(w)
		seeds = append(seeds, b.Bytes())
	}
	return seeds
}

// FuzzBlock decodes header blocks: whatever comes, what is kept is within the
// limits and valid.
func FuzzBlock(f *testing.F) {
	w := newWire(nil, nil)
	for _, lines := range [][]string{{"a: b"}, {"cookie: a=1", "cookie: b=2"}, {"content-length: 5", "te: trailers"}, {"-:path", "host: a"}, {"A: b", "connection: x"}} {
		f.Add(bytes.Clone(w.encode(lines...)))
	}
	f.Add([]byte{0x3f, 0xe1, 0x1f, 0x82, 0x84, 0x86, 0x41, 0x8c, 0xf1})
	f.Fuzz(func(t *testing.T, fragment []byte) {
		lim := blockLimits{bytes: 4 << 10, fields: 20}
		var l link
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		l.init(a, 16, 0, lim)
		var wire bytes.Buffer
		fr := http2.NewFramer(&wire, &wire)
		for range 2 { // the table of the first serves the second
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fragment[:min(len(fragment), frameSize)], EndHeaders: true})
			frame, err := fr.ReadFrame()
			if err != nil {
				return
			}
			var h exchange.Header
			if l.block.read(&l, frame.(*http2.HeadersFrame), &h) != nil {
				return
			}
			size := 0
			for _, f := range h.Fields() {
				size += len(f.Name) + len(f.Value)
				if !lowerToken(string(f.Name)) || !exchange.ValidValue(f.Value) {
					t.Errorf("%q: %q", f.Name, f.Value)
				}
			}
			if size > lim.bytes || h.Len() > lim.fields+5 {
				t.Errorf("%d bytes in %d fields", size, h.Len())
			}
		}
	})
}
