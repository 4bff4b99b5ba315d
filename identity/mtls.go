package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const mtlsDoc = "The client's TLS certificate. The listener asks for it and verifies it against its authorities; this says who the certificate stands for, " +
	"and which of those that were verified are accepted."

// MTLS is the settings of mtls.
type MTLS struct {
	Pos    config.Pos `yaml:"-"`
	Sub    string     `yaml:"sub" enum:"common_name,dns,uri,email,subject,fingerprint" default:"common_name" doc:"What of the certificate is the subject: its common name, first DNS, URI or e-mail name, the whole distinguished name, or the SHA-256 fingerprint."`
	SAN    []string   `yaml:"san" one:"true" doc:"Patterns, one of which must fit a name of the certificate: dns:*.svc.example.com, uri:spiffe://prod/ns/*/sa/*, email:*@example.com, ip:10.0.0.7. * is within one label, segment or local part; ** is anything. Left out: any name."`
	Issuer string     `yaml:"issuer" doc:"The common name that the certificate's direct issuer must have. Left out: any that the listener verified."`
}

type mtls struct {
	name, sub, issuer string
	san               []sanPattern
	now               func() time.Time
	// seen has the identities of the certificates of live connections. The
	// keys are pointers, which stay valid as long as the entry is there.
	seen *memory[*x509.Certificate, *exchange.Identity]
}

// Compile implements Spec.
func (s *MTLS) Compile(env *Env) (Source, error) {
	m := &mtls{name: env.Name, sub: s.Sub, issuer: s.Issuer, now: env.Now, seen: newMemory[*x509.Certificate, *exchange.Identity](4096)}
	for i, text := range s.SAN {
		p, err := parseSAN(text)
		if err != nil {
			return nil, &Fault{Path: fmt.Sprintf("san[%d]", i), Pos: s.Pos, Err: err}
		}
		m.san = append(m.san, p)
	}
	return m, nil
}

// Challenge implements Challenger: a certificate is asked for in TLS, not here.
func (m *mtls) Challenge(*exchange.Exchange, error) string { return "" }

// Identify implements Source.
func (m *mtls) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	t := x.Client.TLS
	if t == nil || len(t.PeerCertificates) == 0 {
		return nil, None
	}
	leaf := t.PeerCertificates[0]
	now := m.now()
	// Handshakes are verified once; a connection may outlive its certificate.
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return nil, exchange.IdentityInvalid.Because(errors.New("the certificate is not valid at this time"))
	}
	if id, ok := m.seen.get(leaf, now); ok {
		return id, nil
	}
	id, err := m.identify(t, leaf)
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	m.seen.set(leaf, id, leaf.NotAfter)
	return id, nil
}

func (m *mtls) identify(t *tls.ConnectionState, leaf *x509.Certificate) (*exchange.Identity, error) {
	if len(t.VerifiedChains) == 0 || len(t.VerifiedChains[0]) == 0 || !t.VerifiedChains[0][0].Equal(leaf) {
		return nil, errors.New("a certificate that the listener has not verified")
	}
	if m.issuer != "" && (leaf.Issuer.CommonName != m.issuer || leaf.CheckSignatureFrom(issuerOf(t.VerifiedChains[0])) != nil) {
		return nil, errors.New("a certificate of another issuer")
	}
	if len(m.san) > 0 && !m.fits(leaf) {
		return nil, errors.New("a certificate none of whose names is accepted")
	}
	claims := certificateClaims(leaf)
	sub := subjectOf(leaf, m.sub)
	if sub == "" {
		return nil, fmt.Errorf("a certificate without %s", m.sub)
	}
	claims["sub"] = sub
	return &exchange.Identity{Name: m.name, Sub: sub, Claims: claims}, nil
}

func issuerOf(chain []*x509.Certificate) *x509.Certificate { return chain[min(1, len(chain)-1)] }

func (m *mtls) fits(leaf *x509.Certificate) bool {
	for _, p := range m.san {
		for _, name := range namesOf(leaf, p.kind) {
			if p.matches(name) {
				return true
			}
		}
	}
	return false
}

// namesOf returns the subject alternative names of one kind.
func namesOf(c *x509.Certificate, kind string) (names []string) {
	switch kind {
	case "dns":
		return c.DNSNames
	case "email":
		return c.EmailAddresses
	case "uri":
		for _, u := range c.URIs {
			names = append(names, u.String())
		}
	case "ip":
		for _, ip := range c.IPAddresses {
			names = append(names, ip.String())
		}
	}
	return names
}

func subjectOf(c *x509.Certificate, kind string) string {
	switch kind {
	case "common_name":
		return c.Subject.CommonName
	case "subject":
		return c.Subject.String()
	case "fingerprint":
		return fingerprintOf(c)
	}
	if names := namesOf(c, kind); len(names) > 0 {
		return names[0]
	}
	return ""
}

// certificateClaims is what a certificate says, as claims.
func certificateClaims(c *x509.Certificate) map[string]any {
	claims := map[string]any{
		"subject": c.Subject.String(), "common_name": c.Subject.CommonName, "issuer": c.Issuer.String(),
		"serial": hex.EncodeToString(c.SerialNumber.Bytes()), "fingerprint": fingerprintOf(c), "exp": c.NotAfter.Unix(),
	}
	for _, kind := range []string{"dns", "uri", "email", "ip"} {
		claims[kind] = asList(namesOf(c, kind))
	}
	claims["organization"] = asList(c.Subject.Organization)
	claims["organizational_unit"] = asList(c.Subject.OrganizationalUnit)
	return claims
}

func asList(texts []string) []any {
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}

func fingerprintOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
