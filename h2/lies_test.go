package h2

import (
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// What a target may get wrong around an answer, and what comes of it: a whole
// answer stays whole, whatever follows it; one that is not is broken, or late.
func TestTransportLies(t *testing.T) {
	ok := func(f *http2.Framer, id uint32, end bool, fields ...string) {
		writeHead(f, id, end, append([]string{":status", "200"}, fields...)...)
	}
	for name, c := range map[string]struct {
		serve func(f *http2.Framer, id uint32)
		body  string
		code  *exchange.Code // nil: the body is whole
	}{
		"DATA after the end": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, true, []byte("whole"))
			f.WriteData(id, true, []byte("more"))
		}, "whole", nil},
		"a second answer after the end": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, true, []byte("whole"))
			ok(f, id, false)
			f.WriteData(id, true, []byte("poison"))
		}, "whole", nil},
		"a reset after the end": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, true, []byte("whole"))
			f.WriteRSTStream(id, http2.ErrCodeInternal)
		}, "whole", nil},
		"a last GOAWAY in the middle": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, false, []byte("who"))
			f.WriteGoAway(id, http2.ErrCodeNo, nil)
			f.WriteData(id, true, []byte("le"))
		}, "whole", nil},
		"a 204 with a body": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "204")
			f.WriteData(id, true, []byte("poison"))
		}, "", nil},
		"a 304 with a body": {func(f *http2.Framer, id uint32) {
			writeHead(f, id, false, ":status", "304", "content-length", "6")
			f.WriteData(id, true, []byte("poison"))
		}, "", nil},
		"a reset in the middle": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, false, []byte("ha"))
			f.WriteRSTStream(id, http2.ErrCodeInternal)
		}, "ha", exchange.UpstreamBroken},
		"a reset in peace in the middle": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, false, []byte("ha"))
			f.WriteRSTStream(id, http2.ErrCodeNo)
		}, "ha", exchange.UpstreamBroken},
		"no end": {func(f *http2.Framer, id uint32) {
			ok(f, id, false)
			f.WriteData(id, false, []byte("ha"))
		}, "ha", exchange.UpstreamBroken},
		"nothing": {func(f *http2.Framer, id uint32) {}, "", exchange.UpstreamTimeout},
		"GOAWAY, with an error": {func(f *http2.Framer, id uint32) {
			f.WriteGoAway(id, http2.ErrCodeInternal, nil)
		}, "", exchange.UpstreamTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := transport(t, TransportConfig{Address: raw(t, c.serve), ResponseTimeout: 500 * time.Millisecond})
			x := ask("GET", "/", nil)
			begun := time.Now()
			err := tr.Serve(x)
			body := ""
			if err == nil {
				time.Sleep(20 * time.Millisecond) // what follows is there before anything is pulled
				body, err = finish(x)
			} else {
				x.Done()
			}
			if body != c.body || (err == nil) != (c.code == nil) || c.code != nil && !c.code.Is(err) {
				t.Errorf("%q, %v", body, err)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A target that gives an upload no window for ever ends it in the time for an
// answer, and costs its stream alone.
func TestTransportWindowOfZero(t *testing.T) {
	tr := transport(t, TransportConfig{ResponseTimeout: 300 * time.Millisecond, Address: raw(t, func(f *http2.Framer, id uint32) {
		f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	})})
	x := ask("POST", "/", exchange.BytesBody(make([]byte, 200<<10)))
	begun := time.Now()
	if err := tr.Serve(x); !exchange.UpstreamTimeout.Is(err) {
		t.Error(err)
	}
	x.Done()
	if took := time.Since(begun); took < 300*time.Millisecond || took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}
