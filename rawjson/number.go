package rawjson

import "bytes"

// decimal is a number as its significant digits, without the zeros around
// them, and its exponent: 0.0120 is 12e-3, whose digits are "12".
type decimal struct {
	before, after []byte // the digits before and behind the point, trimmed
	exponent      int64  // of the last digit
}

const maxExponent = 1 << 40 // larger ones are not told apart

func (d *decimal) read(b []byte) {
	b = bytes.TrimPrefix(b, []byte("-"))
	if i := bytes.IndexAny(b, "eE"); i >= 0 {
		d.exponent = readExponent(b[i+1:])
		b = b[:i]
	}
	d.before, d.after, _ = bytes.Cut(b, []byte("."))
	d.after = bytes.TrimRight(d.after, "0")
	d.exponent -= int64(len(d.after))
	if len(d.after) == 0 {
		n := len(d.before)
		d.before = bytes.TrimRight(d.before, "0")
		d.exponent += int64(n - len(d.before))
	}
	if d.before = bytes.TrimLeft(d.before, "0"); len(d.before) == 0 {
		d.after = bytes.TrimLeft(d.after, "0")
	}
	if d.digits() == 0 {
		d.exponent = 0
	}
}

func readExponent(b []byte) (n int64) {
	negative := b[0] == '-'
	for _, c := range b {
		if c != '+' && c != '-' {
			n = min(n*10+int64(c-'0'), maxExponent)
		}
	}
	if negative {
		return -n
	}
	return n
}

func (d *decimal) digits() int { return len(d.before) + len(d.after) }

func (d *decimal) digit(i int) byte {
	if i < len(d.before) {
		return d.before[i]
	}
	return d.after[i-len(d.before)]
}

func (d *decimal) same(o *decimal) bool {
	if d.exponent != o.exponent || d.digits() != o.digits() {
		return false
	}
	for i := range d.digits() {
		if d.digit(i) != o.digit(i) {
			return false
		}
	}
	return true
}

// Same reports whether two numbers are the same, digit by digit: 1.0 and 10e-1
// are, and what a float64 can't tell apart is told apart.
func (v Value) Same(o Value) bool {
	if v.Kind() != Number || o.Kind() != Number {
		return false
	}
	var a, b decimal
	a.read(v.b)
	b.read(o.b)
	return a.same(&b) && (a.digits() == 0 || (v.b[0] == '-') == (o.b[0] == '-'))
}
