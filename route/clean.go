package route

import (
	"bytes"

	"gopura/exchange"
)

// CleanOptions loosens Clean for services that need it.
type CleanOptions struct {
	KeepEncodedSlash bool // let %2F and %5C pass, as part of a segment
	KeepDoubleSlash  bool // don't merge "//"
}

// Clean returns the one form of a request path that is matched and forwarded:
// escapes of unreserved bytes are decoded and other escapes written in upper
// case (RFC 3986 §6.2.2), dot segments resolved (§5.2.4), "//" merged. What a
// server behind us might read in another way than we do is refused: climbing
// above the root, encoded slashes, backslashes, control bytes, "#", "..;".
//
// A plain path is returned as it is; one that needs a closer look is written
// to the arena. The asterisk form "*" is clean. Errors are exchange.BadTarget and
// say what is wrong.
func Clean(a *exchange.Arena, path []byte, o CleanOptions) ([]byte, error) {
	if len(path) == 0 || path[0] != '/' {
		if string(path) == "*" {
			return path, nil
		}
		return nil, refuse("The path does not start with a slash.")
	}
	if isClean(path) {
		return path, nil
	}
	c := cleaner{out: a.Grow(len(path)), CleanOptions: o}
	for rest := path[1:]; ; {
		segment, tail, more := bytes.Cut(rest, slash)
		if err := c.segment(segment, !more); err != nil {
			return nil, err
		}
		if !more {
			return c.out, nil
		}
		rest = tail
	}
}

// slash is never written to.
var slash = []byte{'/'}

func refuse(detail string) error { return exchange.BadTarget.Saying(detail) }

// isClean reports whether path is clean under any options. It may say no to a
// path that is.
func isClean(path []byte) bool {
	afterSlash := false
	for i, c := range path {
		switch class[c] {
		case plain:
			afterSlash = false
		case separator:
			if afterSlash {
				return false
			}
			afterSlash = true
		case dot:
			// A segment may start with one dot and a letter: "/.well-known".
			if afterSlash && (i+1 == len(path) || class[path[i+1]] != plain || path[i+1] == ';') {
				return false
			}
			afterSlash = false
		default:
			return false
		}
	}
	return true
}

// cleaner writes a path segment by segment. Every segment that is in out has
// its slash before it.
type cleaner struct {
	CleanOptions
	out []byte
}

func (c *cleaner) segment(raw []byte, last bool) error {
	if len(raw) == 0 && !last && !c.KeepDoubleSlash {
		return nil
	}
	start := len(c.out)
	c.out = append(c.out, '/')
	if err := c.decode(raw); err != nil {
		return err
	}
	switch s := c.out[start+1:]; {
	case string(s) == ".":
		c.out = c.out[:start]
	case string(s) == "..":
		parent := bytes.LastIndexByte(c.out[:start], '/')
		if parent < 0 {
			return refuse("The path climbs above the root.")
		}
		c.out = c.out[:parent]
	default:
		return checkDots(s)
	}
	if last {
		c.out = append(c.out, '/')
	}
	return nil
}

// decode appends a segment: bytes checked, escapes normalised.
func (c *cleaner) decode(raw []byte) error {
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		switch class[b] {
		case bad:
			return refuse("The path has a byte that may not stand there.")
		case escape:
			if i+2 >= len(raw) || unhex[raw[i+1]] < 0 || unhex[raw[i+2]] < 0 {
				return refuse("The path has an invalid percent-encoding.")
			}
			b = byte(unhex[raw[i+1]])<<4 | byte(unhex[raw[i+2]])
			i += 2
			switch {
			case b < ' ' || b == 0x7f:
				return refuse("The path has an encoded control byte.")
			case (b == '/' || b == '\\') && !c.KeepEncodedSlash:
				return refuse("The path has an encoded slash or backslash.")
			case !unreserved(b):
				c.out = append(c.out, '%', upperHex[b>>4], upperHex[b&15])
				continue
			}
		}
		c.out = append(c.out, b)
	}
	return nil
}

// checkDots refuses a segment that another reader might take for a dot
// segment: one with parameters ("..;a", which servlet containers cut off), or
// one that would be there if its encoded slashes were decoded.
func checkDots(s []byte) error {
	for {
		piece, rest, more := cutSlash(s)
		dots := 0
		for dots < len(piece) && piece[dots] == '.' {
			dots++
		}
		if after := piece[dots:]; dots == 1 || dots == 2 {
			if len(after) == 0 || after[0] == ';' || bytes.HasPrefix(after, encodedSemicolon) {
				return refuse("The path has a disguised dot segment.")
			}
		}
		if !more {
			return nil
		}
		s = rest
	}
}

var encodedSemicolon = []byte("%3B")

// cutSlash splits a segment around its first encoded slash or backslash.
func cutSlash(s []byte) (before, after []byte, found bool) {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && (s[i+1] == '2' && s[i+2] == 'F' || s[i+1] == '5' && s[i+2] == 'C') {
			return s[:i], s[i+3:], true
		}
	}
	return s, nil, false
}

// The classes of bytes in a path.
const (
	bad       = iota // never raw: controls, space, "#", "?", "\", DEL and what is not ASCII
	plain            // stands for itself anywhere
	separator        // "/"
	dot              // may start a dot segment
	escape           // "%"
)

var class = func() (t [256]uint8) {
	for c := 0x21; c < 0x7f; c++ {
		t[c] = plain
	}
	t['#'], t['?'], t['\\'] = bad, bad, bad
	t['/'], t['.'], t['%'] = separator, dot, escape
	return t
}()

// unreserved bytes mean the same escaped or not (RFC 3986 §2.3).
func unreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '.' || b == '_' || b == '~'
}
