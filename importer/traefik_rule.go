package importer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rule is an expression of Traefik: a matcher with its arguments, or several
// expressions.
type rule struct {
	op   string // "": a matcher; &&, ||, !
	name string
	args []string
	of   []*rule
}

const (
	maxRule         = 16 << 10 // bytes
	maxRuleDepth    = 32
	maxAlternatives = 64
)

type ruleParser struct {
	text  string
	depth int
}

func parseRule(text string) (*rule, error) {
	if len(text) > maxRule {
		return nil, fmt.Errorf("a rule of more than %d bytes", maxRule)
	}
	p := &ruleParser{text: text}
	r, err := p.or()
	if err == nil {
		if p.space(); p.text != "" {
			err = fmt.Errorf("the rule is not understood from %q on", cut(p.text))
		}
	}
	return r, err
}

func cut(text string) string {
	if len(text) > 20 {
		return text[:20] + "…"
	}
	return text
}

func (p *ruleParser) space() { p.text = strings.TrimLeft(p.text, " \t\r\n") }

func (p *ruleParser) takes(word string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.text, word)
	if ok {
		p.text = rest
	}
	return ok
}

func (p *ruleParser) or() (*rule, error)  { return p.chain("||", p.and) }
func (p *ruleParser) and() (*rule, error) { return p.chain("&&", p.not) }

func (p *ruleParser) chain(op string, next func() (*rule, error)) (*rule, error) {
	first, err := next()
	if err != nil {
		return nil, err
	}
	list := []*rule{first}
	for p.takes(op) {
		r, err := next()
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if len(list) == 1 {
		return first, nil
	}
	return &rule{op: op, of: list}, nil
}

func (p *ruleParser) not() (*rule, error) {
	if p.depth++; p.depth > maxRuleDepth {
		return nil, errors.New("a rule that is nested too deep")
	}
	defer func() { p.depth-- }()
	switch {
	case p.takes("!"):
		r, err := p.not()
		return &rule{op: "!", of: []*rule{r}}, err
	case p.takes("("):
		r, err := p.or()
		if err == nil && !p.takes(")") {
			err = errors.New("a ( of the rule is never closed")
		}
		return r, err
	}
	return p.matcher()
}

var ruleName = regexp.MustCompile(`^[A-Za-z]+`)

func (p *ruleParser) matcher() (*rule, error) {
	p.space()
	name := ruleName.FindString(p.text)
	p.text = p.text[len(name):]
	if name == "" || !p.takes("(") {
		return nil, fmt.Errorf("the rule is not understood at %q", cut(name+p.text))
	}
	r := &rule{name: strings.ToLower(name)}
	for !p.takes(")") {
		p.space()
		if p.text == "" {
			return nil, errors.New("the rule ends too early")
		}
		quote := p.text[0]
		end := -1
		if quote == '`' || quote == '"' {
			end = strings.IndexByte(p.text[1:], quote)
		}
		if end < 0 {
			return nil, fmt.Errorf("an argument of %s is not in quotes", name)
		}
		r.args = append(r.args, p.text[1:1+end])
		p.text = p.text[end+2:]
		p.takes(",")
	}
	if len(r.args) == 0 {
		return nil, fmt.Errorf("%s has no argument", name)
	}
	return r, nil
}

// alternative is one way to fit a rule.
type alternative struct {
	matcher
	prefixes []string
}

// alternatives are conditions of ours, each of which takes what the rule takes:
// hosts and methods beside each other are one, a negation is an expression.
func (r *rule) alternatives() ([]alternative, error) {
	switch r.op {
	case "&&":
		out := []alternative{{}}
		for _, part := range r.of {
			list, err := part.alternatives()
			if err != nil {
				return nil, err
			}
			var joined []alternative
			for _, a := range out {
				for _, b := range list {
					c, err := a.and(b)
					if err != nil {
						return nil, err
					}
					joined = append(joined, c)
				}
			}
			if out = joined; len(out) > maxAlternatives {
				return nil, fmt.Errorf("a rule with more than %d alternatives", maxAlternatives)
			}
		}
		for i := range out {
			if out[i].path == "" && out[i].regexp == "" {
				out[i].path = "/*"
			}
		}
		return out, nil
	case "||":
		var out []alternative
		for _, part := range r.of {
			list, err := part.alternatives()
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
		return gather(out), nil
	case "!":
		text, err := r.expression()
		return []alternative{{matcher: matcher{path: "/*", when: []string{text}}}}, err
	}
	return r.atom()
}

// gather joins alternatives that differ in hosts alone, or in methods alone.
func gather(list []alternative) []alternative {
	only := func(field func(m *matcher) *[]string) bool {
		for _, a := range list {
			own := field(&a.matcher)
			n := len(*own)
			*own = nil
			if n == 0 || a.regexp != "" || a.path != "/*" && a.path != "" || len(a.hosts)+len(a.methods)+len(a.headers)+len(a.query)+len(a.when) > 0 {
				return false
			}
		}
		return true
	}
	for _, field := range []func(m *matcher) *[]string{func(m *matcher) *[]string { return &m.hosts }, func(m *matcher) *[]string { return &m.methods }} {
		if len(list) > 1 && only(field) {
			one := alternative{matcher: matcher{path: "/*"}}
			for _, a := range list {
				*field(&one.matcher) = append(*field(&one.matcher), *field(&a.matcher)...)
			}
			return []alternative{one}
		}
	}
	return list
}

// and joins two conditions.
func (a alternative) and(b alternative) (alternative, error) {
	out := a
	out.prefixes = append(slices.Clip(a.prefixes), b.prefixes...)
	out.headers = append(slices.Clip(a.headers), b.headers...)
	out.query = append(slices.Clip(a.query), b.query...)
	out.when = append(slices.Clip(a.when), b.when...)
	if len(b.hosts) > 0 && len(a.hosts) > 0 || len(b.methods) > 0 && len(a.methods) > 0 {
		return out, errors.New("a rule that asks for two hosts or methods at once")
	}
	out.hosts = append(slices.Clip(a.hosts), b.hosts...)
	out.methods = append(slices.Clip(a.methods), b.methods...)
	anyPath := func(m matcher) bool { return m.regexp == "" && (m.path == "" || m.path == "/*") }
	switch {
	case anyPath(b.matcher):
	case anyPath(a.matcher):
		out.path, out.regexp = b.path, b.regexp
	case b.regexp != "":
		out.when = append(out.when, "request.path.matches("+quoted(b.regexp)+")")
	default:
		start, exact := start(b.matcher)
		if exact {
			out.when = append(out.when, "request.path == "+quoted(start))
		} else {
			out.when = append(out.when, "request.path.startsWith("+quoted(strings.TrimSuffix(start, "/"))+")")
		}
	}
	return out, nil
}

var oldPattern = regexp.MustCompile(`\{([a-zA-Z0-9_]+)(?::([^{}]*(?:\{[^{}]*\})?[^{}]*))?\}`)

// atom is a matcher as alternatives: one for each path that it names.
func (r *rule) atom() ([]alternative, error) {
	m := matcher{path: "/*"}
	one := func() ([]alternative, error) { return []alternative{{matcher: m}}, nil }
	switch r.name {
	case "host":
		for _, h := range r.args {
			m.hosts = append(m.hosts, strings.ToLower(h))
		}
		return one()
	case "method":
		m.methods = upper(r.args)
		return one()
	case "path", "pathprefix", "pathregexp":
		return r.paths()
	case "header", "headers", "headerregexp", "headersregexp":
		if len(r.args) != 2 {
			return nil, fmt.Errorf("%s takes a name and a value", r.name)
		}
		kind := "exact"
		if strings.HasSuffix(r.name, "regexp") {
			kind = "regexp"
			if _, err := regexp.Compile(r.args[1]); err != nil {
				return nil, err
			}
		}
		m.headers = []condition{{strings.ToLower(r.args[0]), kind, r.args[1]}}
		return one()
	}
	text, err := r.expression()
	if err != nil {
		return nil, err
	}
	m.when = []string{text}
	return one()
}

func (r *rule) paths() (out []alternative, err error) {
	for _, text := range r.args {
		a := alternative{}
		switch {
		case r.name == "pathregexp":
			if a.regexp, err = anchoredRegexp(text); err != nil {
				return nil, err
			}
		case oldPattern.MatchString(text):
			a.regexp, err = oldPath(text, r.name == "path")
			if err != nil {
				return nil, err
			}
		case r.name == "path":
			if a.path = text; !plainPath(text) {
				a.path, a.regexp = "", "^"+regexp.QuoteMeta(text)+"$"
			}
		default:
			if a.path = prefixPattern(text); a.path == "" {
				a.regexp = "^" + regexp.QuoteMeta(text)
			} else if text != "/" {
				a.prefixes = []string{strings.TrimSuffix(text, "/")}
			}
		}
		if a.regexp != "" && !strings.HasPrefix(text, "/") && r.name != "pathregexp" {
			return nil, fmt.Errorf("a path that does not begin with /: %q", text)
		}
		out = append(out, a)
	}
	return out, nil
}

// oldPath is a path of version 2, in which {name:expression} may stand.
func oldPath(text string, whole bool) (string, error) {
	var b strings.Builder
	b.WriteString("^")
	for {
		at := oldPattern.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		b.WriteString(regexp.QuoteMeta(text[:at[0]]))
		expr := "[^/]+"
		if at[4] >= 0 {
			expr = text[at[4]:at[5]]
		}
		b.WriteString("(?P<" + text[at[2]:at[3]] + ">" + expr + ")")
		text = text[at[1]:]
	}
	b.WriteString(regexp.QuoteMeta(text))
	if whole {
		b.WriteString("$")
	}
	_, err := regexp.Compile(b.String())
	return b.String(), err
}

// expression is a rule in CEL.
func (r *rule) expression() (string, error) {
	if r.op != "" {
		var parts []string
		for _, part := range r.of {
			text, err := part.expression()
			if err != nil {
				return "", err
			}
			parts = append(parts, text)
		}
		if r.op == "!" {
			return "!(" + parts[0] + ")", nil
		}
		return "(" + strings.Join(parts, " "+r.op+" ") + ")", nil
	}
	var parts []string
	var wrong error
	matches := func(fact, expr string) {
		if _, err := regexp.Compile(expr); err != nil && wrong == nil {
			wrong = err
		}
		parts = append(parts, fact+".matches("+quoted(expr)+")")
	}
	for i, a := range r.args {
		switch r.name {
		case "host":
			parts = append(parts, "request.host == "+quoted(strings.ToLower(a)))
		case "hostregexp":
			if oldPattern.MatchString(a) && !strings.Contains(a, `\`) {
				a = "^" + oldPattern.ReplaceAllStringFunc(strings.ReplaceAll(a, ".", `\.`), func(p string) string {
					m := oldPattern.FindStringSubmatch(p)
					if m[2] == "" {
						return "(?:[^.]+)"
					}
					return "(?:" + strings.ReplaceAll(m[2], `\.`, ".") + ")"
				}) + "$"
			}
			matches("request.host", a)
		case "method":
			parts = append(parts, "request.method == "+quoted(strings.ToUpper(a)))
		case "path":
			parts = append(parts, "request.path == "+quoted(a))
		case "pathprefix":
			parts = append(parts, "request.path.startsWith("+quoted(a)+")")
		case "pathregexp":
			matches("request.path", a)
		case "clientip":
			if !isNetwork(a) {
				return "", fmt.Errorf("%q is no network", a)
			}
			parts = append(parts, "client.ip.inCIDR("+quoted(network(a).String())+")")
		case "header", "headers", "headerregexp", "headersregexp", "query", "queryregexp":
			if name, value, ok := strings.Cut(a, "="); strings.HasPrefix(r.name, "query") && len(r.args) == 1 && ok {
				return "query[" + quoted(name) + "] == " + quoted(value), nil
			}
			if i > 0 || len(r.args) > 2 {
				continue
			}
			fact := "header[" + quoted(strings.ToLower(a)) + "]"
			if strings.HasPrefix(r.name, "query") {
				fact = "query[" + quoted(a) + "]"
			}
			switch {
			case len(r.args) == 1:
				parts = append(parts, quoted(a)+" in "+fact[:strings.IndexByte(fact, '[')])
			case strings.HasSuffix(r.name, "regexp"):
				matches(fact, r.args[1])
			default:
				parts = append(parts, fact+" == "+quoted(r.args[1]))
			}
		default:
			return "", fmt.Errorf("%s is not known", r.name)
		}
	}
	if wrong != nil {
		return "", wrong
	}
	switch len(parts) {
	case 0:
		return "", fmt.Errorf("%s is not understood", r.name)
	case 1:
		return parts[0], nil
	}
	return "(" + strings.Join(parts, " || ") + ")", nil
}
