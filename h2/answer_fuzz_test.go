package h2

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// FuzzAnswer lets a target say anything once it has been asked. Whatever it is, the
// call ends, in an answer whose fields are valid and within the limits or in an error,
// and the connection is not left behind.
func FuzzAnswer(f *testing.F) {
	for _, seed := range answerSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		tr := NewTransport(TransportConfig{Address: "target:80", ResponseTimeout: 2 * time.Second, MaxHead: 4 << 10, MaxField: 20,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go say(theirs, frames)
				return ours, nil
			}})
		x := ask("GET", "/", nil)
		if err := tr.Serve(x); err == nil {
			if s := x.Response.Status; s < 200 || s > 999 {
				t.Errorf("status %d", s)
			}
			within(t, &x.Response.Header)
			b := x.Response.Body
			for {
				p, err := b.Next()
				if err != nil {
					if err == io.EOF && b.Trailer() != nil {
						within(t, b.Trailer())
					}
					break
				}
				if len(p) == 0 {
					t.Error("an empty piece")
				}
			}
			b.Close()
		}
		x.Done()
		tr.Close()
		for begin := time.Now(); ; time.Sleep(100 * time.Microsecond) {
			if open, _ := tr.Stats(); open == 0 {
				return
			}
			if time.Since(begin) > 5*time.Second {
				t.Fatal("the connection is still there")
			}
		}
	})
}

// say writes frames when the request has come, and ends the connection.
func say(c net.Conn, frames []byte) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	go io.Copy(io.Discard, c)
	c.Write(frames)
}

func within(t *testing.T, h *exchange.Header) {
	size := 0
	for _, f := range h.Fields() {
		size += len(f.Name) + len(f.Value)
		if !exchange.ValidName(f.Name) || !exchange.ValidValue(f.Value) {
			t.Errorf("field %q: %q", f.Name, f.Value)
		}
	}
	if size > 4<<10 || h.Len() > 20 {
		t.Errorf("%d bytes in %d fields", size, h.Len())
	}
}

// answerSeeds are what targets say, good ones and bad ones.
func answerSeeds() (seeds [][]byte) {
	head := func(w *wire, end bool, lines ...string) {
		lines = append([]string{"-:method", "-:scheme", "-:path", "-:authority"}, lines...)
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.encode(lines...), EndHeaders: true, EndStream: end})
	}
	for _, tell := range []func(w *wire){
		func(w *wire) { head(w, true, ":status: 204") },
		func(w *wire) {
			head(w, false, ":status: 200", "content-length: 3")
			w.WriteData(1, true, []byte("abc"))
		},
		func(w *wire) {
			head(w, false, ":status: 200")
			w.WriteData(1, false, []byte("abc"))
			head(w, true, "grpc-status: 0")
		},
		func(w *wire) { head(w, false, ":status: 103", "link: a"); head(w, true, ":status: 200") },
		func(w *wire) { head(w, false, ":status: 101"); w.WriteData(1, true, nil) },
		func(w *wire) {
			head(w, false, ":status: 200", "content-length: 1")
			w.WriteData(1, true, []byte("abc"))
		},
		func(w *wire) { head(w, false, "a: b"); w.WriteRSTStream(1, http2.ErrCodeNo) },
		func(w *wire) { w.WriteGoAway(0, http2.ErrCodeNo, nil); head(w, true, ":status: 200") },
		func(w *wire) { w.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}) },
		func(w *wire) {
			w.WritePing(false, [8]byte{})
			w.WriteWindowUpdate(1, 1<<31-1)
			w.WriteWindowUpdate(1, 1)
		},
	} {
		var b bytes.Buffer
		w := newWire(nil, nil)
		w.Framer = http2.NewFramer(&b, nil)
		w.AllowIllegalWrites = true
		w.WriteSettings()
		w.WriteSettingsAck()
		tell(w)
		seeds = append(seeds, b.Bytes())
	}
	return seeds
}
