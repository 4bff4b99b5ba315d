package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"gopura/certs"
	"gopura/config"
	"gopura/exchange"
)

// door is what a listener has to say to a request before it is routed, and to
// every answer.
type door struct {
	terms    *certs.Terms // nil: cleartext
	redirect bool         // to https
	port     string       // in the address redirected to: ":8443"; "" is the default
	hsts     string       // the value of Strict-Transport-Security; "": none

	alternative *atomic.Pointer[string] // the value of Alt-Svc while HTTP/3 is served
}

// checkListeners reads and checks what listeners prove themselves with.
func (c *compiler) checkListeners() {
	cleartext := slices.ContainsFunc(c.doc.Listeners, func(l config.Listener) bool { return l.TLS == nil })
	c.tls, c.s.doors, c.s.plain = map[string]*certs.Plan{}, map[string]*door{}, true
	for i := range c.doc.Listeners {
		l := &c.doc.Listeners[i]
		d := &door{}
		c.s.doors[l.Name] = d
		if l.TLS != nil {
			c.s.plain = false // it may have to prove itself over a cleartext door
		}
		if r := l.Redirect; r != nil {
			d.redirect, c.s.plain = true, false
			if r.Port != 443 {
				d.port = ":" + strconv.Itoa(r.Port)
			}
		}
		if l.TLS == nil {
			continue
		}
		d.hsts = hsts(l.TLS.HSTS)
		var protocols []string
		for _, p := range []struct{ version, name string }{{"2", "h2"}, {"1.1", "http/1.1"}} {
			if slices.Contains(l.HTTP, p.version) {
				protocols = append(protocols, p.name)
			}
		}
		plan, faults := certs.Load(l.Name, l.TLS, protocols, cleartext, c.kept.forTLS())
		c.tlsFaults(faults, "listen."+l.Name+".tls")
		c.tls[l.Name] = plan
	}
}

func (c *compiler) tlsFaults(faults []certs.Fault, path string) {
	for _, f := range faults {
		at := path + "." + f.Path
		if f.Warning {
			c.doc.Warn(f.Pos, at, "%v", f.Err)
		} else {
			c.doc.Problem(f.Pos, at, "%v", f.Err)
		}
	}
}

// openTLS adopts or starts what the listeners prove themselves with.
func (c *compiler) openTLS() error {
	for i := range c.doc.Listeners {
		l := &c.doc.Listeners[i]
		plan := c.tls[l.Name]
		if plan == nil || c.dry {
			continue
		}
		terms, err := plan.Open(c.s.scope, &c.g.pool, c.g.log)
		if err != nil {
			return c.problem(l.TLS.Pos, "listen."+l.Name+".tls", err)
		}
		c.s.doors[l.Name].terms = terms
	}
	c.watchCertificates()
	return nil
}

// hsts is the value of the header field (RFC 6797 §6.1).
func hsts(h *config.HSTS) string {
	if h == nil {
		return ""
	}
	value := fmt.Sprintf("max-age=%d", int64(h.MaxAge.Seconds()))
	if h.Subdomains {
		value += "; includeSubDomains"
	}
	if h.Preload {
		value += "; preload"
	}
	return value
}

// greet decides whether a request may come this way at all, and answers those
// that have come for something else than a route. It allocates nothing for a
// request that goes on.
func (s *snapshot) greet(x *exchange.Exchange) (answered bool, err error) {
	if x.Client.TLS != nil {
		return false, s.belongs(x)
	}
	if s.plain {
		return false, nil
	}
	d := s.doors[x.Client.Listener]
	if d == nil {
		return false, nil
	}
	if x.Request.Method == "GET" && s.validate(x) {
		return true, nil
	}
	if d.redirect && x.Request.Scheme == "http" { // else a trusted proxy had it over https
		return true, d.send(x)
	}
	return false, nil
}

// belongs refuses a request whose host is not one of the certificate's: the
// client was promised somebody else. A trusted proxy may bring requests for any
// host over one connection.
func (s *snapshot) belongs(x *exchange.Exchange) error {
	admits := x.Client.Admits
	if admits == nil || admits(x.Request.Host, x.Start) {
		return nil
	}
	if s.trusts(x.Client.Peer.Addr()) && admits(nil, x.Start) {
		return nil
	}
	return exchange.Misdirected.Because(nil)
}

// validate answers a certificate authority that looks whether we control a host
// (RFC 8555 §8.3).
func (s *snapshot) validate(x *exchange.Exchange) bool {
	const wellKnown = "/.well-known/acme-challenge/"
	if p := x.Request.Path; len(p) <= len(wellKnown) || string(p[:len(wellKnown)]) != wellKnown {
		return false
	}
	for _, d := range s.doors {
		if text, ok := d.terms.Answer(x.Request.Host, x.Request.Path); ok {
			r := &x.Response
			r.Status, r.Made, r.Body = 200, true, exchange.BytesBody(text)
			r.Header.Add("Content-Type", "text/plain")
			r.Header.Add("Cache-Control", "no-store")
			r.Header.Add(madeHeader, "acme")
			return true
		}
	}
	return false
}

// send sends a client to the same address over https. The host has been checked
// by the front end; without one there is nowhere to send to.
func (d *door) send(x *exchange.Exchange) error {
	q := &x.Request
	if len(q.Host) == 0 {
		return exchange.BadHost.Because(nil)
	}
	if len(q.Path) == 0 || q.Path[0] != '/' {
		return exchange.BadTarget.Because(nil)
	}
	to := x.Arena.Grow(len(q.Host) + len(q.Path) + len(q.Query) + 32)
	to = append(append(append(append(to, "https://"...), q.Host...), d.port...), q.Path...)
	if q.Query != nil {
		to = append(append(to, '?'), q.Query...)
	}
	r := &x.Response
	r.Status, r.Made, r.Body = 308, true, exchange.NoBody
	r.Header.AddBytes("Location", to)
	r.Header.Add(madeHeader, "redirect")
	return nil
}

// harden adds what a listener says with every answer.
func (s *snapshot) harden(x *exchange.Exchange) {
	if x.Client.TLS == nil {
		return // RFC 6797 §7.2: never over cleartext
	}
	d := s.doors[x.Client.Listener]
	if d == nil {
		return
	}
	if d.hsts != "" {
		x.Response.Header.Set("Strict-Transport-Security", d.hsts)
	}
	if d.alternative != nil && x.Client.Protocol != "HTTP/3.0" {
		d.advertise(x)
	}
}
