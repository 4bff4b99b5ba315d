package transcode

import (
	"errors"
	"fmt"
	"strings"
)

// template is a path template of google.api.http:
//
//	Template  = "/" Segments [ ":" LITERAL ]
//	Segments  = Segment { "/" Segment }
//	Segment   = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}"
//	FieldPath = IDENT { "." IDENT }
type template struct {
	segments []string // literals, star or rest
	vars     []variable
	verb     string
}

// variable is a part of the path that becomes a field.
type variable struct {
	field    string // dotted
	from, to int    // segments; to is -1 when it takes the rest
	multi    bool   // may hold slashes
}

const (
	star = "\x00*"  // one segment
	rest = "\x00**" // all that is left, also nothing

	maxTemplate         = 2048
	maxTemplateSegments = 64
)

// parseTemplate reads a path template.
func parseTemplate(text string) (*template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	if !strings.HasPrefix(text, "/") {
		return nil, errors.New("does not begin with /")
	}
	p := &templateParser{text: text, at: 1}
	t := &template{}
	if text == "/" {
		return t, nil
	}
	if err := p.segments(t, false); err != nil {
		return nil, fmt.Errorf("%w at byte %d", err, p.at)
	}
	if p.at < len(text) && text[p.at] == ':' {
		p.at++
		if t.verb = p.literal("/{}:*="); t.verb == "" {
			return nil, errors.New("has no verb behind the colon")
		}
	}
	if p.at < len(text) {
		return nil, fmt.Errorf("%q is not expected at byte %d", text[p.at], p.at)
	}
	for i, s := range t.segments {
		if s == rest && i < len(t.segments)-1 {
			return nil, errors.New("has something behind **")
		}
	}
	seen := map[string]bool{}
	for _, v := range t.vars {
		if seen[v.field] {
			return nil, fmt.Errorf("has the variable %s twice", v.field)
		}
		seen[v.field] = true
	}
	return t, nil
}

type templateParser struct {
	text string
	at   int
}

func (p *templateParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// literal takes the bytes up to one of those in stop.
func (p *templateParser) literal(stop string) string {
	from := p.at
	for p.at < len(p.text) && strings.IndexByte(stop, p.text[p.at]) < 0 && p.text[p.at] > ' ' && p.text[p.at] != 0x7f {
		p.at++
	}
	return p.text[from:p.at]
}

func (p *templateParser) segments(t *template, inside bool) error {
	for {
		if len(t.segments) >= maxTemplateSegments {
			return fmt.Errorf("more than %d segments", maxTemplateSegments)
		}
		switch {
		case p.peek() == '{':
			if inside {
				return errors.New("a variable within a variable")
			}
			if err := p.variable(t); err != nil {
				return err
			}
		case strings.HasPrefix(p.text[p.at:], "**"):
			p.at += 2
			t.segments = append(t.segments, rest)
		case p.peek() == '*':
			p.at++
			t.segments = append(t.segments, star)
		default:
			text := p.literal("/{}:*=")
			if text == "" {
				return errors.New("an empty segment")
			}
			decoded, ok := unescape(nil, []byte(text), false)
			if !ok {
				return errors.New("an invalid escape")
			}
			t.segments = append(t.segments, string(decoded))
		}
		if p.peek() != '/' {
			return nil
		}
		p.at++
	}
}

func (p *templateParser) variable(t *template) error {
	p.at++
	v := variable{field: p.literal("/{}:*="), from: len(t.segments)}
	if !validPath([]byte(v.field)) {
		return errors.New("a variable without the name of a field")
	}
	switch p.peek() {
	case '}':
		t.segments = append(t.segments, star)
	case '=':
		p.at++
		if err := p.segments(t, true); err != nil {
			return err
		}
		if p.peek() != '}' {
			return errors.New("a variable that does not end")
		}
	default:
		return errors.New("a variable that does not end")
	}
	p.at++
	v.to = len(t.segments)
	v.multi = v.to-v.from != 1
	if t.segments[v.to-1] == rest {
		v.to, v.multi = -1, true
	}
	t.vars = append(t.vars, v)
	return nil
}

// unescape appends s with its percent escapes decoded; slash keeps those of a
// slash, as google.api.http wants it where a value has several segments.
func unescape(dst, s []byte, slash bool) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return dst, false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high < 0 || low < 0 {
				return dst, false
			}
			c = byte(high<<4 | low)
			if c == '/' && slash {
				dst = append(dst, s[i:i+3]...)
				i += 2
				continue
			}
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, true
}
