package gateway_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issued is a public key in a file, and a request with a token that it verifies.
func issued(b *testing.B, alg string) (file string, request []byte) {
	var private crypto.Signer
	var err error
	if alg == "RS256" {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		b.Fatal(err)
	}
	file = filepath.Join(b.TempDir(), "issuer.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		b.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{
		"iss": "https://idp.example.com/", "aud": "shop", "sub": "alice", "email": "alice@example.com", "exp": time.Now().Unix() + 3600,
	}).SignedString(private)
	if err != nil {
		b.Fatal(err)
	}
	return file, fmt.Appendf(nil, "GET /1k HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: test\r\nAccept: */*\r\nAuthorization: Bearer %s\r\n\r\n", token)
}

// BenchmarkTokenPaired is what the check of a token that was seen before costs
// by the whole gateway: the same request with and without it, in short turns,
// by the process' CPU time. check-ns/op is the median of the turns' differences;
// it has to stay below 1500.
func BenchmarkTokenPaired(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256"} {
		b.Run(alg, func(b *testing.B) {
			file, request := issued(b, alg)
			checkedConfig := strings.Replace(tokenConfig, "secret: "+tokenSecret+", algorithms: HS256", "keys: "+file, 1)
			plain, checked := dial(b, start(b, plainConfig)), dial(b, start(b, checkedConfig))
			buf := make([]byte, 4096)
			const turn = 100
			run := func(c net.Conn) float64 {
				before := spent(b)
				for range turn {
					get1k(b, c, request, buf)
				}
				return float64(spent(b)-before) / turn
			}
			run(plain)
			run(checked)
			var more []float64
			for b.Loop() { // an iteration is a turn of each
				p, c := run(plain), run(checked)
				more = append(more, c-p)
			}
			slices.Sort(more)
			b.ReportMetric(more[len(more)/2], "check-ns/op")
		})
	}
}

// spent is the CPU time of this process so far.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
