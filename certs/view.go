package certs

import (
	"crypto/tls"
	"time"

	"golang.org/x/crypto/ocsp"
)

// CertificateInfo is what an operator sees of a certificate: nothing that is
// not shown to every client, but for where it comes from.
type CertificateInfo struct {
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"` // zero: there is none yet
	Source    string    `json:"source"`             // file, acme, self_signed
	File      string    `json:"file,omitempty"`
	OCSP      OCSPInfo  `json:"ocsp"`
}

// OCSPInfo is what is stapled to a certificate.
type OCSPInfo struct {
	// State is none (the certificate names no responder), missing (there is no
	// answer of it), good, or stale.
	State string    `json:"state"`
	Until time.Time `json:"until,omitzero"` // when the answer is too old
}

// origin is where a certificate comes from.
type origin struct {
	kind, file string
	// look returns the certificate of the moment, nil when there is none.
	look func() *tls.Certificate
}

// Certificates describes what the listener can present, the default first.
func (t *Terms) Certificates() []CertificateInfo {
	list := make([]CertificateInfo, 0, len(t.set.list))
	for _, c := range t.set.list {
		list = append(list, c.describe(time.Now()))
	}
	return list
}

func (c *chain) describe(now time.Time) CertificateInfo {
	i := CertificateInfo{Names: c.label, Source: c.from.kind, File: c.from.file, OCSP: OCSPInfo{State: "missing"}}
	cert := c.from.look()
	if cert == nil || cert.Leaf == nil {
		return i
	}
	leaf := cert.Leaf
	i.Issuer, i.NotBefore, i.NotAfter = leaf.Issuer.String(), leaf.NotBefore, leaf.NotAfter
	if leaf.SerialNumber != nil {
		i.Serial = leaf.SerialNumber.Text(16)
	}
	if len(cert.OCSPStaple) == 0 {
		if len(leaf.OCSPServer) == 0 {
			i.OCSP.State = "none"
		}
		return i
	}
	answer, err := ocsp.ParseResponse(cert.OCSPStaple, nil) // it was verified when it came
	if err != nil {
		return i
	}
	i.OCSP.State, i.OCSP.Until = "good", answer.NextUpdate
	if !answer.NextUpdate.IsZero() && now.After(answer.NextUpdate) {
		i.OCSP.State = "stale"
	}
	return i
}

// look returns the certificate of a domain that lives longest.
func (m *manager) look(domain string) *tls.Certificate {
	var best *tls.Certificate
	for _, c := range m.cache.AllMatchingCertificates(domain) {
		if c.Leaf != nil && (best == nil || c.Leaf.NotAfter.After(best.Leaf.NotAfter)) {
			best = &c.Certificate
		}
	}
	return best
}
