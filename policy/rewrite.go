package policy

import (
	"bytes"
	"errors"
	"fmt"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

const rewriteDoc = "Replaces the path that the service sees, and the query too when the new text has a question mark. " +
	"Values are percent-encoded as they are inserted, so that none can add a segment, a parameter or a step upwards; " +
	"path parameters are inserted as they were matched. A request that would get a path in which something else could be read is answered with 400 (bad_target)."

// Rewrite is the settings of rewrite.
type Rewrite struct {
	Pos config.Pos `yaml:"-"`
	To  string     `yaml:"to" short:"true" required:"true" doc:"The new path, a template over the facts of the request: /v2/users/{path.id}, or /v2{request.path}?verbose=1."`
}

// Compile implements Spec.
func (s *Rewrite) Compile(env *Env) (exchange.Middleware, error) {
	t, err := env.Expr.TemplateFor(s.To, expr.Path)
	if err == nil {
		err = checkLiterals(env, t)
	}
	if err != nil {
		return nil, &Fault{Path: "to", Pos: s.Pos, Err: err}
	}
	constant, fixed := t.Constant()
	target := []byte(constant)
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			to := target
			if !fixed {
				var err error
				if to, err = t.Append(x.Arena.Grow(128), x); err != nil {
					return refusal(err, exchange.BadTarget)
				}
			}
			path, query, hasQuery := bytes.Cut(to, questionMark)
			if !fixed {
				if err := env.checkPath(&x.Arena, path); err != nil {
					return err
				}
				if len(query) > maxTarget {
					return exchange.TargetTooLong.Errorf("the new query has %d bytes", len(query))
				}
			}
			x.Request.Path = path
			if hasQuery {
				x.Request.Query = query
				if len(query) == 0 {
					x.Request.Query = nil
				}
			}
			return next.Serve(x)
		})
	}, nil
}

var questionMark = []byte{'?'}

// checkLiterals finds, when the template is compiled, what would make every
// request fail.
func checkLiterals(env *Env, t *expr.Template) error {
	path, _, _ := bytes.Cut([]byte(t.Sample()), questionMark)
	var arena exchange.Arena
	if err := env.checkPath(&arena, path); err != nil {
		return fmt.Errorf("with x for each value it is %s: %s", path, reason(err))
	}
	return nil
}

// refusal says whose fault it is that a template gave nothing: a value that
// may not stand there came with the request; anything else is the template's.
func refusal(err error, code *exchange.Code) error {
	if errors.Is(err, expr.ErrUnsafe) {
		return code.Because(err)
	}
	return exchange.Internal.Because(err)
}

// reason is the sentence of an error that becomes part of another.
func reason(err error) string {
	var e *exchange.Error
	if errors.As(err, &e) {
		if e.Detail != "" {
			return e.Detail
		}
		if e.Err != nil {
			return e.Err.Error()
		}
	}
	return err.Error()
}
