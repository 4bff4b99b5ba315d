package lint

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"gopura/config"
	"gopura/gateway"
	"gopura/identity"
	"gopura/policy"
)

// Rules is everything that is looked for. The names are stable: comments and
// reports carry them.
var Rules = []Rule{
	{"public-route", Warning, "A route goes to a service and asks nobody who they are.",
		"Anybody who reaches the listener reaches the service. Add identity to the route or to defaults, or say why it is public.", publicRoutes},
	{"plain-secret", Error, "A secret stands in the file.",
		"Whoever reads the repository has it. Refer to it: ${env:NAME} or ${file:path}.", checked("plain-secret")},
	{"shadowed-route", Warning, "A route can't take any request, because others take them all.",
		"It is dead, or a mistake in a match. Remove it, or give it a priority.", checked("shadowed-route")},
	{"doubtful", Warning, "gopura check warns.",
		"What it says is allowed, and seldom meant.", checked("doubtful")},
	{"cleartext-credentials", Error, "Clients send credentials to a listener without TLS that other machines may reach.",
		"Tokens and passwords can be read on the way. Serve TLS, listen on 127.0.0.1 behind a proxy that does, or redirect to https.", cleartext},
	{"self-signed", Warning, "A listener makes its own certificate.",
		"No client can verify it. It is for development.", selfSigned},
	{"unverified-service", Error, "A service's certificate is not verified.",
		"Whoever sits between can read and change everything. Name its ca or server_name in place of insecure.", unverified},
	{"no-timeout", Warning, "A service may take for ever.",
		"Requests that wait hold memory and connections. Set timeouts.response on the service or timeout on the routes.", noTimeout},
	{"unsafe-retry", Warning, "A route that changes something is sent again after a timeout or an error of the service.",
		"The service may have done it the first time. GET, PUT and DELETE may be repeated by their definition, and so may requests with an Idempotency-Key; check that the service agrees.", unsafeRetry},
	{"no-health-check", Note, "A service has several targets and nobody asks whether they are well.",
		"A dead target is found out by requests that fail. Add health.", noHealth},
	{"unlimited-route", Note, "A public route has no limit.",
		"One client can use up the service. Add limit: 10/s per client.ip, or one under defaults.", unlimited},
	{"unlimited-guesses", Note, "Passwords may be guessed as fast as they are sent.",
		"What limits how fast requests come runs behind identity, and does not count who is not let in. Add refusals: 20/min to the source.", guesses},
	{"any-origin", Warning, "Pages of any origin may read the answers of a route that asks who is calling.",
		"Name the origins.", anyOrigin},
	{"trust-everybody", Error, "Forwarded headers of everybody are believed.",
		"Any client can claim any address, and so get past limits and address lists. Name the networks of your own proxies.", trustEverybody},
	{"shadow-mode", Note, "A policy refuses nothing: it is in shadow mode.",
		"When its metrics look right, take mode: shadow out.", shadowMode},
	{"client-chosen-allow", Warning, "Who may do what is decided by something that the client chooses.",
		"An allow that looks at headers, cookies or the query alone is no protection: anybody can send them. Look at the identity.", clientChosen},
	{"ignore-comment", Warning, "A comment that silences a rule is wrong.",
		"It gives no reason, names no rule, or silences nothing.", nil},
}

// checked returns a rule that takes over what check warns of.
func checked(name string) func(*linter) {
	return func(l *linter) {
		for _, p := range l.doc.Problems().List {
			kind := "doubtful"
			switch {
			case strings.Contains(p.Message, "a secret stands in the file"):
				kind = "plain-secret"
			case strings.HasSuffix(p.Path, ".match"):
				kind = "shadowed-route"
			}
			if strings.HasSuffix(p.Path, ".tls.insecure") {
				continue // unverified-service has it
			}
			if p.Warning && kind == name {
				l.find(p.Pos, p.Hint, p.Message)
			}
		}
	}
}

// asks reports whether a route goes to a service.
func asks(r *config.Route) bool { return r.Redirect == nil && r.Answer == nil }

// has returns the policy of that name that holds for a route.
func (l *linter) has(r *config.Route, name string) *config.Policy {
	for _, p := range gateway.PoliciesOf(l.doc, r) {
		if p.Name == name {
			return &p
		}
	}
	return nil
}

// open reports whether a route lets in anybody.
func (l *linter) open(r *config.Route) bool {
	p := l.has(r, "identity")
	return p == nil || mode(p) == "shadow"
}

func publicRoutes(l *linter) {
	for i := range l.doc.Routes {
		if r := &l.doc.Routes[i]; asks(r) && l.open(r) {
			l.find(r.Pos, "identity: …", fmt.Sprintf("route %q asks nobody who they are", r.Name))
		}
	}
}

func cleartext(l *linter) {
	asking := slices.ContainsFunc(l.doc.Routes, func(r config.Route) bool { return l.has(&r, "identity") != nil })
	for i := range l.doc.Listeners {
		x := &l.doc.Listeners[i]
		if asking && x.TLS == nil && x.Redirect == nil && !local(x.Address) {
			l.find(x.Pos, "tls: …, or redirect: https", fmt.Sprintf("listener %q takes credentials in cleartext from other machines", x.Name))
		}
	}
}

// local reports whether only this machine reaches an address.
func local(address string) bool {
	host := address
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		host = strings.Trim(address[:i], "[]")
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func selfSigned(l *linter) {
	for i := range l.doc.Listeners {
		if t := l.doc.Listeners[i].TLS; t != nil && t.SelfSigned && !local(l.doc.Listeners[i].Address) {
			l.find(t.Pos, "certificates: or acme:", fmt.Sprintf("listener %q presents a certificate that nobody can verify", l.doc.Listeners[i].Name))
		}
	}
}

func unverified(l *linter) {
	for i := range l.doc.Services {
		if t := l.doc.Services[i].TLS; t != nil && t.Insecure {
			l.find(t.Pos, "ca: or server_name:", fmt.Sprintf("the certificate of service %q is not verified", l.doc.Services[i].Name))
		}
	}
}

func noTimeout(l *linter) {
	for i := range l.doc.Services {
		s := &l.doc.Services[i]
		if s.Timeouts.Response != 0 {
			continue
		}
		for j := range l.doc.Routes {
			r := &l.doc.Routes[j]
			if r.Timeout == 0 && slices.ContainsFunc(r.To, func(t config.Split) bool { return t.Service == s.Name }) {
				l.find(s.Pos, "timeouts: { response: 60s }", fmt.Sprintf("service %q may take for ever to answer route %q", s.Name, r.Name))
				break
			}
		}
	}
}

func unsafeRetry(l *linter) {
	for i := range l.doc.Services {
		s := &l.doc.Services[i]
		after := slices.DeleteFunc(slices.Clone(s.Retries.On), func(on string) bool { return on == "connect" || on == "reset" })
		if s.Retries.Attempts == 0 || len(after) == 0 {
			continue
		}
		for j := range l.doc.Routes {
			r := &l.doc.Routes[j]
			to := slices.ContainsFunc(r.To, func(t config.Split) bool { return t.Service == s.Name })
			writes := slices.ContainsFunc(r.Match.Methods, func(m string) bool { return m == "PUT" || m == "DELETE" || m == "POST" || m == "PATCH" })
			if to && writes {
				l.find(r.Pos, "", fmt.Sprintf("route %q may be sent twice to service %q: it retries on %s", r.Name, s.Name, strings.Join(after, ", ")))
			}
		}
	}
}

func noHealth(l *linter) {
	for i := range l.doc.Services {
		if s := &l.doc.Services[i]; len(s.Targets) > 1 && s.Health == nil {
			l.find(s.Pos, "health: /healthz", fmt.Sprintf("nobody asks the %d targets of service %q whether they are well", len(s.Targets), s.Name))
		}
	}
}

func unlimited(l *linter) {
	for i := range l.doc.Routes {
		r := &l.doc.Routes[i]
		if asks(r) && l.open(r) && l.has(r, "limit") == nil && l.has(r, "quota") == nil && l.has(r, "concurrency") == nil {
			l.find(r.Pos, "limit: 10/s per client.ip", fmt.Sprintf("route %q has no limit", r.Name))
		}
	}
}

func guesses(l *linter) {
	for i := range l.doc.Identities {
		b := &l.doc.Identities[i]
		if s, ok := b.Spec.(*identity.Basic); ok && s.Refusals == (config.Rate{}) {
			l.find(b.Pos, "refusals: 20/min", fmt.Sprintf("nothing bounds how many passwords one address may try at %q", b.Name))
		}
	}
}

func anyOrigin(l *linter) {
	for i := range l.doc.Routes {
		r := &l.doc.Routes[i]
		p := l.has(r, "cors")
		if p == nil || l.has(r, "identity") == nil {
			continue
		}
		if c, ok := p.Spec.(*policy.CORS); ok && slices.ContainsFunc(c.Origins, func(o policy.Origin) bool { return o.Text == "*" }) {
			l.find(p.Pos, "cors: { origins: [https://app.example.com] }", fmt.Sprintf("pages of any origin may read route %q", r.Name))
		}
	}
}

func trustEverybody(l *linter) {
	for _, p := range l.doc.TrustedProxies {
		if p.Bits() == 0 {
			l.find(l.doc.Pos["trusted_proxies"], "", fmt.Sprintf("%s is everybody", p))
		}
	}
}

func shadowMode(l *linter) {
	seen := map[config.Pos]bool{}
	for i := range l.doc.Routes {
		for _, p := range gateway.PoliciesOf(l.doc, &l.doc.Routes[i]) {
			if mode(&p) == "shadow" && !seen[p.Pos] {
				seen[p.Pos] = true
				l.find(p.Pos, "", p.Name+" refuses nothing: it is in shadow mode")
			}
		}
	}
}

// mode is the mode of a policy; "" when it has none.
func mode(p *config.Policy) string {
	v := reflect.Indirect(reflect.ValueOf(p.Spec))
	if v.Kind() != reflect.Struct {
		return ""
	}
	if f := v.FieldByName("Mode"); f.IsValid() && f.Kind() == reflect.String {
		return f.String()
	}
	return ""
}

// chosen are the facts that a client chooses freely.
var chosen = []string{"header[", "header.", "cookie.", "cookie[", "query.", "query[", "request.query", "request.target"}

// proven are those that it can't.
var proven = []string{"jwt", "identity", "client.ip", "tls.", "listener"}

func clientChosen(l *linter) {
	seen := map[config.Pos]bool{}
	has := func(text string, words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	for i := range l.doc.Routes {
		r := &l.doc.Routes[i]
		p := l.has(r, "allow")
		if p == nil || seen[p.Pos] {
			continue
		}
		if a, ok := p.Spec.(*policy.Allow); ok && has(a.When, chosen) && !has(a.When, proven) && l.open(r) {
			seen[p.Pos] = true
			l.find(p.Pos, "", fmt.Sprintf("allow of route %q looks at nothing but what the client chooses", r.Name))
		}
	}
}
