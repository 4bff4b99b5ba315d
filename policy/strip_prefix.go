package policy

import (
	"bytes"
	"fmt"

	"gopura/config"
	"gopura/exchange"
)

const stripPrefixDoc = "Removes a prefix of whole segments from the path before the service sees it, and tells the service which in " +
	"X-Forwarded-Prefix. /api of /api/users leaves /users; it takes nothing from /apiary. A path without the prefix passes as it is."

// StripPrefix is the settings of strip_prefix.
type StripPrefix struct {
	Pos    config.Pos `yaml:"-"`
	Prefix string     `yaml:"prefix" short:"true" required:"true" doc:"The segments to remove, as /api or /api/v1."`
}

const forwardedPrefix = "X-Forwarded-Prefix"

// Compile implements Spec.
func (s *StripPrefix) Compile(env *Env) (exchange.Middleware, error) {
	prefix := []byte(s.Prefix)
	if len(prefix) > 1 && prefix[len(prefix)-1] == '/' {
		prefix = prefix[:len(prefix)-1] // /api/ means /api: segments are whole anyway
	}
	if string(prefix) == "/" {
		return nil, &Fault{Path: "prefix", Pos: s.Pos, Err: fmt.Errorf("/ is in front of every path, there is nothing to remove")}
	}
	var arena exchange.Arena
	if err := env.checkPath(&arena, prefix); err != nil {
		return nil, &Fault{Path: "prefix", Pos: s.Pos, Err: fmt.Errorf("not a prefix of a path in normal form: %s", reason(err))}
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			// Whatever the client says of a prefix is no fact of ours.
			x.Request.Header.DelAlias(forwardedPrefix)
			rest, ok := stripSegments(x.Request.Path, prefix)
			if !ok {
				return next.Serve(x)
			}
			if err := env.checkPath(&x.Arena, rest); err != nil {
				return err
			}
			x.Request.Path = rest
			x.Request.Header.AddBytes(forwardedPrefix, prefix)
			return next.Serve(x)
		})
	}, nil
}

var root = []byte{'/'}

// stripSegments returns what follows prefix, when prefix ends at the end of a
// segment.
func stripSegments(path, prefix []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(path, prefix)
	switch {
	case !ok || len(rest) > 0 && rest[0] != '/':
		return nil, false
	case len(rest) == 0:
		return root, true
	}
	return rest, true
}
