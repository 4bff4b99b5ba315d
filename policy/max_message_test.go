package policy

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"gopura/exchange"
)

// cutBody gives its bytes in pieces of that many.
type cutBody struct {
	exchange.Body
	rest []byte
	n    int
}

func (b *cutBody) Next() ([]byte, error) {
	if len(b.rest) == 0 {
		return nil, io.EOF
	}
	p := b.rest[:min(b.n, len(b.rest))]
	b.rest = b.rest[len(p):]
	return p, nil
}

func messages(sizes ...int) (out []byte) {
	for _, n := range sizes {
		out = append(binary.BigEndian.AppendUint32(append(out, 0), uint32(n)), make([]byte, n)...)
	}
	return out
}

// Messages are counted however the bytes are cut, and each for itself.
func TestMessagesAreCounted(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		over  bool
	}{
		{nil, false}, {[]int{0}, false}, {[]int{10, 10, 10}, false}, {[]int{11}, true}, {[]int{3, 0, 10, 11}, true},
	} {
		all := messages(c.sizes...)
		for n := 1; n < 20; n++ {
			b := &messageBody{Body: &cutBody{rest: all, n: n}, limit: 10, over: exchange.MessageTooLarge}
			var got []byte
			var err error
			for err == nil {
				var p []byte
				p, err = b.Next()
				got = append(got, p...)
			}
			if c.over != exchange.MessageTooLarge.Is(err) || !c.over && !bytes.Equal(got, all) {
				t.Errorf("%v in pieces of %d: %v", c.sizes, n, err)
			}
		}
	}
}

func FuzzMessageBody(f *testing.F) {
	f.Add(messages(1, 2, 3), 4)
	f.Fuzz(func(t *testing.T, all []byte, n int) {
		whole := &messageBody{limit: 10}
		want := whole.scan(all)
		parts := &messageBody{limit: 10}
		for rest := all; len(rest) > 0; {
			p := rest[:min(max(n, 1), len(rest))]
			rest = rest[len(p):]
			if got := parts.scan(p); got > 10 {
				if got != want {
					t.Errorf("%d, in pieces %d", want, got)
				}
				return
			}
		}
		if want > 10 {
			t.Errorf("%d, in pieces nothing", want)
		}
	})
}
