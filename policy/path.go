package policy

import (
	"bytes"

	"gopura/exchange"
)

// maxTarget is the longest path and query that a rewrite may make.
const maxTarget = 32 << 10

// checkPath refuses a path that the next server might read in another way than
// we do. What was matched and judged so far is the old path; the new one must
// therefore be in the one normal form already, not merely have one.
func (e *Env) checkPath(a *exchange.Arena, path []byte) error {
	if len(path) == 0 || path[0] != '/' {
		return exchange.BadTarget.Errorf("the new path does not start with a slash")
	}
	// "//host/x" is a reference to another host for whoever resolves it.
	if len(path) > 1 && path[1] == '/' {
		return exchange.BadTarget.Errorf("the new path starts with two slashes")
	}
	if len(path) > maxTarget {
		return exchange.TargetTooLong.Errorf("the new path has %d bytes", len(path))
	}
	if dotSegment(path) {
		return exchange.BadTarget.Errorf("the new path holds a dot segment")
	}
	if e.CleanPath == nil {
		if !plainPath(path) {
			return exchange.BadTarget.Errorf("the new path is not in normal form")
		}
		return nil
	}
	clean, err := e.CleanPath(a, path)
	if err != nil {
		return err
	}
	if !bytes.Equal(clean, path) {
		return exchange.BadTarget.Errorf("the new path is not in normal form")
	}
	return nil
}

// dotSegment reports whether a segment of path is "." or "..", also when the
// dots are percent-encoded or parameters (";…") follow them.
func dotSegment(path []byte) bool {
	for len(path) > 0 {
		segment := path
		if i := bytes.IndexByte(path, '/'); i >= 0 {
			segment, path = path[:i], path[i+1:]
		} else {
			path = nil
		}
		dots := 0
		for len(segment) > 0 {
			if segment[0] == '.' {
				segment = segment[1:]
			} else if len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e' {
				segment = segment[3:]
			} else {
				break
			}
			dots++
		}
		if (dots == 1 || dots == 2) && (len(segment) == 0 || segment[0] == ';' || len(segment) >= 3 && string(segment[:2]) == "%3" && segment[2]|0x20 == 'b') {
			return true
		}
	}
	return false
}

// plainPath reports whether path needs no normalisation by anybody: visible
// ASCII, no empty segment, no encoded slash, backslash or control.
func plainPath(path []byte) bool {
	for i, c := range path {
		switch {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == '#' || c == '?':
			return false
		case c == '/' && i > 0 && path[i-1] == '/':
			return false
		case c == '%':
			if i+2 >= len(path) || !plainEscape(path[i+1], path[i+2]) {
				return false
			}
		}
	}
	return true
}

// plainEscape reports whether an escape is upper case and stands for a byte
// that has to be escaped and means nothing in a path.
func plainEscape(hi, lo byte) bool {
	h, l := bytes.IndexByte(upperHex, hi), bytes.IndexByte(upperHex, lo)
	if h < 0 || l < 0 {
		return false
	}
	switch c := byte(h<<4 | l); {
	case c < ' ' || c == 0x7f || c == '/' || c == '\\':
		return false
	case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~':
		return false
	}
	return true
}

var upperHex = []byte("0123456789ABCDEF")
