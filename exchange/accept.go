package exchange

import (
	"bytes"
	"iter"
)

// Accepted yields what the Accept fields of a request name: each type without its
// parameters, and how much it is wanted, from 0, not at all, to 1000 (RFC 9110
// §12.5.1). A weight that is none counts as 0.
func Accepted(h *Header) iter.Seq2[[]byte, int] {
	return func(yield func([]byte, int) bool) {
		for v := range h.Values("Accept") {
			for len(v) > 0 {
				var item []byte
				item, v, _ = bytes.Cut(v, []byte(","))
				media, params, _ := bytes.Cut(item, []byte(";"))
				if media = bytes.TrimSpace(media); len(media) > 0 && !yield(media, weightOf(params)) {
					return
				}
			}
		}
	}
}

// weightOf returns the weight among the parameters of an item.
func weightOf(params []byte) int {
	for len(params) > 0 {
		var p []byte
		p, params, _ = bytes.Cut(params, []byte(";"))
		if p = bytes.TrimSpace(p); len(p) > 1 && p[0]|0x20 == 'q' && p[1] == '=' {
			q, ok := parseWeight(p)
			if !ok {
				return 0
			}
			return int(q)
		}
	}
	return 1000
}
