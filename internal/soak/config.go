package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// text is a generation of the configuration: it differs from the others in what it answers, in a
// header field of every route, and in a service, so that some of it is kept and some made anew.
func (g *gateway) text(n int) string {
	return fmt.Sprintf(`# generation %[1]d
listen:
  web: %[2]s
  secure:
    address: %[3]s
    tls: { certificates: { cert: %[5]s/soak.pem, key: %[5]s/soak.key } }
    http: ["1.1", "2", "3"]
admin: %[4]s
access_log: { to: %[5]s/access.log, format: json }
log: { level: warn }
shutdown: { grace: 60s }
timeouts: { idle: 10s }
identity:
  idp: { jwt: { issuer: soak, audience: soak, keys: %[5]s/issuer.pem } }
services:
  well: { targets: ["http://%[6]s", "http://%[7]s"], balance: least_requests, health: /echo/health, timeouts: { idle: 5s } }
  frail:
    targets: ["http://%[8]s", "http://%[9]s"]
    timeouts: { connect: %[11]s, response: %[11]s, idle: 5s }
    outliers: { failures: 3, eject: 1s }
    breaker: { failure_rate: 50%%, minimum: 20, window: 2s, pause: 1s }
  changing: { targets: ["http://%[6]s"], timeouts: { response: %[10]dms, idle: 5s } }
defaults:
  headers: { response: { set: { X-Generation: "%[1]d" } } }
routes:
  - { match: GET /generation, answer: { body: "%[1]d" } }
  - { match: /echo/*, to: well }
  - { match: /changing/*, to: changing, strip_prefix: /changing }
  - { match: /frail/*, to: frail }
  - { match: GET /me/*, to: well, identity: idp }
  - { match: GET /limited/*, to: well, limit: '10/s per header["x-client"]' }
  - { match: GET /cached/*, to: well, cache: 1s }
  - match: GET /page/{tag}
    compose:
      user: GET well/part/user/{tag}
      orders: GET well/part/orders/{tag}
      news: { call: "GET frail/part/news/{user.tag}", optional: true }
    respond: '{"user": user, "orders": orders, "news": news}'
  - { match: /socket/*, to: well, websocket: { max_message: 1MiB, idle: 30s } }
  - { match: GET /events/*, to: well }
`, n, g.web, g.secure, g.admin, g.dir, g.services.well[0].address, g.services.well[1].address, g.services.frail[0].address, g.services.frail[1].address, 60000+n%1000, g.patience)
}

// writeSecrets writes a certificate for this machine, and the key of an issuer, and returns a token of it.
func writeSecrets(dir string) (token string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "soak"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{"soak.pem", "CERTIFICATE", cert}, {"soak.key", "PRIVATE KEY", private}, {"issuer.pem", "PUBLIC KEY", public}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return "", err
		}
	}
	return jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "soak", "aud": "soak", "sub": "alice", "iat": now.Unix(), "exp": now.Add(48 * time.Hour).Unix()}).SignedString(key)
}
