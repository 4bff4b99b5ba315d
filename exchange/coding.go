package exchange

import "bytes"

// Coding is a content coding that the gateway knows.
type Coding uint8

const (
	Plain Coding = iota // "identity": as it is
	Gzip
	Deflate
	Brotli
	Zstd
	codings
)

var codingNames = [codings]string{"identity", "gzip", "deflate", "br", "zstd"}

// String returns its name in header fields.
func (c Coding) String() string { return codingNames[c] }

// Codings is what Accept-Encoding says (RFC 9110 §12.5.3).
type Codings struct {
	Present bool // the field is there
	Other   bool // it speaks of codings that are not known here
	star    int16
	q       [codings]int16 // thousandths, plus one; 0: not listed
}

// AcceptEncoding reads the Accept-Encoding fields of a request. What is no item
// of such a list is passed over.
func AcceptEncoding(h *Header) (a Codings) {
	for i := range h.fields {
		f := &h.fields[i]
		if len(f.Name) != len("accept-encoding") || !EqualFold(f.Name, "accept-encoding") {
			continue
		}
		a.Present = true
		for rest := f.Value; len(rest) > 0; {
			var item []byte
			if n := bytes.IndexByte(rest, ','); n >= 0 {
				item, rest = rest[:n], rest[n+1:]
			} else {
				item, rest = rest, nil
			}
			a.add(item)
		}
	}
	return a
}

func (a *Codings) add(item []byte) {
	name, q := item, int16(1000)
	if n := bytes.IndexByte(item, ';'); n >= 0 {
		var ok bool
		if q, ok = parseWeight(bytes.Trim(item[n+1:], " \t")); !ok {
			return
		}
		name = item[:n]
	}
	name = bytes.Trim(name, " \t")
	if !ValidName(name) {
		return
	}
	if len(name) == 1 && name[0] == '*' {
		a.star, a.Other = q+1, a.Other || q > 0
		return
	}
	if EqualFold(name, "x-gzip") { // RFC 9110 §8.4.1.3
		a.q[Gzip] = q + 1
		return
	}
	for c := range codings {
		if EqualFold(name, codingNames[c]) {
			a.q[c] = q + 1
			return
		}
	}
	a.Other = true
}

// parseWeight reads "q=0.5", in thousandths (RFC 9110 §12.4.2).
func parseWeight(b []byte) (q int16, ok bool) {
	if len(b) < 3 || b[0]|0x20 != 'q' || b[1] != '=' || b[2] != '0' && b[2] != '1' || len(b) > len("q=0.123") {
		return 0, false
	}
	q = int16(b[2]-'0') * 1000
	if len(b) == 3 {
		return q, true
	}
	if b[3] != '.' {
		return 0, false
	}
	for i, unit := 4, int16(100); i < len(b); i, unit = i+1, unit/10 {
		if b[i] < '0' || b[i] > '9' {
			return 0, false
		}
		q += int16(b[i]-'0') * unit
	}
	return q, q <= 1000
}

// Weight returns how much the client wants a coding, from 0, not at all, to
// 1000. A client that says nothing takes everything; Plain is refused only by
// name or by "*;q=0".
func (a *Codings) Weight(c Coding) int {
	switch {
	case !a.Present:
		return 1000
	case a.q[c] > 0:
		return int(a.q[c]) - 1
	case a.star > 0:
		return int(a.star) - 1
	case c == Plain:
		return 1
	}
	return 0
}

// Set returns which of the codings the client takes, a bit for each: requests
// that are equal in it, and have no Other, can be given the same answer.
func (a *Codings) Set() (bits uint8) {
	for c := range codings {
		if a.Weight(c) > 0 {
			bits |= 1 << c
		}
	}
	return bits
}
