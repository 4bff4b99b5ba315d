package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// clients are one for each way to come.
type clients struct {
	kept, fresh, tls1, h2, h3 *http.Client
	over3                     *http3.Transport
}

// errNoHTTP3 marks a connection over QUIC that could not be made.
type errNoHTTP3 struct{ error }

func (e errNoHTTP3) Unwrap() error { return e.error }

func (c *clients) make(g *gateway) error {
	pem, err := os.ReadFile(filepath.Join(g.dir, "soak.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("soak.pem is no certificate")
	}
	conf := &tls.Config{RootCAs: roots}
	c.kept = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	c.fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	c.tls1 = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: conf.Clone(), Protocols: protocols(false)}}
	c.h2 = &http.Client{Transport: &http.Transport{TLSClientConfig: conf.Clone(), Protocols: protocols(true)}}
	c.over3 = &http3.Transport{TLSClientConfig: conf.Clone(), QUICConfig: &quic.Config{HandshakeIdleTimeout: time.Second}, DisableCompression: true,
		Dial: func(ctx context.Context, address string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			conn, err := quic.DialAddr(ctx, address, t, q)
			if err != nil {
				return nil, errNoHTTP3{err}
			}
			return conn, nil
		}}
	c.h3 = &http.Client{Transport: c.over3}
	return nil
}

func protocols(http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	return p
}

func (c *clients) close() {
	for _, client := range []*http.Client{c.kept, c.fresh, c.tls1, c.h2} {
		client.CloseIdleConnections()
	}
	c.over3.Close()
}

// countAgain counts how often net/http sends a request once more on another connection, since
// the one that it had taken was closed before anything came: a client may, and it is no failure,
// but it is told.
func countAgain(ctx context.Context, again *atomic.Int64) context.Context {
	got := 0
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if got++; got > 1 {
			again.Add(1)
		}
	}})
}
