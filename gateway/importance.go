package gateway

import (
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// importance compiles how important the requests of a route are: always the same, or
// by an expression. One that needs to know who is calling is evaluated behind the
// policies that find out: before that, such a request is normal.
func (c *compiler) importance(n *node, r *config.Route, env *expr.Env, end exchange.Handler, path string) (exchange.Handler, bool) {
	n.cheap = r.Answer != nil || r.Redirect != nil
	text := r.Importance
	if text == "" {
		return end, true
	}
	if i, err := exchange.ParseImportance(strings.TrimSpace(text)); err == nil {
		n.importance = i
		return end, true
	}
	p, err := env.Compile(text, expr.String)
	if err != nil {
		c.exprProblem(r.ImportancePos, path+".importance", text, err)
		return end, false
	}
	rank := func(x *exchange.Exchange) {
		var room [32]byte
		word, _ := p.Append(room[:0], x)
		x.Importance, _ = exchange.ParseImportance(string(word)) // what is none of them is normal
	}
	if !slices.ContainsFunc(p.Facts(), ofIdentity) {
		n.rank = rank
		return end, true
	}
	return exchange.HandlerFunc(func(x *exchange.Exchange) error {
		rank(x)
		return end.Serve(x)
	}), true
}

// ofIdentity reports whether a fact says something about who is calling.
func ofIdentity(fact string) bool {
	root, _, _ := strings.Cut(fact, ".")
	return root == "jwt" || root == "identity"
}
