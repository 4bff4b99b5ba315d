package expr

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"cel.dev/cel-go/cel"

	"gopura/exchange"
)

// What is said of a client's certificate holds for a verified one only: the
// text of another is whatever its maker likes. The fingerprint is the exception,
// since nobody can choose it; TLS has proven that the client holds the key.
var clientFacts = []*fact{
	{name: "tls.client.verified", typ: cel.BoolType, doc: "Whether the client has shown a certificate that is valid for the listener's authorities and lists.",
		claim: func(x *exchange.Exchange, _ string) any { return verified(x) != nil }},
	{name: "tls.client.subject", doc: "The subject of the client's verified certificate: CN=alice,O=Example; empty without one.",
		append: ofVerified(func(b []byte, c *x509.Certificate) []byte { return append(b, c.Subject.String()...) })},
	{name: "tls.client.issuer", doc: "The issuer of the client's verified certificate; empty without one.",
		append: ofVerified(func(b []byte, c *x509.Certificate) []byte { return append(b, c.Issuer.String()...) })},
	{name: "tls.client.serial", doc: "The serial number of the client's verified certificate, hexadecimal; empty without one.",
		append: ofVerified(func(b []byte, c *x509.Certificate) []byte { return c.SerialNumber.Append(b, 16) })},
	{name: "tls.client.san", typ: cel.ListType(cel.StringType), doc: "The alternative names of the client's verified certificate: DNS names, URIs, mail and IP addresses; an empty list without one.",
		claim: func(x *exchange.Exchange, _ string) any { return alternatives(verified(x)) }},
	{name: "tls.client.fingerprint", doc: "The SHA-256 of the certificate that the client has shown, verified or not, hexadecimal; empty without one.", append: appendFingerprint},
}

// verified is the certificate of the client, if it is valid.
func verified(x *exchange.Exchange) *x509.Certificate {
	if t := x.Client.TLS; t != nil && len(t.VerifiedChains) > 0 {
		return t.VerifiedChains[0][0]
	}
	return nil
}

func ofVerified(text func(b []byte, c *x509.Certificate) []byte) func([]byte, *exchange.Exchange, string) []byte {
	return func(b []byte, x *exchange.Exchange, _ string) []byte {
		if c := verified(x); c != nil {
			return text(b, c)
		}
		return b
	}
}

func alternatives(c *x509.Certificate) []string {
	list := []string{}
	if c == nil {
		return list
	}
	list = append(list, c.DNSNames...)
	for _, u := range c.URIs {
		list = append(list, u.String())
	}
	list = append(list, c.EmailAddresses...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}

func appendFingerprint(b []byte, x *exchange.Exchange, _ string) []byte {
	t := x.Client.TLS
	if t == nil || len(t.PeerCertificates) == 0 {
		return b
	}
	sum := sha256.Sum256(t.PeerCertificates[0].Raw)
	return hex.AppendEncode(b, sum[:])
}
