package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// revocations are the lists of certificates that their issuers have taken back
// (RFC 5280 §5), one for each issuer.
type revocations struct {
	lists map[string]*revocationList // by the issuer's whole certificate
}

type revocationList struct {
	revoked  map[string]bool // serial numbers
	from, to time.Time       // when the list is current
	number   *big.Int        // RFC 5280 §5.2.3
}

// after reports whether l was issued after m.
func (l *revocationList) after(m *revocationList) bool {
	if c := l.from.Compare(m.from); c != 0 || l.number == nil || m.number == nil {
		return c > 0
	}
	return l.number.Cmp(m.number) > 0
}

var (
	errNoList    = errors.New("holds no revocation list")
	errNobody    = errors.New("a list is signed by none of the authorities in ca")
	errNotListed = errors.New("there is no revocation list of the issuer")
	errStale     = errors.New("the revocation list of the issuer is not current")
	errRevoked   = errors.New("the certificate is revoked")
)

// parseRevocations reads lists, in PEM or DER. Each must be signed by one of the
// issuers; of several by the same one, the latest counts.
func parseRevocations(text []byte, issuers []*x509.Certificate) (*revocations, error) {
	r := &revocations{lists: map[string]*revocationList{}}
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("holds a %s, where revocation lists belong", block.Type)
		}
		if err := r.add(block.Bytes, issuers); err != nil {
			return nil, err
		}
		n++
	}
	if n > 0 {
		return r, nil
	}
	if len(text) == 0 || text[0] != 0x30 { // an ASN.1 sequence
		return nil, errNoList
	}
	return r, r.add(text, issuers)
}

func (r *revocations) add(der []byte, issuers []*x509.Certificate) error {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	if crl.NextUpdate.IsZero() {
		return errors.New("a list does not say until when it is current")
	}
	for _, e := range crl.Extensions {
		if e.Critical { // a delta, or a part: what it does not name may be revoked all the same
			return fmt.Errorf("a list has the critical extension %v, which is not understood", e.Id)
		}
	}
	l := &revocationList{revoked: make(map[string]bool, len(crl.RevokedCertificateEntries)), from: crl.ThisUpdate, to: crl.NextUpdate, number: crl.Number}
	for _, e := range crl.RevokedCertificateEntries {
		l.revoked[string(e.SerialNumber.Bytes())] = true
	}
	signed := false
	for _, issuer := range issuers {
		if !bytes.Equal(issuer.RawSubject, crl.RawIssuer) || crl.CheckSignatureFrom(issuer) != nil {
			continue
		}
		signed = true
		if before := r.lists[string(issuer.Raw)]; before == nil || l.after(before) {
			r.lists[string(issuer.Raw)] = l
		}
	}
	if !signed {
		return errNobody
	}
	return nil
}

// check looks every certificate of a verified chain up, but the trusted one at
// its end. It fails closed: without a current list of its issuer, a certificate
// does not count.
func (r *revocations) check(chain []*x509.Certificate, now time.Time) (until time.Time, err error) {
	until = forever
	if len(chain) == 1 { // trusted as it is, and so its own issuer
		chain = append(chain[:1:1], chain[0])
	}
	for i, c := range chain[:len(chain)-1] {
		l := r.lists[string(chain[i+1].Raw)]
		switch {
		case l == nil:
			return until, errNotListed
		case now.Before(l.from) || !now.Before(l.to):
			return until, errStale
		case l.revoked[string(c.SerialNumber.Bytes())]:
			return until, errRevoked
		}
		until = earlier(until, l.to)
	}
	return until, nil
}
