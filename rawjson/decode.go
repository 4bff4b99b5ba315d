package rawjson

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What Decode and Decompress return, wrapped with what was found.
var (
	ErrMediaType = errors.New("the media type is not understood")
	ErrCharset   = errors.New("the charset is not understood")
	ErrEncoding  = errors.New("the content encoding is not understood")
	ErrTooLarge  = errors.New("the body is larger than allowed")
)

// Decode returns a message body as a JSON value. contentType is the field value
// as received; an empty one is taken for JSON.
//
//	application/json, *+json               as it is
//	application/x-ndjson, application/jsonl
//	  (and what else they are called)      an array of the lines
//	application/xml, text/xml, *+xml       see xml.go
//	application/x-www-form-urlencoded      an object of strings; a name that comes twice has an array
//	text/*                                 a string
//
// The charset may be UTF-8, US-ASCII or ISO-8859-1. The value is a part of body
// when that is JSON with nothing to repair, else of memory appended to dst.
func Decode(dst []byte, contentType string, body []byte, l Limits) (Value, error) {
	media, charset := mediaType(contentType)
	full := l.full()
	if len(body) > full.Bytes {
		return Value{}, &Error{Offset: full.Bytes, Reason: tooLong, Limit: true}
	}
	body, err := toUTF8(body, charset)
	if err != nil {
		return Value{}, err
	}
	start := len(dst)
	switch {
	case isJSON(media):
		return Parse(body, l)
	case isLines(media):
		dst, err = appendLines(dst, body, full)
	case media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"):
		dst, err = appendXML(dst, body, full, charset != "")
	case media == "application/x-www-form-urlencoded":
		dst, err = appendForm(dst, body, full)
	case strings.HasPrefix(media, "text/"):
		dst, err = appendText(dst, body, full)
	default:
		err = fmt.Errorf("%w: %.100q", ErrMediaType, media)
	}
	if err != nil {
		return Value{}, err
	}
	// What was written above is valid; whether it is within the limits, and
	// whether a name in it comes twice, is found out in one place.
	return Parse(dst[start:], l)
}

func isLines(media string) bool {
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
		"application/jsonlines", "application/x-jsonl", "application/json-lines":
		return true
	}
	return false
}

// mediaType cuts a Content-Type (RFC 9110 §8.3) into its type and its charset,
// both in lower case.
func mediaType(field string) (media, charset string) {
	media, rest, _ := strings.Cut(field, ";")
	for rest != "" {
		var param string
		param, rest, _ = strings.Cut(rest, ";")
		name, value, _ := strings.Cut(param, "=")
		if charset == "" && strings.EqualFold(strings.TrimSpace(name), "charset") {
			charset = strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return strings.ToLower(strings.TrimSpace(media)), charset
}

// toUTF8 returns b in UTF-8, without a byte order mark (RFC 8259 §8.1 lets a
// reader ignore it). Bytes that are no UTF-8 are left to who reads on.
func toUTF8(b []byte, charset string) ([]byte, error) {
	switch charset {
	case "", "utf-8", "utf8":
		return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
	case "us-ascii", "ascii":
		if i := highAt(b); i < len(b) {
			return nil, fmt.Errorf("%w: byte %d is not US-ASCII", ErrCharset, i)
		}
		return b, nil
	case "iso-8859-1", "latin1", "iso_8859-1":
		return fromLatin1(b), nil
	}
	return nil, fmt.Errorf("%w: %.100q", ErrCharset, charset)
}

func highAt(b []byte) int {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return i
		}
	}
	return len(b)
}

// fromLatin1 returns ISO-8859-1 as UTF-8: each byte is the code point.
func fromLatin1(b []byte) []byte {
	i := highAt(b)
	if i == len(b) {
		return b
	}
	out := append(make([]byte, 0, len(b)+len(b)/8), b[:i]...)
	for _, c := range b[i:] {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// appendText appends a text as a string.
func appendText(dst, text []byte, l Limits) ([]byte, error) {
	if l.UTF8 == RefuseUTF8 {
		if i := invalidAt(text); i < len(text) {
			return dst, &Error{Offset: i, Reason: badUTF8}
		}
	}
	return AppendString(dst, text), nil
}

// appendLines appends the values of the lines as an array. Blank lines are
// left out.
func appendLines(dst, body []byte, l Limits) ([]byte, error) {
	inner := l
	inner.Depth--
	if inner.Depth == 0 {
		return dst, &Error{Reason: tooDeep, Limit: true}
	}
	dst = append(dst, '[')
	for at := 0; at < len(body); {
		line, _, _ := bytes.Cut(body[at:], []byte("\n"))
		if space(line, 0) < len(line) {
			v, err := Parse(line, inner)
			if e, ok := err.(*Error); ok {
				e.Offset += at
			}
			if err != nil {
				return dst, err
			}
			dst = append(comma(dst, '['), v.b...)
		}
		at += len(line) + 1
	}
	return append(dst, ']'), nil
}

// IsJSON reports whether Decode takes a body of that Content-Type for JSON; one
// that says nothing is.
func IsJSON(contentType string) bool {
	media, _ := mediaType(contentType)
	return isJSON(media)
}

func isJSON(media string) bool {
	return media == "" || media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}
