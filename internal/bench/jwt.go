package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenJobs are requests with a token, by Gopura with and without the check of
// it: two processes that take turns, and get the same bytes.
var tokenJobs = []Job{
	{Name: "jwt-rs256", Title: "A JWT (RS256) on every request, 1 KB", Config: "jwt", Path: "/1k", Size: 1 << 10, Script: "jwt.lua"},
	{Name: "jwt-es256", Title: "A JWT (ES256) on every request, 1 KB", Config: "jwt", Path: "/1k", Size: 1 << 10, Script: "jwt.lua"},
}

func tokenKinds() []Kind {
	gopura := kinds[slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == "gopura" })]
	plain, checked := gopura, gopura
	plain.Name, plain.Title, plain.Config = "plain", "plain route", "plain.yaml"
	checked.Name, checked.Title, checked.Config = "checked", "token checked", "checked.yaml"
	return []Kind{plain, checked}
}

func isTokenJob(name string) bool {
	return slices.ContainsFunc(tokenJobs, func(j Job) bool { return j.Name == name })
}

// signed makes an issuer's key and a token of it: the public key in PEM, and
// the token.
func signed(alg string) (key, token string, err error) {
	var private crypto.Signer
	if alg == "RS256" {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	token, err = jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{
		"iss": "https://idp.bench.test/", "aud": "shop", "sub": "alice", "email": "alice@bench.test", "scope": "orders.read orders.write",
		"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(), "jti": fmt.Sprintf("%036d", 0),
	}).SignedString(private)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), token, err
}

// runTokens measures what the check of a token that was seen before costs.
func (b *Bench) runTokens(ctx context.Context, _ options, only []string, done func(Section)) error {
	own := *b
	own.Kinds = tokenKinds()
	for i, alg := range []string{"RS256", "ES256"} {
		j := tokenJobs[i]
		if !wanted(only, j.Name) {
			continue
		}
		key, token, err := signed(alg)
		if err != nil {
			return err
		}
		j.Token, j.Key = token, key
		o, err := own.Run(ctx, j)
		if err != nil {
			return err
		}
		if err := faults([]Outcome{o}); err != nil {
			return err
		}
		done(Section{j.Title, o.tokenTable(), []string{fmt.Sprintf("The check, median of the rounds' differences: %.2f µs CPU. The same token comes again and again.", o.check())}})
	}
	return nil
}

func (o Outcome) tokenTable() Table {
	t := Table{Head: []string{"", "requests/s", "CPU µs/request", "p50", "p99", "RSS MiB", "errors"}}
	for _, r := range o.Results {
		t.Rows = append(t.Rows, []string{
			r.Kind.Title, thousands(r.Median(perSecond)), fmt.Sprintf("%.1f", r.Median(cpu)), latency(r.Median(func(s Sample) float64 { return s.P50 })),
			latency(r.Median(func(s Sample) float64 { return s.P99 })), fmt.Sprintf("%.1f", r.Median(rss)/(1<<20)), fmt.Sprintf("%.0f", r.Sum(failures)),
		})
	}
	return t
}

// check is what the check adds to the CPU of a request, by rounds: both
// processes had the same machine within one.
func (o Outcome) check() float64 {
	plain, checked := o.Results[0].Samples, o.Results[1].Samples
	var more []float64
	for i := range min(len(plain), len(checked)) {
		more = append(more, checked[i].CPU-plain[i].CPU)
	}
	return median(more)
}

// checkToken asks with the token and without: the plain route takes no notice,
// the other one lets nobody in.
func checkToken(ctx context.Context, address string, j Job, checked bool) error {
	url := j.scheme() + address + j.Path
	r, body, err := askAs(ctx, url, j.Token)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK || len(body) != j.Size {
		return fmt.Errorf("with the token: status %d with %d bytes", r.StatusCode, len(body))
	}
	if r, _, err = askAs(ctx, url, j.Token+"x"); err == nil && (r.StatusCode == http.StatusUnauthorized) != checked {
		err = fmt.Errorf("with a token that is not good: status %d", r.StatusCode)
	}
	return err
}
