package gateway_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
)

const tokenSecret = "a secret that is long enough for it"

const tokenConfig = `
listen: {main: "127.0.0.1:0"}
access_log: off
identity:
  idp: { jwt: { issuer: https://idp.example.com/, audience: shop, secret: ` + tokenSecret + `, algorithms: HS256 } }
services: {o: "http://ORIGIN"}
routes:
  - {match: /*, to: o, identity: {accept: idp, forward: {X-User-Id: sub, X-User-Email: email}}}
`

// tokenRequest is a request with a token of the usual size.
func tokenRequest() []byte {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil,
		`{"iss":"https://idp.example.com/","aud":"shop","sub":"alice","email":"alice@example.com","exp":%d,"padding":"%0300d"}`, time.Now().Unix()+3600, 0))
	mac := hmac.New(sha256.New, []byte(tokenSecret))
	mac.Write([]byte(text))
	return fmt.Appendf(nil, "GET /1k HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: test\r\nAccept: */*\r\nAuthorization: Bearer %s.%s\r\n\r\n",
		text, encode(mac.Sum(nil)))
}

// get1k sends a request for 1 KiB and reads the answer.
func get1k(t testing.TB, c net.Conn, request, buf []byte) {
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	n, want := 0, -1
	for want < 0 || n < want {
		m, err := c.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
		if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); want < 0 && i >= 0 {
			if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
				t.Fatalf("%s", buf[:n])
			}
			want = i + 4 + 1024
		}
	}
}

// A request whose token was verified before allocates nothing either, though
// the service is told two of its claims.
func TestRememberedTokenAllocates0(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := dial(t, start(t, tokenConfig))
	request, buf := tokenRequest(), make([]byte, 4096)
	for range 500 {
		get1k(t, c, request, buf)
	}
	const rounds = 5000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range rounds {
		get1k(t, c, request, buf)
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / rounds; per > 0.05 {
		t.Errorf("%.2f allocations a request, want 0", per)
	}
}

// BenchmarkToken is the same request with and without the check of its token.
func BenchmarkToken(b *testing.B) {
	for name, text := range map[string]string{"plain": plainConfig, "checked": tokenConfig} {
		b.Run(name, func(b *testing.B) {
			c := dial(b, start(b, text))
			request, buf := tokenRequest(), make([]byte, 4096)
			get1k(b, c, request, buf)
			b.ReportAllocs()
			for b.Loop() {
				get1k(b, c, request, buf)
			}
		})
	}
}

// A source of client certificates on a gateway that asks for none is said to be
// of no use.
func TestCertificatesThatNobodyAsksFor(t *testing.T) {
	const text = `listen: { main: 127.0.0.1:0 }
identity: { workloads: { mtls: { sub: common_name } } }
routes:
  - { match: /*, answer: 204, identity: workloads }
`
	doc, err := gateway.Check(func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, gateway.ConfigOptions())
	})
	if err != nil {
		t.Fatal(err)
	}
	list := doc.Problems().List
	if len(list) != 1 || list[0].Path != "identity.workloads" || !list[0].Warning || !strings.Contains(list[0].Message, "no listener asks clients for a certificate") {
		t.Errorf("%+v", list)
	}
}
