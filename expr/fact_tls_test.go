package expr

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"

	"gopura/exchange"
)

// What a client's certificate says counts only when it is verified.
func TestClientCertificateFacts(t *testing.T) {
	uri, _ := url.Parse("spiffe://test/alice")
	cert := &x509.Certificate{
		Raw: []byte("der"), SerialNumber: big.NewInt(0xbeef), Subject: pkix.Name{CommonName: "alice", Organization: []string{"Test"}}, Issuer: pkix.Name{CommonName: "ca"},
		DNSNames: []string{"alice.test"}, URIs: []*url.URL{uri}, EmailAddresses: []string{"alice@test"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)},
	}
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	proven := &tls.ConnectionState{PeerCertificates: shown.PeerCertificates, VerifiedChains: [][]*x509.Certificate{{cert, {}}}}
	env, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text                      string
		proven, unproven, without string
	}{
		{`tls.client.verified`, "true", "false", "false"},
		{`tls.client.subject`, "CN=alice,O=Test", "", ""},
		{`tls.client.issuer`, "CN=ca", "", ""},
		{`tls.client.serial`, "beef", "", ""},
		{`tls.client.san.join("|")`, "alice.test|spiffe://test/alice|alice@test|10.0.0.1", "", ""},
		{`"alice.test" in tls.client.san`, "true", "false", "false"},
		{`tls.client.san.exists(n, n.startsWith("spiffe://test/"))`, "true", "false", "false"},
		{`tls.client.verified && tls.client.subject.startsWith("CN=alice,")`, "true", "false", "false"},
		{`string(size(tls.client.fingerprint))`, "64", "64", "0"},
	} {
		p, err := env.Compile(c.text, String)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for _, on := range []struct {
			state *tls.ConnectionState
			want  string
		}{{proven, c.proven}, {shown, c.unproven}, {&tls.ConnectionState{}, c.without}, {nil, c.without}} {
			got, err := p.String(&exchange.Exchange{Client: &exchange.Client{TLS: on.state}})
			if err != nil || got != on.want {
				t.Errorf("%s: %q, %v, want %q", c.text, got, err, on.want)
			}
		}
	}
	for text, hint := range map[string]string{
		"tls.client.subjekt == ''":          "did you mean subject?",
		"tls.client == ''":                  "tls has alpn, client.fingerprint, client.issuer, client.san, client.serial, client.subject, client.verified, sni, version",
		"tls.client.san == 'x'":             "",
		"has(tls.client.subject)":           `compare it with ""`,
		"tls.clients.subject.size() == 0":   "",
		"['a'].exists(tls, tls.x.y == 'z')": "",
	} {
		_, err := env.Compile(text, Bool)
		e, ok := err.(*Error)
		if !ok || hint != "" && e.Hint != hint {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := env.Compile("tls.client.san", String); err == nil {
		t.Error("a list is taken for a text")
	}
}
