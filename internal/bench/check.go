package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// check asks the proxy once and says what is wrong with the answer. For the
// full job, it also looks at the edited headers on both sides.
func check(ctx context.Context, address string, j Job) error {
	if j.H2 != "" {
		return checkH2(ctx, address, j)
	}
	r, body, err := ask(ctx, j.scheme()+address+j.Path)
	if err != nil {
		return err
	}
	if j.Parts > 0 && r.StatusCode == 200 {
		return checkParts(body, j.Parts)
	}
	if r.StatusCode != 200 || len(body) != j.Size {
		return fmt.Errorf("%s: status %d with %d bytes, want 200 with %d", j.Path, r.StatusCode, len(body), j.Size)
	}
	if j.Limits != "" {
		return checkLimit(ctx, j.scheme()+address+j.Limits)
	}
	if !j.Edits {
		return nil
	}
	if got := r.Header.Get("X-Served-By"); got != "gateway" {
		return fmt.Errorf("response header X-Served-By is %q, want it set to gateway", got)
	}
	if r.Header.Get("X-Origin") != "" {
		return fmt.Errorf("response header X-Origin wasn't removed")
	}
	// The origin gives back the head that reached it.
	_, body, err = ask(ctx, j.scheme()+address+strings.Replace(j.Path, "/1k", "/headers", 1))
	if err != nil {
		return err
	}
	for _, want := range []string{"\r\nx-gateway: bench\r\n", "\r\nx-real-ip: 127.0.0.1\r\n"} {
		if !strings.Contains(strings.ToLower(string(body)), want) {
			return fmt.Errorf("request header %q didn't reach the origin: %q", strings.TrimSpace(want), body)
		}
	}
	return nil
}

// checkLimit asks for what may be asked for once, until that is refused.
func checkLimit(ctx context.Context, url string) error {
	for range 4 {
		r, _, err := ask(ctx, url)
		if err != nil {
			return err
		}
		if r.StatusCode == 429 {
			return nil
		}
	}
	return fmt.Errorf("%s: nothing is refused", url)
}

// asker takes the certificate that the proxies share.
var asker = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func ask(ctx context.Context, url string) (*http.Response, []byte, error) { return askAs(ctx, url, "") }

// askAs asks with a bearer token.
func askAs(ctx context.Context, url, token string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Close = true // leaves no connection behind that would count as one of the job's
	r, err := asker.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	return r, body, err
}
