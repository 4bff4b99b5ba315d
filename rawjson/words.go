package rawjson

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes at a time, in plain Go: a uint64 is read from the text in one
// load, and arithmetic finds the bytes that matter in it. The lowest byte of
// the word is the first byte of the text.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	lows  = 0x7f7f7f7f7f7f7f7f
)

func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+8]) }

// equal has the high bit of each byte of x that is c, where c is repeated.
// It is exact: nothing carries from one byte to the next.
func equal(x, c uint64) uint64 {
	x ^= c
	return ^((x&lows + lows) | x | lows)
}

// special has the high bit of bytes that end a run of plain text in a string:
// a quote, a backslash, a control character. Only its lowest bit is exact.
func special(x uint64) uint64 {
	q, s := x^(ones*'"'), x^(ones*'\\')
	return ((q-ones)&^q | (s-ones)&^s | (x-ones*' ')&^x) & highs
}

// first returns the index of the first byte marked in m.
func first(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// Classes of a byte.
const (
	isSpace uint8 = 1 << iota
	isHex
	isDelimiter // ends a number or a word: white space, comma, closing bracket
)

var class = [256]uint8{
	' ': isSpace | isDelimiter, '\t': isSpace | isDelimiter, '\n': isSpace | isDelimiter, '\r': isSpace | isDelimiter,
	',': isDelimiter, ']': isDelimiter, '}': isDelimiter,
	'0': isHex, '1': isHex, '2': isHex, '3': isHex, '4': isHex,
	'5': isHex, '6': isHex, '7': isHex, '8': isHex, '9': isHex,
	'a': isHex, 'b': isHex, 'c': isHex, 'd': isHex, 'e': isHex, 'f': isHex,
	'A': isHex, 'B': isHex, 'C': isHex, 'D': isHex, 'E': isHex, 'F': isHex,
}

// space returns the index of the first byte from i on that is no white space
// (RFC 8259 §2), or len(b).
func space(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return spaceLong(b, i)
}

//go:noinline
func spaceLong(b []byte, i int) int {
	for i < len(b) && class[b[i]]&isSpace != 0 {
		i++
		for i+8 <= len(b) && load(b, i) == ones*' ' {
			i += 8
		}
	}
	return i
}
