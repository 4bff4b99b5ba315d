package rawjson

import "bytes"

// pair is a field of a form, decoded.
type pair struct {
	name, value []byte
	next        int // the next field of that name, 0: none
	later       bool
}

// appendForm appends a form (application/x-www-form-urlencoded, as the URL
// standard writes it) as an object, names in the order of their first field.
// An escape that is none stays as it is.
func appendForm(dst, body []byte, l Limits) ([]byte, error) {
	var pairs []pair
	last := map[string]int{}
	for rest := body; len(rest) > 0; {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte("&"))
		if len(field) == 0 {
			continue
		}
		if len(pairs) == l.Members {
			return dst, &Error{Offset: len(body) - len(rest), Reason: tooMany, Limit: true}
		}
		name, value, _ := bytes.Cut(field, []byte("="))
		p := pair{name: unescaped(name), value: unescaped(value)}
		for _, text := range [][]byte{p.name, p.value} {
			if l.UTF8 == RefuseUTF8 && invalidAt(text) < len(text) {
				return dst, &Error{Offset: len(body) - len(rest), Reason: badUTF8}
			}
		}
		if before, ok := last[string(p.name)]; ok {
			pairs[before].next, p.later = len(pairs), true
		}
		last[string(p.name)] = len(pairs)
		pairs = append(pairs, p)
	}
	var b Builder
	b.Reset(dst)
	b.Object()
	for i := range pairs {
		p := &pairs[i]
		if p.later {
			continue
		}
		b.Name(string(p.name))
		if p.next == 0 {
			b.StringBytes(p.value)
			continue
		}
		b.Array()
		for b.StringBytes(p.value); p.next != 0; b.StringBytes(p.value) {
			p = &pairs[p.next]
		}
		b.EndArray()
	}
	b.EndObject()
	return b.Bytes(), nil
}

// unescaped decodes percent-encoding and '+'; what needs none is src itself.
func unescaped(src []byte) []byte {
	if bytes.IndexByte(src, '%') < 0 && bytes.IndexByte(src, '+') < 0 {
		return src
	}
	out := make([]byte, 0, len(src))
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(src) && class[src[i+1]]&class[src[i+2]]&isHex != 0:
			out = append(out, hex(src[i+1])<<4|hex(src[i+2]))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func hex(c byte) byte { return c&0xf + c>>6*9 }
