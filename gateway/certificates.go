package gateway

import (
	"gopura/certs"
	"gopura/identity"
	"gopura/lifetime"
	"gopura/telemetry"
)

// CertificateInfo is what an operator sees of a certificate of a listener.
type CertificateInfo struct {
	Listener string `json:"listener"`
	certs.CertificateInfo
}

// Certificates returns the certificates that the listeners can present, in the
// order of the file.
func (g *Gateway) Certificates() []CertificateInfo {
	list := []CertificateInfo{}
	h := g.current.Enter()
	if h == nil {
		return list
	}
	defer h.Leave()
	for i := range h.Value.doc.Listeners {
		name := h.Value.doc.Listeners[i].Name
		if d := h.Value.doors[name]; d != nil && d.terms != nil {
			for _, c := range d.terms.Certificates() {
				list = append(list, CertificateInfo{name, c})
			}
		}
	}
	return list
}

// watchCertificates has the metrics of certificates follow those in force.
func (c *compiler) watchCertificates() {
	for name, d := range c.s.doors {
		if d.terms == nil {
			continue
		}
		handles := map[string]*telemetry.Certificate{}
		for _, cert := range d.terms.Certificates() {
			handles[first(cert.Names)] = c.g.metrics.Certificate(c.s.scope, name, first(cert.Names))
		}
		c.g.metrics.OnScrape(c.s.scope, func() {
			if h := c.g.current.Get(); h == nil || h.Value != c.s {
				return // a later configuration says
			}
			for label, at := range soonest(d.terms.Certificates()) {
				handles[label].NotAfter.Set(at)
			}
		})
	}
}

// soonest is when the first certificate of each name expires, in Unix time; 0
// when there is one that is still to come.
func soonest(list []certs.CertificateInfo) map[string]int64 {
	ends := map[string]int64{}
	for _, cert := range list {
		at := int64(0)
		if !cert.NotAfter.IsZero() {
			at = cert.NotAfter.Unix()
		}
		if end, ok := ends[first(cert.Names)]; !ok || at < end {
			ends[first(cert.Names)] = at
		}
	}
	return ends
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// watchKeys has the metrics of an issuer's keys follow what the source knows.
func watchKeys(m *telemetry.Metrics, scope *lifetime.Scope, name string, source identity.Source) {
	w, ok := source.(identity.KeyWatcher)
	if !ok {
		return
	}
	if _, ok := w.KeyStats(); !ok {
		return
	}
	handle := m.KeySet(scope, name)
	m.OnScrape(scope, func() {
		s, _ := w.KeyStats()
		handle.Fetched.Set(s.Fetched)
		handle.Failed.Set(s.Failed)
		if !s.At.IsZero() {
			handle.At.Set(s.At.Unix())
		}
	})
}
