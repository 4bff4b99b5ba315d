package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const corsDoc = "Says which pages of other origins may use the route from a browser (the CORS protocol of the Fetch standard). It answers preflight requests itself, before any identity is asked for: " +
	"a route with cors takes the preflights of its methods, without naming OPTIONS. The service's own CORS fields are dropped. A preflight of an unknown origin is refused with 403 (cors_refused) and no CORS field; " +
	"its other requests pass without one, so that browsers keep the answer from the page: cors protects users, not the service."

// CORS is the settings of cors.
type CORS struct {
	Pos            config.Pos    `yaml:"-"`
	Origins        []Origin      `yaml:"origins" short:"true" one:"true" required:"true" doc:"Origins that may: https://app.example.com, https://*.example.com (any name below), http://localhost:* (any port), {regexp: …}, or * for any."`
	Methods        []string      `yaml:"methods" one:"true" doc:"Methods that pages may use, * for any. Default: those of the route's match, else GET, HEAD and POST."`
	Headers        []string      `yaml:"headers" one:"true" doc:"Request header fields that pages may set beside those that need no leave, * for any."`
	Expose         []string      `yaml:"expose" one:"true" doc:"Response header fields that pages may read beside those that need no leave, * for any."`
	Credentials    bool          `yaml:"credentials" doc:"Pages may send cookies and client certificates. Origins must then be named."`
	MaxAge         time.Duration `yaml:"max_age" default:"10m" max:"1d" doc:"How long a browser may remember the answer to a preflight; 0: it asks each time."`
	PrivateNetwork bool          `yaml:"private_network" doc:"Pages of public sites may reach the gateway in a private network."`
	Mode           string        `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count the requests of unknown origins, and leave CORS to the service."`
}

// Origin is a pattern of origins.
type Origin struct {
	Pos    config.Pos `yaml:"-"`
	Text   string     `yaml:"origin" short:"true" doc:"An origin, with * for the first labels of its host or for its port; * alone is any."`
	Regexp string     `yaml:"regexp" doc:"A regular expression (RE2) that the whole origin matches."`
}

// Enforced reports whether the policy answers preflights.
func (s *CORS) Enforced() bool { return s.Mode != shadow }

// TakesPreflights reports whether among the policies of a route there is one
// that answers preflights. Then, and only then, a preflight may be matched as
// the request that it asks leave for: none of them gets past the policy.
func TakesPreflights(policies []config.Policy) bool {
	return slices.ContainsFunc(policies, func(p config.Policy) bool {
		s, ok := p.Spec.(*CORS)
		return ok && s.Enforced()
	})
}

// Preflight returns the method that a CORS preflight asks leave for, or "".
func Preflight(r *exchange.Request) string {
	if r.Method != "OPTIONS" {
		return ""
	}
	m := r.Header.Get("Access-Control-Request-Method")
	if !r.Header.Has("Origin") || !exchange.ValidName(m) || len(m) > 32 {
		return ""
	}
	for _, s := range [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if string(m) == s {
			return s
		}
	}
	return string(m)
}

// Compile implements Spec.
func (s *CORS) Compile(env *Env) (exchange.Middleware, error) {
	c := &cors{env: env, credentials: s.Credentials, private: s.PrivateNetwork, strict: s.Enforced()}
	var faults []error
	fault := func(path string, pos config.Pos, err error) {
		faults = append(faults, &Fault{Path: path, Pos: pos, Err: err})
	}
	for i := range s.Origins {
		o := &s.Origins[i]
		p, err := parseOrigin(o)
		switch {
		case err != nil:
		case p.any && s.Credentials:
			err = errors.New("any origin and credentials: then every site could act for the user; name the origins")
		case p.exact == "null" && s.Credentials:
			err = errors.New("null and credentials: every sandboxed page is null")
		case s.Credentials && p.matches([]byte("https://gopura.invalid")) && p.matches([]byte("http://0.test:1")):
			err = errors.New("the pattern takes any origin, which is not possible with credentials")
		}
		if err != nil {
			fault("origins", o.Pos, err)
			continue
		}
		c.any = c.any || p.any
		c.origins = append(c.origins, p)
	}
	if len(s.Origins) == 0 {
		fault("origins", s.Pos, errors.New("names no origin"))
	}
	for path, names := range map[string][]string{"methods": s.Methods, "headers": s.Headers, "expose": s.Expose} {
		if err := checkTokens(names, s.Credentials); err != nil {
			fault(path, s.Pos, err)
		}
	}
	if s.MaxAge < 0 {
		fault("max_age", s.Pos, errors.New("a duration is not negative"))
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	c.prepare(s, env.Methods)
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error { return c.serve(x, next) })
	}, nil
}

// checkTokens refuses what is no token, and a * where the Fetch standard takes
// it for a name: with credentials.
func checkTokens(names []string, credentials bool) error {
	for _, n := range names {
		switch {
		case !exchange.ValidName(n):
			return fmt.Errorf("not a name: %q", n)
		case n == "*" && credentials:
			return errors.New("with credentials * is not any: name them")
		case n == "*" && len(names) > 1:
			return errors.New("either * or names")
		}
	}
	return nil
}

// cors is a compiled cors policy.
type cors struct {
	env                  *Env
	origins              []originPattern
	any                  bool // every origin, and without credentials: the answer is the same for all
	credentials, private bool
	strict               bool

	methods, headers, expose, maxAge string // values of fields; empty: none
}

const (
	allowOrigin  = "Access-Control-Allow-Origin"
	corsPrefix   = "access-control-"
	varyActual   = "Origin"
	varyAsked    = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
	answerHeader = "Gopura-Answer" // says what kind of answer the gateway has made
)

func (c *cors) prepare(s *CORS, methods []string) {
	if len(s.Methods) > 0 {
		methods = s.Methods
	}
	if len(methods) == 0 {
		methods = []string{"GET", "HEAD", "POST"}
	}
	c.methods, c.headers, c.expose = strings.Join(methods, ", "), strings.Join(s.Headers, ", "), strings.Join(s.Expose, ", ")
	c.maxAge = strconv.FormatInt(int64(s.MaxAge/time.Second), 10)
}

func (c *cors) serve(x *exchange.Exchange, next exchange.Handler) error {
	origin := x.Request.Header.Get("Origin")
	known := origin != nil && x.Request.Header.Count("Origin") == 1 && c.knows(origin)
	if !c.strict {
		if origin != nil && !known {
			c.env.shadow(x, "cors", exchange.CORSRefused)
		}
		return next.Serve(x)
	}
	if Preflight(&x.Request) != "" {
		return c.preflight(x, origin, known)
	}
	err := next.Serve(x)
	if err != nil {
		// A page may read what went wrong, and a cache must keep apart what
		// differs by origin, also in a failure.
		e := exchange.AsError(err).With()
		c.grant(&e.Header, origin, known)
		return e
	}
	h := &x.Response.Header
	h.Filter(notCORS)
	c.grant(h, origin, known)
	return nil
}

// grant adds the fields of an ordinary answer. Vary is there for requests
// without an origin too: a cache would else give their answer to a page.
func (c *cors) grant(h *exchange.Header, origin []byte, known bool) {
	if c.any {
		h.Add(allowOrigin, "*")
	} else {
		if !h.HasToken("Vary", "Origin") {
			h.Add("Vary", varyActual)
		}
		if !known {
			return
		}
		h.AddBytes(allowOrigin, origin)
	}
	if c.credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
	if c.expose != "" {
		h.Add("Access-Control-Expose-Headers", c.expose)
	}
}

// preflight answers the question whether a page may make a request. It is
// never passed on.
func (c *cors) preflight(x *exchange.Exchange, origin []byte, known bool) error {
	if !known {
		e := exchange.CORSRefused.Because(nil)
		e.Header.Add("Vary", varyAsked)
		c.env.refused(x, "cors", "", e)
		return e
	}
	x.Response.Status, x.Response.Made, x.Response.Body = 204, true, exchange.NoBody
	h := &x.Response.Header
	h.Add("Vary", varyAsked)
	h.Add(answerHeader, "preflight")
	if c.any {
		h.Add(allowOrigin, "*")
	} else {
		h.AddBytes(allowOrigin, origin)
	}
	if c.credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
	h.Add("Access-Control-Allow-Methods", c.methods)
	if c.headers != "" {
		h.Add("Access-Control-Allow-Headers", c.headers)
		if c.headers == "*" { // which does not take this one in
			h.Add("Access-Control-Allow-Headers", "Authorization")
		}
	}
	h.Add("Access-Control-Max-Age", c.maxAge)
	if c.private && exchange.EqualFold(x.Request.Header.Get("Access-Control-Request-Private-Network"), "true") {
		h.Add("Access-Control-Allow-Private-Network", "true")
	}
	return nil
}

func (c *cors) knows(origin []byte) bool {
	for i := range c.origins {
		if c.origins[i].matches(origin) {
			return true
		}
	}
	return false
}

// notCORS keeps the fields that are not this policy's.
func notCORS(f exchange.Field) bool {
	return len(f.Name) < len(corsPrefix) || !exchange.EqualFold(f.Name[:len(corsPrefix)], corsPrefix)
}
