package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"gopura/config"
)

// trust is what a listener asks of the certificates of clients. It does not
// change; a changed file makes another one.
type trust struct {
	mode  string
	roots *x509.CertPool
	lists *revocations // nil: nobody asks
	key   string
}

// loadTrust reads the authorities and the revocation lists.
func loadTrust(c *config.ClientCerts) (*trust, string, error) {
	roots, list, text, err := loadPool(c.CA)
	if err != nil {
		return nil, "ca", err
	}
	h := sha256.New()
	h.Write([]byte(c.Mode + "\x00"))
	h.Write(text)
	t := &trust{mode: c.Mode, roots: roots}
	if c.CRL != "" {
		text, err := readFile(c.CRL)
		if err != nil {
			return nil, "crl", err
		}
		if t.lists, err = parseRevocations(text, list); err != nil {
			return nil, "crl", fmt.Errorf("%s: %w", c.CRL, err)
		}
		h.Write([]byte{0})
		h.Write(text)
	}
	t.key = fmt.Sprintf("%x", h.Sum(nil))
	return t, "", nil
}

func (t *trust) authType() tls.ClientAuthType {
	switch {
	case t == nil:
		return tls.NoClientCert
	case t.mode == "required":
		return tls.RequireAndVerifyClientCert
	case t.mode == "optional":
		return tls.VerifyClientCertIfGiven
	}
	return tls.RequestClientCert // verified by judge, which takes an invalid one for none
}

// proof is what is known of a client's certificate.
type proof struct {
	trust  *trust
	chains [][]*x509.Certificate // valid ones; nil: not proven
	until  time.Time             // when it has to be looked at again

	refused bool // the client has not proven what trust asks
}

// forever is later than any certificate.
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

var (
	errNoClientCertificate = errors.New("the client shows no certificate")
	errForeign             = errors.New("the client's certificate is not valid here")
)

// judge verifies what a client has shown. It is an error when the client may
// not go on; a nil trust asks nothing.
func (t *trust) judge(shown []*x509.Certificate, now time.Time) (*proof, error) {
	p := &proof{trust: t, until: forever}
	if t == nil {
		return p, nil
	}
	if len(shown) == 0 {
		if t.mode == "required" {
			return nil, errNoClientCertificate
		}
		return p, nil
	}
	opts := x509.VerifyOptions{
		Roots: t.roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range shown[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(opts)
	if err == nil {
		chains, p.until, err = t.sift(chains, now)
	}
	switch {
	case err == nil:
		p.chains = chains
	case t.mode != "request":
		return nil, fmt.Errorf("%w: %w", errForeign, err)
	}
	return p, nil
}

// sift keeps those of verified chains that nobody has revoked, and says until
// when one of them holds.
func (t *trust) sift(chains [][]*x509.Certificate, now time.Time) (good [][]*x509.Certificate, until time.Time, err error) {
	for _, chain := range chains {
		end := forever
		for _, c := range chain {
			end = earlier(end, c.NotAfter)
		}
		if t.lists != nil {
			next, fault := t.lists.check(chain, now)
			if fault != nil {
				err = fault
				continue
			}
			end = earlier(end, next)
		}
		good = append(good, chain)
		if end.After(until) {
			until = end
		}
	}
	if len(good) > 0 {
		return good, until, nil
	}
	if err == nil {
		err = errForeign
	}
	return nil, time.Time{}, err
}

// verify is the part of a handshake that the standard library leaves to us. It
// runs for resumed sessions as well (unlike VerifyPeerCertificate).
func (t *trust) verify(state tls.ConnectionState) error {
	switch {
	case len(state.PeerCertificates) == 0:
		if t.mode == "required" {
			return errNoClientCertificate
		}
		return nil
	case t.mode == "request":
		return nil
	}
	_, _, err := t.sift(state.VerifiedChains, time.Now())
	return err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// parseCertificates returns the certificates in a PEM text. Anything else in
// it that is PEM is an error: a key in this place is a mistake.
func parseCertificates(text []byte) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s, where certificates belong", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errNoCertificate
	}
	return list, nil
}
