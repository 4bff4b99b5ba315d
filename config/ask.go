package config

import (
	"slices"
	"strings"
)

// Ask is a call's text taken apart.
type Ask struct {
	Service string

	// "METHOD service/path?query"
	Method   string
	Target   string // the path and query, a template
	TargetAt int    // its offset in the text

	// "service package.Service/Method message": a method of gRPC
	RPC       string // package.Service/Method
	Message   string // a CEL expression; may be empty
	MessageAt int
}

// ParseAsk takes the text of a call apart. Why says what is wrong with it, and
// hint what was probably meant; at is where.
func ParseAsk(text string) (a Ask, at int, why, hint string) {
	first, rest, two := strings.Cut(text, " ")
	offset := len(first) + 1 + len(rest) - len(strings.TrimLeft(rest, " "))
	rest = strings.TrimLeft(rest, " ")
	upper := strings.ToUpper(first)
	switch {
	case !two || rest == "":
		return a, 0, "a call is written as METHOD service/path", "such as GET users/users/{id}"
	case first != upper && slices.Contains(httpMethods, upper):
		return a, 0, quote(first) + " is no method", "did you mean " + quote(upper) + "?"
	case first != upper:
		return parseRPC(first, rest, offset)
	case !isToken(first):
		return a, 0, quote(first) + " is no method", ""
	case upper == "CONNECT":
		return a, 0, "a call can't be CONNECT", ""
	}
	a.Method, a.TargetAt = first, offset
	a.Service, a.Target = rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		a.Service, a.Target = rest[:i], rest[i:]
		a.TargetAt += i
		if rest[i] == '?' {
			return a, offset + i, "a query needs a path before it", quote(a.Service + "/" + rest[i:])
		}
	}
	if strings.HasSuffix(a.Service, ":") && strings.HasPrefix(a.Target, "//") {
		return a, offset, "a call names a service, not a URL", "services: { name: " + a.Service + "//… }, and METHOD name/path"
	}
	if a.Service == "" {
		return a, offset, "names no service before the path", "METHOD service/path"
	}
	if i := strings.IndexAny(a.Service, "{} "); i >= 0 {
		return a, offset + i, "the service is written out, not computed", ""
	}
	return a, 0, "", ""
}

var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func parseRPC(service, rest string, at int) (a Ask, where int, why, hint string) {
	method, message, _ := strings.Cut(rest, " ")
	name, _, slash := strings.Cut(method, "/")
	if !slash || !strings.Contains(name, ".") {
		return a, 0, quote(service) + " is no method", "METHOD service/path, or service package.Service/Method {…} for gRPC"
	}
	a.Service, a.RPC = service, method
	a.MessageAt = at + len(method) + 1
	a.Message = strings.TrimSpace(message)
	a.MessageAt += len(message) - len(strings.TrimLeft(message, " "))
	return a, 0, "", ""
}

// Ask takes the text of c apart again. Of a text that is wrong, as its Check has
// said, there is nothing.
func (c *Call) Ask() Ask { return askOf(c.Call) }

// Ask takes the text of u apart, as that of a call.
func (u *Undo) Ask() Ask { return askOf(u.Call) }

func askOf(text string) Ask {
	a, _, why, _ := ParseAsk(text)
	if why != "" {
		return Ask{}
	}
	return a
}

// checkAsk complains about the text of a call.
func checkAsk(at *At, text string) {
	a, offset, why, hint := ParseAsk(text)
	if why == "" {
		if a.Method != "" {
			checkMethod(at, "call", at.Shown("call", a.Method), a.Method)
		}
		return
	}
	pos, path := at.place("call")
	if at.secret("call") {
		why, hint = "not a call: METHOD service/path", ""
	} else {
		pos = at.d.problems.within(pos, text, offset)
	}
	at.d.problem(pos, path, hint, "%s", why)
}

// checkCalls checks the services that the calls of a route name, and marks them
// as used.
func (d *Document) checkCalls(r *Route, path string, services, used map[string]bool) {
	check := func(service, path string) {
		used[service] = true
		if service != "" && !services[service] {
			d.dangling(path, "service", service, d.serviceNames())
		}
	}
	for i := range r.Compose {
		c := &r.Compose[i]
		at := join(path+".compose", c.Name)
		check(c.Ask().Service, at+".call")
		if c.Undo != nil {
			check(c.Undo.Ask().Service, at+".compensate.call")
		}
	}
}
