package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// sanPattern is a pattern over the names of a certificate.
type sanPattern struct {
	kind  string // dns, uri, email, ip
	text  string
	stops string // what * doesn't pass
	fold  bool
}

// parseSAN reads kind:pattern.
func parseSAN(text string) (sanPattern, error) {
	kind, pattern, ok := strings.Cut(text, ":")
	p := sanPattern{kind: kind, text: pattern}
	switch {
	case !ok || pattern == "":
		return p, fmt.Errorf("%q is not kind:pattern, such as dns:*.example.com", text)
	case kind == "dns":
		p.stops, p.fold = ".", true
	case kind == "uri":
		p.stops = "/"
		if i := strings.IndexByte(pattern, '*'); i >= 0 && !strings.Contains(pattern[:i], "://") {
			return p, errors.New("the scheme of a URI is written out")
		}
	case kind == "email":
		p.stops = "@"
	case kind == "ip":
		if _, err := netip.ParseAddr(pattern); err != nil {
			return p, fmt.Errorf("%q is not an address", pattern)
		}
	default:
		return p, fmt.Errorf("%q is none of dns, uri, email, ip", kind)
	}
	if p.fold {
		p.text = strings.ToLower(p.text)
	}
	if strings.Count(p.text, "*") > 16 {
		return p, errors.New("more than 16 stars")
	}
	return p, nil
}

// matches reports whether a whole name fits.
func (p sanPattern) matches(name string) bool {
	if len(name) > 1024 {
		return false
	}
	if p.fold {
		name = strings.ToLower(name)
	}
	// A name that ends early when it is read as text is no name.
	return strings.IndexByte(name, 0) < 0 && globMatch(p.text, name, p.stops)
}

// globMatch matches * to one or more bytes that are not stops, ** to one or more
// of any. It takes time in the order of len(pattern) × len(name).
func globMatch(pattern, name, stops string) bool {
	// at[i]: the pattern so far may end before name[i].
	at := make([]bool, len(name)+1)
	at[0] = true
	for pattern != "" {
		next := make([]bool, len(name)+1)
		switch {
		case strings.HasPrefix(pattern, "*"):
			deep := strings.HasPrefix(pattern, "**")
			pattern = strings.TrimPrefix(pattern[1:], "*")
			in := false
			for i := range len(name) {
				in = (in || at[i]) && (deep || strings.IndexByte(stops, name[i]) < 0)
				next[i+1] = in
			}
		default:
			for i := range len(name) {
				next[i+1] = at[i] && name[i] == pattern[0]
			}
			pattern = pattern[1:]
		}
		at = next
	}
	return at[len(name)]
}
