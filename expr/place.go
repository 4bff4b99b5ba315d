package expr

import (
	"strings"

	"gopura/exchange"
)

// compile compiles the expressions of t, finds out in which part of its place
// each of them stands, and checks that the literals may stand there.
func (t *Template) compile(e *Env, place Place) (err error) {
	at := inText
	switch place {
	case Header:
		at = inHeader
	case Path:
		at = inPath
	case Query:
		at = inQuery
	case Host:
		at = inHost
	case URL:
		at = t.urlStart()
		t.relative = at == inPath
	}
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.program == nil {
			if err = checkLiteral(p, at, place); err == nil {
				at, err = advance(p, at, place)
			}
			if err != nil {
				return err
			}
			continue
		}
		if p.program, err = e.Compile(p.literal, String); err != nil {
			return shift(err, p.offset)
		}
		f := p.program.fact
		if at == inHost && place == URL && f != nil && f.name == "request.path" {
			at, p.rooted = inPath, true
		}
		p.literal, p.part = "", at
		p.raw = f != nil && f.raw != inText && f.raw == at
	}
	return nil
}

// urlStart says what a URL template begins with: a scheme when "://" stands
// before any slash, else a path.
func (t *Template) urlStart() part {
	for _, p := range t.pieces {
		if p.program != nil {
			continue
		}
		i := strings.IndexAny(p.literal, ":/?#")
		if i < 0 {
			continue
		}
		if strings.HasPrefix(p.literal[i:], "://") {
			return inScheme
		}
		break
	}
	return inPath
}

// advance returns the part that a literal leads to.
func advance(p *piece, at part, place Place) (part, error) {
	s, from := p.literal, 0
	if at == inScheme {
		i := strings.Index(s, "://")
		if i < 0 {
			return at, nil
		}
		at, from = inHost, i+3
	}
	if at == inHost {
		i := strings.IndexAny(s[from:], "/?#")
		if i < 0 {
			return at, nil
		}
		at, from = inPath, from+i
	}
	if at == inPath {
		i := strings.IndexAny(s[from:], "?#")
		if i < 0 {
			return at, nil
		}
		at, from = inQuery, from+i
	}
	if at == inQuery && place != URL {
		if i := strings.IndexByte(s[from:], '#'); i >= 0 {
			return at, &Error{Offset: p.offset + from + i, Message: "a fragment (#) is never sent to a service"}
		}
	}
	return at, nil
}

func checkLiteral(p *piece, at part, place Place) error {
	s := p.literal
	if place == Host {
		if _, err := inHost.admit([]byte(s), 0); err != nil {
			return &Error{Offset: p.offset, Message: "a host is written as name, name:port or address"}
		}
		return nil
	}
	switch at {
	case inText:
		return nil
	case inHeader:
		if !exchange.ValidValue(s) {
			return &Error{Offset: p.offset, Message: "a header value holds no control characters"}
		}
		return nil
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>':
			return &Error{Offset: p.offset, Message: "a path or URL is written in ASCII, without spaces", Hint: "write other characters as %XX"}
		case c == '%' && (i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15):
			return &Error{Offset: p.offset, Message: "% must be followed by two hexadecimal digits", Hint: "%25 stands for %"}
		}
	}
	return nil
}

// admit makes the value dst[n:] fit for its part, or refuses it.
func (p part) admit(dst []byte, n int) ([]byte, error) {
	switch p {
	case inHeader:
		if !exchange.ValidValue(dst[n:]) {
			return dst, ErrUnsafe
		}
	case inScheme:
		if s := string(dst[n:]); s != "http" && s != "https" {
			return dst, ErrUnsafe
		}
	case inHost:
		if len(dst) == n {
			return dst, ErrUnsafe
		}
		for _, c := range dst[n:] {
			if !unreserved(c) && c != ':' && c != '[' && c != ']' {
				return dst, ErrUnsafe
			}
		}
	case inPath, inQuery:
		return escape(dst, n), nil
	}
	return dst, nil
}

// escape percent-encodes dst[n:] in place: all but the unreserved characters
// of RFC 3986 §2.3.
func escape(dst []byte, n int) []byte {
	more := 0
	for _, c := range dst[n:] {
		if !unreserved(c) {
			more += 2
		}
	}
	if more == 0 {
		return dst
	}
	end := len(dst)
	for range more {
		dst = append(dst, 0)
	}
	to := len(dst)
	for i := end - 1; i >= n; i-- {
		if c := dst[i]; unreserved(c) {
			to--
			dst[to] = c
		} else {
			to -= 3
			dst[to], dst[to+1], dst[to+2] = '%', upperHex[c>>4], upperHex[c&15]
		}
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
