package route

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
)

// pattern is a path pattern or an anchored regexp, as the trie holds it.
type pattern struct {
	segments []segment
	end      end
	tail     string       // parameter name of a tail, "" for none
	params   bool         // has parameters to fill
	search   *syntax.Prog // the regexp, for the comparison with others
	prefix   string       // literal text that every path of the regexp starts with
	order    string       // sorts patterns: a byte for each segment, better first
}

// segment is one step: an exact text, decoded, or a parameter.
type segment struct {
	literal string
	param   string // "" for an exact segment
}

// end is what follows the segments.
type end uint8

const (
	atEnd      end = iota // nothing
	withRegexp            // the regexp decides
	withTail              // anything below, or nothing
)

const (
	maxSegments = 64
	maxPattern  = 4096
)

// parsePattern reads a path pattern. Exact segments are kept decoded, so that
// "/café", "/caf%C3%A9" and "/caf%c3%a9" are one pattern.
func parsePattern(text string) (*pattern, error) {
	if text == "" { // a rule for every path
		return (&pattern{end: withTail}).finish(), nil
	}
	if text[0] != '/' {
		return nil, errors.New("must start with /")
	}
	if len(text) > maxPattern {
		return nil, fmt.Errorf("is longer than %d bytes", maxPattern)
	}
	p := &pattern{}
	parts := strings.Split(text[1:], "/")
	if len(parts) > maxSegments {
		return nil, fmt.Errorf("has more than %d segments", maxSegments)
	}
	for i, part := range parts {
		last := i == len(parts)-1
		if err := p.part(part, last); err != nil {
			return nil, err
		}
	}
	return p.finish(), p.checkNames()
}

func (p *pattern) part(part string, last bool) error {
	name, braces := strings.CutPrefix(part, "{")
	if braces {
		name, braces = strings.CutSuffix(name, "}")
	}
	rest, tail := strings.CutSuffix(name, "...")
	switch {
	case part == "*" && last:
		p.end, p.tail, p.params = withTail, "*", true
	case braces && tail && last && rest != "":
		p.end, p.tail, p.params = withTail, rest, true
	case part == "*" || braces && tail && rest != "":
		return fmt.Errorf("%q may only be the last segment; one segment is {name}", part)
	case braces:
		p.segments, p.params = append(p.segments, segment{param: name}), true
		if !validParam(name) {
			return fmt.Errorf("%q is not a parameter: a name is letters, digits and _", part)
		}
	default:
		text, err := decodeLiteral(part)
		if err != nil {
			return err
		}
		if text == "" && !last {
			return errors.New("has an empty segment")
		}
		p.segments = append(p.segments, segment{literal: text})
	}
	return nil
}

func (p *pattern) checkNames() error {
	seen := map[string]bool{}
	for _, name := range append(p.paramNames(), p.tail) {
		if seen[name] {
			return fmt.Errorf("has the parameter %q twice", name)
		}
		seen[name] = true
	}
	if p.tail != "" && p.tail != "*" && !validParam(p.tail) {
		return fmt.Errorf("%q is not a parameter: a name is letters, digits and _", "{"+p.tail+"...}")
	}
	return nil
}

// Params returns the names of the path parameters of a pattern; a tail is "*"
// unless it has a name.
func Params(path string) []string {
	p, err := parsePattern(path)
	if err != nil {
		return nil
	}
	names := p.paramNames()
	if p.tail != "" {
		names = append(names, p.tail)
	}
	return names
}

func (p *pattern) paramNames() (names []string) {
	for _, s := range p.segments {
		if s.param != "" {
			names = append(names, s.param)
		}
	}
	return names
}

// finish computes the order: exact 'a' < {param} 'b' < regexp 'c' < tail 'd',
// segment by segment. Of two patterns that some path matches both, the smaller
// is the more specific, and they are equal only if they are the same step by
// step.
func (p *pattern) finish() *pattern {
	var b strings.Builder
	for _, s := range p.segments {
		if s.param == "" {
			b.WriteByte('a')
		} else {
			b.WriteByte('b')
		}
	}
	switch p.end {
	case withRegexp:
		b.WriteByte('c')
	case withTail:
		b.WriteByte('d')
	}
	p.order = b.String()
	return p
}

// decodeLiteral returns the bytes that an exact segment stands for.
func decodeLiteral(s string) (string, error) {
	if strings.ContainsAny(s, "{}*") {
		return "", fmt.Errorf("segment %q: a parameter is a whole segment, {name} or /* at the end (the characters themselves: %%7B, %%7D, %%2A)", s)
	}
	if strings.ContainsAny(s, "?#\\") {
		return "", fmt.Errorf("segment %q: ?, # and \\ can't stand in a path (a query has conditions of its own)", s)
	}
	b := make([]byte, 0, len(s))
	raw := []byte(s)
	for i := 0; i < len(s); {
		c, next := decodeAt(raw, i, false)
		if s[i] == '%' && next == i+1 {
			return "", fmt.Errorf("segment %q: invalid percent-encoding", s)
		}
		i = next
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("segment %q: control characters can't stand in a path", s)
		}
		b = append(b, c)
	}
	if t := string(b); t == "." || t == ".." || strings.HasPrefix(t, ".;") || strings.HasPrefix(t, "..;") {
		return "", fmt.Errorf("segment %q: dot segments never reach a route", s)
	}
	return string(b), nil
}

func validParam(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// host is a host condition. Its zero value matches every host.
type host struct {
	name   string // "example.com" for both itself and its wildcard
	labels int    // of a wildcard's name; 0 for an exact host
}

// rank is smaller for the more specific: exact, then wildcards by their
// labels, then any.
func (h host) rank() int {
	switch {
	case h.name == "":
		return 1 << 10
	case h.labels == 0:
		return 0
	}
	return 1<<10 - h.labels
}

// String returns the host as it is written in a rule.
func (h host) String() string {
	switch {
	case h.name == "":
		return "*"
	case h.labels == 0:
		return h.name
	}
	return "*." + h.name
}

func parseHost(text string) (host, error) {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if name == "*" {
		return host{}, nil
	}
	name, wild := strings.CutPrefix(name, "*.")
	if len(name) == 0 || len(name) > 253 {
		return host{}, fmt.Errorf("host %q: a name has 1 to 253 characters", text)
	}
	if !wild && name[0] == '[' && name[len(name)-1] == ']' {
		return host{name: name}, nil
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return host{}, fmt.Errorf("host %q: empty label", text)
		}
		for i := 0; i < len(label); i++ {
			switch c := label[i]; {
			case c == ':':
				return host{}, fmt.Errorf("host %q: hosts are matched without the port", text)
			case c == '*':
				return host{}, fmt.Errorf("host %q: a wildcard is the whole first label, *.example.com", text)
			case c >= 0x80:
				return host{}, fmt.Errorf("host %q: write an international name in its xn-- form", text)
			case !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'):
				return host{}, fmt.Errorf("host %q: %q can't stand in a host", text, c)
			}
		}
	}
	h := host{name: name}
	if wild {
		h.labels = strings.Count(name, ".") + 1
	}
	return h, nil
}
