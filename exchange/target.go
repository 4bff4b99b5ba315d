package exchange

import "bytes"

// MaxMethod bounds a method's name, in every version of HTTP.
const MaxMethod = 32

// ValidMethod reports whether m is a method (RFC 9110 §9.1), and no longer than one is.
func ValidMethod[T ~string | ~[]byte](m T) bool { return len(m) <= MaxMethod && ValidName(m) }

// ValidTarget reports whether a request target may stand in a request line of HTTP/1 as
// it is: visible ASCII, and no fragment, which some readers cut off and others don't.
func ValidTarget(t []byte) bool {
	for _, c := range t {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return len(t) > 0
}

// SplitTarget takes a target in origin-form apart. The query is nil when there is none.
func SplitTarget(t []byte) (path, query []byte) {
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		return t[:i:i], t[i+1:]
	}
	return t, nil
}

// ParseLength reads the value of Content-Length: digits, and nothing else. RFC 9110 §8.6
// would let a list of equal numbers pass; one reading is safer than two that agree today.
func ParseLength[T ~string | ~[]byte](v T) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	for i := 0; i < len(v); i++ {
		if !digit(v[i]) {
			return 0, false
		}
		n = n*10 + int64(v[i]-'0')
	}
	return n, true
}
