package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxCalls is how many calls of one source are under way at most.
const maxCalls = 64

// newCaller is newOutbound for calls that requests wait for: no proxy of the
// environment, no redirect, a bounded number of connections, and every answer
// ends at maxAnswer, whoever reads it.
func newCaller(env *Env, trust CallTLS, timeout time.Duration) (client *http.Client, hangUp func(), err error) {
	o, err := newOutbound(trust.In(env.Dir), timeout)
	if err != nil {
		return nil, nil, err
	}
	o.transport.DisableCompression = true
	o.transport.MaxConnsPerHost = maxCalls
	return &http.Client{
		Transport: bounded{o.transport}, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, o.Close, nil
}

// bounded ends answers at maxAnswer bytes, with an error.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(traced(r))
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n + int(b.left), fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return n, err
}

// callError is an error of a call without what the call was about: net/http
// puts whole URLs into its errors.
func callError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// checkURL checks the address of somebody who is asked.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("an http:// or https:// URL with a host")
	case u.User != nil:
		return nil, errors.New("a URL without user and password: those are settings of their own")
	case u.Fragment != "":
		return nil, errors.New("a URL without a fragment")
	}
	return u, nil
}

// plainNumbers makes the numbers of a decoded object what claims have: int64 or
// float64.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumbers(e)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return nil // out of range: no number that anybody may rely on
		}
		return f
	}
	return v
}

// textClaim returns a claim that is a text, or "".
func textClaim(claims map[string]any, name string) string {
	s, _ := claims[name].(string)
	return s
}

// timeClaim returns a claim that is a time; ok is false when it is there and is none.
func timeClaim(claims map[string]any, name string) (t time.Time, ok bool) {
	switch v := claims[name].(type) {
	case nil:
		return t, true
	case int64:
		if v > 0 && v < 1<<40 {
			return time.Unix(v, 0), true
		}
	case float64:
		if v > 0 && v < 1<<40 {
			return time.Unix(int64(v), 0), true
		}
	}
	return t, false
}

// audienceHas reports whether the claim aud, a text or a list of texts, names one.
func audienceHas(claims map[string]any, audience string) bool {
	switch v := claims["aud"].(type) {
	case string:
		return v == audience
	case []any:
		for _, e := range v {
			if e == audience {
				return true
			}
		}
	}
	return false
}
