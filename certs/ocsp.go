package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/crypto/ocsp"
)

// stapler keeps a current answer of the OCSP responder stapled to a certificate
// from files (RFC 6066 §8). It works in the background: nobody waits for it,
// and without an answer nothing is stapled. (For certificates by ACME certmagic
// does the same.)
type stapler struct {
	pair   *pair
	issuer *x509.Certificate
	url    string
	client *http.Client
	log    *slog.Logger
}

const (
	ocspTimeout = 10 * time.Second
	maxOCSP     = 64 << 10
	minRefresh  = time.Minute
	maxRefresh  = 24 * time.Hour
)

// newStapler returns nil when the certificate names no responder, or its chain
// does not hold its issuer.
func newStapler(p *pair, log *slog.Logger) *stapler {
	cert := p.current.Load()
	if len(p.leaf.OCSPServer) == 0 || len(cert.Certificate) < 2 {
		return nil
	}
	u, err := url.Parse(p.leaf.OCSPServer[0])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	issuer, err := x509.ParseCertificate(cert.Certificate[1])
	if err != nil {
		return nil
	}
	return &stapler{p, issuer, p.leaf.OCSPServer[0], &http.Client{
		Timeout:   ocspTimeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
	}, log}
}

// run asks again at half the life of an answer, and after a failure at growing
// distances.
func (s *stapler) run(ctx context.Context) {
	var until time.Time
	pause := minRefresh
	for {
		answer, err := s.ask(ctx)
		wait := pause
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("OCSP", "certificate", s.pair.leaf.Subject.String(), "responder", s.url, "error", err)
			pause = min(2*pause, time.Hour)
		default:
			until, pause = answer.NextUpdate, minRefresh
			if until.IsZero() {
				until = time.Now().Add(maxRefresh)
			}
			s.staple(answer.Raw)
			wait = min(max(time.Until(until)/2, minRefresh), maxRefresh)
		}
		if err != nil && !until.IsZero() {
			wait = min(wait, max(time.Until(until), 0)) // not beyond the answer that we have
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if !until.IsZero() && !time.Now().Before(until) {
			s.staple(nil) // a stale answer is worse than none
			until = time.Time{}
		}
	}
}

func (s *stapler) staple(answer []byte) {
	cert := *s.pair.current.Load()
	cert.OCSPStaple = answer
	s.pair.current.Store(&cert)
}

// ask returns an answer that says that the certificate is good.
func (s *stapler) ask(ctx context.Context) (*ocsp.Response, error) {
	request, err := ocsp.CreateRequest(s.pair.leaf, s.issuer, nil)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the responder answers %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOCSP))
	if err != nil {
		return nil, err
	}
	answer, err := ocsp.ParseResponseForCert(text, s.pair.leaf, s.issuer)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	switch {
	case answer.Status == ocsp.Revoked:
		return nil, errors.New("the certificate is revoked")
	case answer.Status != ocsp.Good:
		return nil, errors.New("the responder does not know the certificate")
	case now.Before(answer.ThisUpdate.Add(-5*time.Minute)) || !answer.NextUpdate.IsZero() && !now.Before(answer.NextUpdate):
		return nil, errors.New("the answer is not current")
	}
	return answer, nil
}
