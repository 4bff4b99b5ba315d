package websocket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// frame is a frame of a client, with a key that changes its payload.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xfe), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0xff), uint64(n))
	}
	key := []byte{1, 2, 3, 250}
	b = append(b, key...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// read feeds in to a reader in pieces, and says what it makes of it.
func read(in []byte, size, limit int) string {
	r := Reader{Limit: limit}
	var out []string
	for len(in) > 0 {
		n := min(size, len(in))
		for piece := in[:n]; len(piece) > 0; {
			var m Message
			var code uint16
			if m, piece, code = r.Next(piece); code != 0 {
				return strings.Join(append(out, fmt.Sprint(code)), " ")
			}
			if m.Op != 0 {
				out = append(out, fmt.Sprintf("%d:%s", m.Op, m.Payload))
			}
		}
		in = in[n:]
	}
	return strings.Join(out, " ")
}

func TestReader(t *testing.T) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"text", frame(0x81, "hello"), "1:hello"},
		{"two", join(frame(0x81, "a"), frame(0x82, "\xff")), "1:a 2:\xff"},
		{"empty", frame(0x81, ""), "1:"},
		{"fragments, with a ping between", join(frame(0x01, "he"), frame(0x89, "now"), frame(0x00, "ll"), frame(0x80, "o")), "9:now 1:hello"},
		{"a character across fragments", join(frame(0x01, "\xc3"), frame(0x80, "\xa9")), "1:é"},
		{"16-bit length", frame(0x82, long), "2:" + long},
		{"close", frame(0x88, "\x03\xe8bye"), "8:\x03\xe8bye"},
		{"no text", frame(0x81, "\xff"), "1007"},
		{"not masked", []byte{0x81, 1, 'x'}, "1002"},
		{"reserved opcode", frame(0x83, ""), "1002"},
		{"reserved bit", frame(0xc1, "x"), "1002"},
		{"fragmented ping", frame(0x09, ""), "1002"},
		{"long ping", frame(0x89, long), "1002"},
		{"continuation of nothing", frame(0x80, "x"), "1002"},
		{"message within a message", join(frame(0x01, "a"), frame(0x81, "b")), "1002"},
		{"negative length", append([]byte{0x82, 0xff}, bytes.Repeat([]byte{0xff}, 12)...), "1002"},
		{"too large", frame(0x81, strings.Repeat("x", 401)), "1009"},
		{"too large in several", join(frame(0x01, long), frame(0x80, long)), "1009"},
	} {
		for _, size := range []int{1, 3, len(c.in)} {
			if got := read(c.in, size, 400); got != c.want {
				t.Errorf("%s, pieces of %d: %q, want %q", c.name, size, got, c.want)
			}
		}
	}
}

func TestCloseFrames(t *testing.T) {
	long := ClosePayload(4003, strings.Repeat("ä", 100))
	if len(long) > MaxControl || CloseCode(long) != 4003 {
		t.Errorf("%d bytes, code %d", len(long), CloseCode(long))
	}
	for payload, want := range map[string]uint16{
		"": 0, "\x03": Protocol, "\x03\xe8": Normal, "\x03\xe8\xff": Protocol, "\x03\xed": Protocol, "\x03\xf7": Protocol, "\x0f\xa3": 4003, "\x27\x10": Protocol,
	} {
		if got := CloseCode([]byte(payload)); got != want {
			t.Errorf("%q: %d, want %d", payload, got, want)
		}
	}
}

func TestHandshake(t *testing.T) {
	key := []byte("dGhlIHNhbXBsZSBub25jZQ==") // RFC 6455 §1.3
	if !ValidKey(key) || ValidKey(key[:10]) || ValidKey(nil) || AcceptKey(key) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(AcceptKey(key))
	}
}

// However the bytes are cut, they mean the same, and nothing beyond the limit is
// kept.
func FuzzReader(f *testing.F) {
	f.Add(frame(0x81, "hello"), 3)
	f.Add(append(frame(0x01, "a"), frame(0x80, "b")...), 1)
	f.Add(frame(0x88, "\x03\xe8"), 2)
	f.Add(frame(0x82, strings.Repeat("x", 130)), 7)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		const limit = 200
		size = max(size&15, 1)
		whole, parts := read(in, max(len(in), 1), limit), read(in, size, limit)
		if whole != parts {
			t.Errorf("whole %q, in pieces of %d %q", whole, size, parts)
		}
		var r Reader
		for r.Limit = limit; len(in) > 0; {
			var code uint16
			if _, in, code = r.Next(in); code != 0 {
				return
			}
			if len(r.message) > limit {
				t.Fatalf("%d bytes are kept", len(r.message))
			}
		}
	})
}
