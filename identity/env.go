package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"gopura/config"
	"gopura/expr"
	"gopura/lifetime"
)

// Env is all that a source may reach.
type Env struct {
	Name  string          // of the identity block: what Identity.Name becomes
	Expr  *expr.Env       // compiles expressions and templates
	Scope *lifetime.Scope // owns what the source opens
	Pool  *lifetime.Pool  // state that outlives a configuration
	Log   *slog.Logger    // never nil; no credentials
	Dir   string          // the folder that relative paths of files start from

	// Values is what replicas share; nil: there is no store. StoreKey is what
	// must stay equal for what was learnt from it to hold.
	Values   Values
	StoreKey string

	// Refusals opens the limit of the credentials that the source refuses. Nil:
	// they are not limited.
	Refusals func(rate config.Rate) (Refusals, error)

	// Prepare registers what must have been tried before requests come: fetch
	// keys, say. It runs when the whole configuration was found to be right, and
	// not when it is only checked. ctx bounds the wait; a source that is not
	// ready by then answers IdentityUnavailable until it is. Never nil.
	Prepare func(f func(ctx context.Context))
	// Asserts says that the source sets these request fields itself: they are
	// taken from no client, on no route. Never nil.
	Asserts func(names ...string)
	// Now is the clock. Never nil.
	Now func() time.Time
}

// refusals opens what the setting of that name says; nil when it says nothing.
func (e *Env) refusals(rate config.Rate, pos config.Pos) (*refusals, error) {
	if rate == (config.Rate{}) || e.Refusals == nil {
		return nil, nil
	}
	r, err := e.Refusals(rate)
	if err != nil {
		return nil, &Fault{Path: "refusals", Pos: pos, Err: err}
	}
	return &refusals{r}, nil
}

// Values is a store of small values. An error means that nobody can say.
type Values interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
}

// Limits of calls that sources make.
const (
	maxAnswer   = 1 << 20 // bytes of an answer
	callTimeout = 10 * time.Second
)

// outbound is a client for the calls of a source to those who know.
type outbound struct {
	*http.Client
	transport *http.Transport
}

// newOutbound returns a client that always verifies TLS, and follows redirects
// only within the scheme and host that it was sent to.
func newOutbound(trust CallTLS, timeout time.Duration) (*outbound, error) {
	conf, _, err := trust.Config()
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = callTimeout
	}
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: min(timeout, 5*time.Second)}).DialContext,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    min(timeout, 5*time.Second),
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	return &outbound{&http.Client{Transport: t, Timeout: timeout, CheckRedirect: stayThere}, t}, nil
}

// Close gives up the idle connections.
func (o *outbound) Close() { o.transport.CloseIdleConnections() }

// stayThere refuses redirects to another scheme or host: who answers for an
// issuer must be the one that the configuration names.
func stayThere(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) >= 5:
		return errors.New("more than 5 redirects")
	case next.URL.Scheme != first.Scheme || next.URL.Host != first.Host:
		return errors.New("a redirect to another scheme or host is not followed")
	}
	return nil
}

// readAnswer returns the body of an answer, which may be so long and no longer.
func readAnswer(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	return b, err
}
