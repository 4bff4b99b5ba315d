package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"gopura/exchange"
)

// agentSettings is what must be equal for a running client of an agent to be
// adopted by the next configuration, with what it remembers.
type agentSettings struct {
	URL     string
	Token   string
	Result  []string
	Timeout time.Duration
	TTL     time.Duration // of a decision; 0: none is remembered
	Max     int
	Trust   string // the fingerprint of tls
	tls     *tls.Config
}

// key shows nothing of the token.
func (s agentSettings) key() string {
	return fmt.Sprintf("opa %x", sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d %d %q", s.URL, s.Token, s.Result, s.Timeout, s.TTL, s.Max, s.Trust)))
}

// errUnreachable says that the agent gave no answer at all: the one failure
// that on_failure is for.
var errUnreachable = errors.New("the agent does not answer")

const maxDecision = 1 << 20 // bytes of an agent's answer

// agentClient asks an agent and remembers its decisions. It is safe for
// concurrent use.
type agentClient struct {
	agentSettings
	http  *http.Client
	host  string
	ctx   context.Context
	close func()

	mu      sync.Mutex
	flights map[[32]byte]*flight
	known   map[[32]byte]decision
}

// flight is one question on its way, for all who ask the same.
type flight struct {
	done    chan struct{}
	allowed bool
	err     error

	traceparent, tracestate string // of who asked first
}

type decision struct {
	allowed bool
	until   time.Time
}

func newAgent(s agentSettings) *agentClient {
	t := &http.Transport{
		MaxIdleConnsPerHost: 32, MaxConnsPerHost: 256, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, TLSClientConfig: s.tls, ForceAttemptHTTP2: true,
	}
	a := &agentClient{agentSettings: s, flights: map[[32]byte]*flight{}, known: map[[32]byte]decision{}}
	a.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if u, err := url.Parse(s.URL); err == nil {
		a.host = u.Host
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.ctx = ctx
	a.close = func() { cancel(); t.CloseIdleConnections() }
	return a
}

// decide returns the decision about an input. The error wraps errUnreachable
// when the agent gave no answer.
func (a *agentClient) decide(x *exchange.Exchange, input []byte) (allowed bool, err error) {
	key := sha256.Sum256(input) // of all that is judged: two requests share an answer only when they share the question
	a.mu.Lock()
	if d, ok := a.known[key]; ok && time.Now().Before(d.until) {
		a.mu.Unlock()
		return d.allowed, nil
	}
	span := x.BeginAsk("opa", a.host)
	defer func() {
		failed := err
		if err != nil {
			failed = exchange.DecisionUnavailable.Because(err)
		}
		x.EndSpan(span, failed, 0)
	}()
	f := a.flights[key]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		f.traceparent, f.tracestate = x.Caller(span)
		a.flights[key] = f
		go a.fly(key, f, input) // not with the context of x: the client that asked first may leave
	}
	a.mu.Unlock()
	ctx := x.Context()
	select {
	case <-f.done:
		return f.allowed, f.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (a *agentClient) fly(key [32]byte, f *flight, input []byte) {
	ctx, cancel := context.WithTimeout(a.ctx, a.Timeout)
	defer cancel()
	f.allowed, f.err = a.ask(ctx, f, input)
	a.mu.Lock()
	delete(a.flights, key)
	if f.err == nil && a.TTL > 0 {
		a.remember(key, decision{f.allowed, time.Now().Add(a.TTL)})
	}
	a.mu.Unlock()
	close(f.done)
}

// remember makes room by dropping what is stale, else whatever comes first: a
// decision that is lost costs a question.
func (a *agentClient) remember(key [32]byte, d decision) {
	if _, ok := a.known[key]; !ok && len(a.known) >= a.Max {
		now, looked := time.Now(), 0
		var victim [32]byte
		for k, old := range a.known { // in random order
			victim = k
			if looked++; looked == 16 || !now.Before(old.until) {
				break
			}
		}
		delete(a.known, victim)
	}
	a.known[key] = d
}

func (a *agentClient) ask(ctx context.Context, f *flight, input []byte) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(input))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if f.traceparent != "" {
		req.Header.Set("Traceparent", f.traceparent)
	}
	if f.tracestate != "" {
		req.Header.Set("Tracestate", f.tracestate)
	}
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return false, fmt.Errorf("%w: status %d", errUnreachable, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("the agent answers with status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDecision+1))
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUnreachable, err)
	case len(text) > maxDecision:
		return false, errors.New("the agent's answer is too large")
	}
	return a.read(text)
}

// read takes the decision out of an answer. A result that is not there is how
// OPA says that no rule applies: it is no.
func (a *agentClient) read(text []byte) (bool, error) {
	doc, err := readJSON(text)
	if err != nil {
		return false, fmt.Errorf("the agent's answer: %w", err)
	}
	top, ok := doc.(map[string]any)
	if !ok {
		return false, errors.New("the agent's answer is no object")
	}
	v := top["result"]
	for _, step := range a.Result {
		m, _ := v.(map[string]any)
		v = m[step]
	}
	allowed, _ := v.(bool)
	return allowed, nil
}
