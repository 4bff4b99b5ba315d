package transcode

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"

	"gopura/exchange"
)

// pieces is a body that comes in pieces of a size.
type pieces struct {
	b    []byte
	size int
}

func (p *pieces) Next() ([]byte, error) {
	if len(p.b) == 0 {
		return nil, io.EOF
	}
	n := min(p.size, len(p.b))
	out := bytes.Clone(p.b[:n])
	p.b = p.b[n:]
	return out, nil
}
func (p *pieces) Len() int64                { return -1 }
func (p *pieces) Trailer() *exchange.Header { return nil }
func (p *pieces) Close() error              { return nil }

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func readFrames(b []byte, size, max int, encoding string) (out [][]byte, err error) {
	var r FrameReader
	if err := r.Reset(&pieces{b, size}, max, []byte(encoding)); err != nil {
		return nil, err
	}
	for {
		m, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, bytes.Clone(m))
	}
}

func TestFrames(t *testing.T) {
	b := AppendFrame(nil, nil)
	b = AppendFrame(b, []byte("hello"))
	b = AppendFrame(b, bytes.Repeat([]byte("x"), 300))
	for size := 1; size <= len(b); size++ {
		got, err := readFrames(b, size, 1000, "")
		if err != nil || len(got) != 3 || len(got[0]) != 0 || string(got[1]) != "hello" || len(got[2]) != 300 {
			t.Fatalf("pieces of %d: %q %v", size, got, err)
		}
	}
	z := zipped([]byte("hello"))
	packed := append([]byte{1, 0, 0, 0, byte(len(z))}, z...)
	if got, err := readFrames(packed, 7, 100, "gzip"); err != nil || string(got[0]) != "hello" {
		t.Errorf("gzip: %q %v", got, err)
	}
	bomb := zipped(make([]byte, 1<<20))
	head := []byte{1, 0, 0, byte(len(bomb) >> 8), byte(len(bomb))}
	for name, c := range map[string]struct {
		b        []byte
		encoding string
		want     error
	}{
		"too long":    {AppendFrame(nil, make([]byte, 1001)), "", errMessageTooLarge},
		"bomb":        {append(head, bomb...), "gzip", errMessageTooLarge},
		"cut":         {b[:8], "", io.ErrUnexpectedEOF},
		"cut prefix":  {b[:3], "", io.ErrUnexpectedEOF},
		"flags":       {[]byte{2, 0, 0, 0, 0}, "", nil},
		"unannounced": {packed, "", nil},
		"encoding":    {packed, "br", nil},
		"no gzip":     {[]byte{1, 0, 0, 0, 1, 'x'}, "gzip", nil},
	} {
		max := 1000
		if name == "bomb" {
			max = 100_000
		}
		if _, err := readFrames(c.b, 50, max, c.encoding); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, []byte("a")), []byte("b")), 3)
	f.Add(append([]byte{1, 0, 0, 0, byte(len(zipped([]byte("x"))))}, zipped([]byte("x"))...), 4)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 {
			return
		}
		one, err1 := readFrames(b, len(b)+1, 1<<16, "gzip")
		many, err2 := readFrames(b, size, 1<<16, "gzip")
		if (err1 == nil) != (err2 == nil) || len(one) != len(many) {
			t.Fatalf("in one piece %d %v, in pieces of %d %d %v", len(one), err1, size, len(many), err2)
		}
		for i := range one {
			if !bytes.Equal(one[i], many[i]) {
				t.Fatal("the messages differ")
			}
		}
	})
}
