package policy

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"

	"gopura/config"
	"gopura/exchange"
)

const csrfDoc = "Refuses requests that a page of another site makes with the user's cookies (403, csrf_refused). GET, HEAD and OPTIONS pass, they must change nothing; but the handshake of a WebSocket does not. " +
	"Any other method is judged by what the browser says of the page, Sec-Fetch-Site, else Origin, else Referer. With none of them and with cookies, no browser of today has sent it, and it is refused. " +
	"With token a header must repeat a cookie as well (double submit)."

// CSRF is the settings of csrf.
type CSRF struct {
	Pos     config.Pos `yaml:"-"`
	On      bool       `yaml:"-" word:"on"`
	Trusted []Origin   `yaml:"trusted" one:"true" doc:"Other origins whose pages may: as in cors."`
	Unknown string     `yaml:"unknown" default:"refuse" enum:"refuse,allow" doc:"What becomes of a request with cookies of which nothing says where it comes from: allow lets programs in that keep cookies."`
	Token   *CSRFToken `yaml:"token" words:"on,off" doc:"Ask for a token as well."`
	Mode    string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// CSRFToken is where a token is looked for.
type CSRFToken struct {
	Pos    config.Pos `yaml:"-"`
	Cookie string     `yaml:"cookie" default:"csrf_token" doc:"The cookie that holds the token; the service, or its pages, set it."`
	Header string     `yaml:"header" default:"X-CSRF-Token" doc:"The header field in which the page repeats it."`
}

var (
	errOtherSite = errors.New("a page of another site made the request")
	errNoSite    = errors.New("nothing says where the request comes from")
	errNoToken   = errors.New("the token is missing, repeated or not that of the cookie")
)

// Compile implements Spec.
func (s *CSRF) Compile(env *Env) (exchange.Middleware, error) {
	c := &csrf{unknown: s.Unknown == "allow", token: s.Token}
	for i := range s.Trusted {
		p, err := parseOrigin(&s.Trusted[i])
		if err == nil && (p.any || p.exact == "null") {
			err = fmt.Errorf("%s would trust every site", s.Trusted[i].Text)
		}
		if err != nil {
			return nil, &Fault{Path: "trusted", Pos: s.Trusted[i].Pos, Err: err}
		}
		c.trusted = append(c.trusted, p)
	}
	if t := s.Token; t != nil && (!exchange.ValidName(t.Cookie) || !exchange.ValidName(t.Header)) {
		return nil, &Fault{Path: "token", Pos: t.Pos, Err: fmt.Errorf("needs the names of a cookie and a header field")}
	}
	shadowed := s.Mode == shadow
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if why := c.judge(&x.Request); why != nil {
				return env.refuse(next, x, "csrf", shadowed, exchange.CSRFRefused.Because(why))
			}
			return next.Serve(x)
		})
	}, nil
}

// csrf is a compiled csrf policy.
type csrf struct {
	trusted []originPattern
	unknown bool
	token   *CSRFToken
}

func (c *csrf) judge(r *exchange.Request) error {
	safe := r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS" // RFC 9110 §9.2.1
	if safe && r.Upgrade == nil {
		return nil
	}
	if err := c.judgeSite(r); err != nil {
		return err
	}
	// A page can't add a field to the handshake of a WebSocket.
	if c.token != nil && !safe && !c.submittedTwice(r) {
		return errNoToken
	}
	return nil
}

// judgeSite asks what a page can't forge: fields that only the browser writes.
func (c *csrf) judgeSite(r *exchange.Request) error {
	h := &r.Header
	origin := h.Get("Origin")
	if h.Count("Origin") > 1 || h.Count("Sec-Fetch-Site") > 1 {
		return errOtherSite
	}
	for i := range c.trusted {
		if origin != nil && c.trusted[i].matches(origin) {
			return nil
		}
	}
	if site := h.Get("Sec-Fetch-Site"); site != nil {
		// none: the user's own act, as a bookmark. same-site is another host of
		// the site, which may be anybody's.
		if s := string(site); s == "same-origin" || s == "none" {
			return nil
		}
		return errOtherSite
	}
	if origin == nil {
		if origin = originOf(h.Get("Referer")); origin == nil {
			if c.unknown || !h.Has("Cookie") {
				return nil
			}
			return errNoSite
		}
		for i := range c.trusted {
			if c.trusted[i].matches(origin) {
				return nil
			}
		}
	}
	if !sameOrigin(origin, r) {
		return errOtherSite
	}
	return nil
}

// originOf cuts a URL after its host. What is no URL has an origin that nobody
// has.
func originOf(url []byte) []byte {
	if len(url) == 0 {
		return nil
	}
	slashes := 0
	for i, c := range url {
		if c == '/' || c == '?' || c == '#' {
			if slashes++; slashes == 3 {
				return url[:i]
			}
		}
	}
	return url
}

// submittedTwice reports whether the header repeats the cookie. A cookie that
// is there twice may have been planted by a neighbour host.
func (c *csrf) submittedTwice(r *exchange.Request) bool {
	sent := r.Header.Get(c.token.Header)
	if r.Header.Count(c.token.Header) != 1 || len(sent) < minToken {
		return false
	}
	kept, n := cookie(&r.Header, c.token.Cookie)
	return n == 1 && subtle.ConstantTimeCompare(sent, kept) == 1
}

// minToken is the length of a token that can't be guessed: 128 bits in base64.
const minToken = 22

// cookie returns the value of a cookie, and how often it is there.
func cookie(h *exchange.Header, name string) (value []byte, n int) {
	for i := range h.Len() {
		f := h.At(i)
		if !exchange.EqualFold(f.Name, "Cookie") {
			continue
		}
		for rest := f.Value; len(rest) > 0; {
			pair := rest
			if j := bytes.IndexByte(rest, ';'); j >= 0 {
				pair, rest = rest[:j], rest[j+1:]
			} else {
				rest = nil
			}
			for len(pair) > 0 && (pair[0] == ' ' || pair[0] == '\t') {
				pair = pair[1:]
			}
			if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
				value = pair[len(name)+1:]
				n++
			}
		}
	}
	return value, n
}
