package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// certificateFile holds the certificate and the key that all proxies present,
// in the folder of the run: ECDSA on P-256, the kind that certificate
// authorities give by default.
const certificateFile = "bench.pem"

func writeCertificate(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"bench.test"}, NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	return os.WriteFile(name, text, 0o644) // a key for this run; NGINX's workers are another user
}

// handshakers open connections at the same time.
const handshakers = 16

// runHandshakes makes requests for a while, each on a connection of its own,
// with TLS 1.3. With Fresh "resumed" each connection but the first of a worker
// must resume a session.
func runHandshakes(ctx context.Context, address string, j Job, length time.Duration) (Load, error) {
	end := time.Now().Add(length)
	var mu sync.Mutex
	var took []time.Duration
	l := Load{Seconds: length.Seconds()}
	var all sync.WaitGroup
	for range handshakers {
		all.Go(func() {
			conf := &tls.Config{ServerName: "bench.test", InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}
			if j.Fresh == "resumed" {
				conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for n := 0; ctx.Err() == nil && time.Now().Before(end); n++ {
				start := time.Now()
				err := handshake(ctx, address, j, conf, n > 0)
				mu.Lock()
				if err != nil {
					l.Errors++
				} else {
					took = append(took, time.Since(start))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(took) == 0 {
		return l, errors.New("no handshake has succeeded")
	}
	slices.Sort(took)
	l.Requests, l.P50, l.P99 = int64(len(took)), took[len(took)/2], took[len(took)*99/100]
	return l, nil
}

// handshake makes one request on a new connection.
func handshake(ctx context.Context, address string, j Job, conf *tls.Config, again bool) error {
	nc, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	nc.(*net.TCPConn).SetLinger(0) // leaves no TIME-WAIT, of which the ports would run out
	tc := tls.Client(nc, conf)
	if _, err := fmt.Fprintf(tc, "GET %s HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n", j.Path); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(tc), nil)
	if err != nil {
		return err
	}
	n, err := io.CopyN(io.Discard, r.Body, int64(j.Size))
	switch {
	case err != nil:
		return err
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d with %d bytes", r.StatusCode, n)
	case again && tc.ConnectionState().DidResume != (j.Fresh == "resumed"):
		return fmt.Errorf("a %s handshake was wanted", j.Fresh)
	}
	return nil
}
