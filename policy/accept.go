package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

const methodsDoc = "Refuses requests with a method that is not listed, with 405 (method_not_allowed) and Allow. GET takes HEAD as well. " +
	"It is for defaults and shared blocks; a route by itself names its methods in match."

// Methods is the settings of methods.
type Methods struct {
	Pos   config.Pos `yaml:"-"`
	Allow []string   `yaml:"allow" short:"true" one:"true" required:"true" doc:"The methods that pass."`
	Mode  string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// Compile implements Spec.
func (s *Methods) Compile(env *Env) (exchange.Middleware, error) {
	for _, m := range s.Allow {
		if !exchange.ValidName(m) || strings.ToUpper(m) != m {
			return nil, &Fault{Path: "allow", Pos: s.Pos, Err: fmt.Errorf("not a method: %q", m)}
		}
	}
	if len(s.Allow) == 0 {
		return nil, &Fault{Path: "allow", Pos: s.Pos, Err: errors.New("names no method")}
	}
	methods := slices.Clone(s.Allow)
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	methods = slices.Compact(methods)
	allow := strings.Join(methods, ", ")
	shadowed := s.Mode == shadow
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if slices.Contains(methods, x.Request.Method) {
				return next.Serve(x)
			}
			e := exchange.MethodNotAllowed.Because(nil)
			e.Header.Add("Allow", allow) // RFC 9110 §15.5.6
			return env.refuse(next, x, "methods", shadowed, e)
		})
	}, nil
}

const contentTypesDoc = "Refuses a request body of a type that is not listed, and one without a type, with 415 (media_type_unsupported). Requests without a body pass."

// ContentTypes is the settings of content_types.
type ContentTypes struct {
	Pos   config.Pos `yaml:"-"`
	Allow []string   `yaml:"allow" short:"true" one:"true" required:"true" doc:"The types that pass, without parameters: application/json, image/*, application/*+json."`
	Mode  string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// Compile implements Spec.
func (s *ContentTypes) Compile(env *Env) (exchange.Middleware, error) {
	var types []mediaType
	for _, text := range s.Allow {
		t, err := parseMediaType(text)
		if err != nil {
			return nil, &Fault{Path: "allow", Pos: s.Pos, Err: err}
		}
		types = append(types, t)
	}
	if len(types) == 0 {
		return nil, &Fault{Path: "allow", Pos: s.Pos, Err: errors.New("names no type")}
	}
	accept, shadowed := strings.Join(s.Allow, ", "), s.Mode == shadow
	if strings.Contains(accept, "*+") {
		accept = "" // can't be said in Accept
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if x.Request.Body.Len() == 0 || takes(types, &x.Request.Header) {
				return next.Serve(x)
			}
			e := exchange.MediaTypeUnsupported.Because(nil)
			if accept != "" {
				e.Header.Add("Accept", accept) // RFC 9110 §15.5.16
			}
			return env.refuse(next, x, "content_types", shadowed, e)
		})
	}, nil
}

// mediaType is a pattern of media types, in lower case.
type mediaType struct {
	main, sub string // sub "*": any
	suffix    string // "+json": any sub that ends so
}

func parseMediaType(text string) (t mediaType, err error) {
	main, sub, ok := strings.Cut(strings.ToLower(text), "/")
	suffix := ""
	if rest, found := strings.CutPrefix(sub, "*+"); found {
		suffix, sub = "+"+rest, "*"
		ok = ok && exchange.ValidName(rest)
	}
	if !ok || !exchange.ValidName(main) || main == "*" && sub != "*" || !exchange.ValidName(sub) || sub != "*" && strings.Contains(sub, "*") {
		return t, fmt.Errorf("a media type is written type/subtype, type/* or type/*+suffix, without parameters: %q", text)
	}
	return mediaType{main, sub, suffix}, nil
}

// takes reports whether the Content-Type is one of types. A field that is there
// twice is read in two ways, and so in none.
func takes(types []mediaType, h *exchange.Header) bool {
	if h.Count("Content-Type") != 1 {
		return false
	}
	text, _, _ := bytes.Cut(h.Get("Content-Type"), semicolon)
	main, sub, ok := bytes.Cut(bytes.TrimRight(text, " \t"), slash)
	if !ok || !exchange.ValidName(main) || !exchange.ValidName(sub) {
		return false
	}
	for i := range types {
		t := &types[i]
		if t.main != "*" && !exchange.EqualFold(main, t.main) {
			continue
		}
		switch {
		case t.suffix != "":
			if n := len(sub) - len(t.suffix); n > 0 && exchange.EqualFold(sub[n:], t.suffix) {
				return true
			}
		case t.sub == "*" || exchange.EqualFold(sub, t.sub):
			return true
		}
	}
	return false
}

// Never written to.
var semicolon, slash = []byte{';'}, []byte{'/'}
