package identity

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// This file reads the part of RFC 9651 (structured field values) that message
// signatures are made of: dictionaries of inner lists of texts, and of byte
// sequences. It is stricter where that loses nothing: a key twice is an error.

// sfItem is a bare item: string, int64, bool, []byte or sfToken.
type sfItem any

type sfToken string

// sfParam is a parameter of an item or a list.
type sfParam struct {
	key   string
	value sfItem
}

// sfMember is a member of a dictionary: an item, or an inner list of items.
type sfMember struct {
	key    string
	item   sfItem
	list   []sfListItem
	isList bool
	params []sfParam
}

type sfListItem struct {
	item   sfItem
	params []sfParam
}

// Limits of a dictionary from a client.
const (
	maxStructured = 8 << 10
	maxMembers    = 16
	maxItems      = 64
	maxParams     = 16
)

var errStructured = errors.New("not a well-formed structured field")

// sfParser reads from the front of text.
type sfParser struct{ text string }

// parseDictionary reads a whole field (RFC 9651 §4.2.2).
func parseDictionary(text string) ([]sfMember, error) {
	if len(text) > maxStructured {
		return nil, errStructured
	}
	p := &sfParser{strings.Trim(text, " ")}
	var members []sfMember
	for {
		m, ok := p.member()
		if !ok || len(members) == maxMembers {
			return nil, errStructured
		}
		for _, other := range members {
			if other.key == m.key {
				return nil, errStructured
			}
		}
		members = append(members, m)
		p.text = strings.TrimLeft(p.text, " \t")
		if p.text == "" {
			return members, nil
		}
		if !p.skip(',') {
			return nil, errStructured
		}
		p.text = strings.TrimLeft(p.text, " \t")
	}
}

func (p *sfParser) skip(c byte) bool {
	if p.text == "" || p.text[0] != c {
		return false
	}
	p.text = p.text[1:]
	return true
}

func (p *sfParser) member() (m sfMember, ok bool) {
	if m.key, ok = p.key(); !ok {
		return m, false
	}
	switch {
	case !p.skip('='):
		m.item = true
	case strings.HasPrefix(p.text, "("):
		m.isList = true
		if m.list, ok = p.innerList(); !ok {
			return m, false
		}
	default:
		if m.item, ok = p.bareItem(); !ok {
			return m, false
		}
	}
	m.params, ok = p.parameters()
	return m, ok
}

func (p *sfParser) innerList() (list []sfListItem, ok bool) {
	p.skip('(')
	for {
		p.text = strings.TrimLeft(p.text, " ")
		if p.skip(')') {
			return list, true
		}
		var it sfListItem
		if it.item, ok = p.bareItem(); !ok || len(list) == maxItems {
			return nil, false
		}
		if it.params, ok = p.parameters(); !ok {
			return nil, false
		}
		list = append(list, it)
		if p.text == "" || p.text[0] != ' ' && p.text[0] != ')' {
			return nil, false
		}
	}
}

func (p *sfParser) parameters() (params []sfParam, ok bool) {
	for p.skip(';') {
		p.text = strings.TrimLeft(p.text, " ")
		key, ok := p.key()
		if !ok || len(params) == maxParams {
			return nil, false
		}
		var value sfItem = true
		if p.skip('=') {
			if value, ok = p.bareItem(); !ok {
				return nil, false
			}
		}
		for _, other := range params {
			if other.key == key {
				return nil, false
			}
		}
		params = append(params, sfParam{key, value})
	}
	return params, true
}

func (p *sfParser) key() (string, bool) {
	n := 0
	for n < len(p.text) {
		c := p.text[n]
		if 'a' <= c && c <= 'z' || c == '*' || n > 0 && ('0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			n++
			continue
		}
		break
	}
	key := p.text[:n]
	p.text = p.text[n:]
	return key, n > 0
}

func (p *sfParser) bareItem() (sfItem, bool) {
	if p.text == "" {
		return nil, false
	}
	switch c := p.text[0]; {
	case c == '"':
		return p.str()
	case c == ':':
		return p.bytes()
	case c == '?':
		if len(p.text) < 2 || p.text[1] != '0' && p.text[1] != '1' {
			return nil, false
		}
		on := p.text[1] == '1'
		p.text = p.text[2:]
		return on, true
	case c == '-' || '0' <= c && c <= '9':
		return p.integer()
	case c == '*' || 'a' <= c|0x20 && c|0x20 <= 'z':
		return p.token()
	}
	return nil, false
}

func (p *sfParser) str() (sfItem, bool) {
	var b strings.Builder
	for i := 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\':
			i++
			if i == len(p.text) || p.text[i] != '"' && p.text[i] != '\\' {
				return nil, false
			}
			b.WriteByte(p.text[i])
		case c == '"':
			p.text = p.text[i+1:]
			return b.String(), true
		case c < ' ' || c >= 0x7f:
			return nil, false
		default:
			b.WriteByte(c)
		}
	}
	return nil, false
}

func (p *sfParser) bytes() (sfItem, bool) {
	end := strings.IndexByte(p.text[1:], ':')
	if end < 0 {
		return nil, false
	}
	data, err := base64.StdEncoding.Strict().DecodeString(p.text[1 : 1+end])
	if err != nil || strings.ContainsAny(p.text[1:1+end], "\r\n") {
		return nil, false
	}
	p.text = p.text[end+2:]
	return data, true
}

func (p *sfParser) integer() (sfItem, bool) {
	n := 1
	for n < len(p.text) && '0' <= p.text[n] && p.text[n] <= '9' {
		n++
	}
	digits := strings.TrimPrefix(p.text[:n], "-")
	i, err := strconv.ParseInt(p.text[:n], 10, 64)
	if err != nil || len(digits) > 15 || n < len(p.text) && p.text[n] == '.' { // no decimals here
		return nil, false
	}
	p.text = p.text[n:]
	return i, true
}

func (p *sfParser) token() (sfItem, bool) {
	n := 1
	for n < len(p.text) {
		c := p.text[n]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0 {
			n++
			continue
		}
		break
	}
	t := p.text[:n]
	p.text = p.text[n:]
	return sfToken(t), true
}

// appendItem appends the one way to write an item (RFC 9651 §4.1.3).
func appendItem(dst []byte, item sfItem) []byte {
	switch v := item.(type) {
	case string:
		dst = append(dst, '"')
		for i := range len(v) {
			if v[i] == '"' || v[i] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, v[i])
		}
		return append(dst, '"')
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case bool:
		if v {
			return append(dst, "?1"...)
		}
		return append(dst, "?0"...)
	case []byte:
		dst = append(dst, ':')
		dst = base64.StdEncoding.AppendEncode(dst, v)
		return append(dst, ':')
	case sfToken:
		return append(dst, v...)
	}
	return dst
}

func appendParams(dst []byte, params []sfParam) []byte {
	for _, p := range params {
		dst = append(append(dst, ';'), p.key...)
		if p.value != true {
			dst = appendItem(append(dst, '='), p.value)
		}
	}
	return dst
}

// appendInnerList appends the one way to write an inner list.
func appendInnerList(dst []byte, m *sfMember) []byte {
	dst = append(dst, '(')
	for i, it := range m.list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendParams(appendItem(dst, it.item), it.params)
	}
	return appendParams(append(dst, ')'), m.params)
}
