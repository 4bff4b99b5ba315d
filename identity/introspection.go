package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

const introspectionDoc = "An opaque access token, about which the authorization server is asked (RFC 7662). Its answers are remembered for a while, " +
	"never past the token's expiry; when it can't answer, requests are refused with 503."

// Introspection is the settings of introspection.
type Introspection struct {
	Pos      config.Pos    `yaml:"-"`
	URL      string        `yaml:"url" required:"true" doc:"The introspection endpoint."`
	ClientID string        `yaml:"client_id" required:"true" doc:"Who the gateway is to the authorization server."`
	Secret   config.Secret `yaml:"client_secret" required:"true" doc:"How it proves that."`
	Auth     string        `yaml:"auth" enum:"basic,post" default:"basic" doc:"Whether the client's id and secret go into the Authorization field or the form."`
	CA       string        `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's."`
	Cert     string        `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the server, and its chain."`
	Key      string        `yaml:"key" doc:"Path of the PEM file with its private key."`
	Insecure bool          `yaml:"insecure" doc:"Ask over http, for networks that you trust. This machine's own addresses need no such word."`
	Timeout  time.Duration `yaml:"timeout" default:"3s" min:"10ms" max:"30s" doc:"How long an answer may take."`
	Cache    time.Duration `yaml:"cache" default:"30s" min:"0" max:"1h" doc:"How long an active token is remembered; a token that is revoked is accepted until then. 0: the server is asked each time."`
	Negative time.Duration `yaml:"negative_cache" default:"10s" min:"0" max:"1h" doc:"How long an inactive token is remembered."`
	Entries  int           `yaml:"cache_entries" default:"10000" min:"100" max:"1000000" doc:"How many tokens are remembered."`
	Audience string        `yaml:"audience" doc:"What aud must be or have in it."`
	Issuer   string        `yaml:"issuer" doc:"What iss must be."`
	Binding  string        `yaml:"binding" enum:"verify,require,ignore" default:"verify" doc:"Tokens that are bound to a client's certificate (cnf, RFC 8705). verify: they are good over connections with that certificate only; require: others are refused; ignore: for a gateway behind something that ends TLS itself."`
	Refusals config.Rate   `yaml:"refusals" doc:"How many credentials of one client address (of IPv6, of one /64) may be refused, 20/min; then 429 (identity_limited), and none of that address is looked at until there is room. Left out: as many as come."`
	Forward  bool          `yaml:"forward" default:"true" doc:"Leave the Authorization field in the request for the service."`
}

// Files returns what the source is made of besides its settings.
func (s *Introspection) Files(dir string) []string { return s.trust().In(dir).Files() }

func (s *Introspection) trust() CallTLS { return CallTLS{s.CA, s.Cert, s.Key} }

const (
	maxOpaque        = 4 << 10
	introspectAnswer = 64 << 10
)

// introspectionState is what outlives a configuration: what the server has said.
type introspectionState struct {
	digests *digester
	said    *memory[digest, *exchange.Identity] // nil: inactive
	flights flights[digest, *exchange.Identity]
	calls   *slots
}

type introspection struct {
	name      string
	settings  *Introspection
	challenge string
	client    *http.Client
	address   string // whom it asks, for traces
	state     *introspectionState
	refusals  *refusals
	now       func() time.Time
}

// Compile implements Spec.
func (s *Introspection) Compile(env *Env) (Source, error) {
	if _, err := checkURL(s.URL); err != nil {
		return nil, &Fault{Path: "url", Pos: s.Pos, Err: err}
	}
	if err := checkAddress(s.URL, s.Insecure); err != nil {
		return nil, &Fault{Path: "url", Pos: s.Pos, Err: err}
	}
	client, hangUp, err := newCaller(env, s.trust(), s.Timeout)
	if err != nil {
		return nil, &Fault{Path: callFault(err), Pos: s.Pos, Err: err}
	}
	env.Scope.Add(hangUp)
	i := &introspection{name: env.Name, address: hostOf(s.URL), settings: s, client: client, now: env.Now, challenge: "Bearer realm=" + quoted(env.Name)}
	if i.refusals, err = env.refusals(s.Refusals, s.Pos); err != nil {
		return nil, err
	}
	key := stateKey("introspection", env.Name, s.URL, s.ClientID, s.Secret.Reveal(), s.Audience, s.Issuer, fmt.Sprint(s.Cache, s.Negative, s.Entries))
	i.state, err = lifetime.Hold(env.Pool, env.Scope, key, func() (*introspectionState, func(), error) {
		return &introspectionState{
			digests: newDigester(), said: newMemory[digest, *exchange.Identity](s.Entries), calls: newSlots(maxCalls, 8*maxCalls, s.Timeout),
		}, nil, nil
	})
	return i, err
}

// Challenge implements Challenger (RFC 6750 §3).
func (i *introspection) Challenge(_ *exchange.Exchange, refused error) string {
	if refused == None {
		return i.challenge
	}
	return i.challenge + `, error="invalid_token"`
}

var errInactive = errors.New("a token that is not active")

// Identify implements Source.
func (i *introspection) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	text, err := authorization(x, "Bearer")
	if err != nil {
		return nil, err
	}
	if err := i.refusals.look(x); err != nil {
		return nil, err
	}
	id, err := i.judge(x, text)
	return i.refusals.told(x, id, err)
}

func (i *introspection) judge(x *exchange.Exchange, text []byte) (id *exchange.Identity, err error) {
	if !isToken68(text) || len(text) > maxOpaque {
		return nil, exchange.IdentityInvalid.Because(errors.New("not a bearer token"))
	}
	token := string(text)
	key := i.state.digests.of(token)
	now := i.now()
	id, ok := i.state.said.get(key, now)
	if !ok {
		a := inquire(x, i.name, i.address)
		from := x.Client.Addr.Addr() // before the flight, which may outlast the exchange
		id, err = i.state.flights.do(x.Context(), key, func() (*exchange.Identity, error) { return i.ask(a.in(context.Background()), from, token, key) })
		a.over(err)
	}
	switch {
	case err != nil:
		return nil, exchange.IdentityUnavailable.Because(err)
	case id == nil:
		return nil, exchange.IdentityInvalid.Because(errInactive)
	}
	if err := checkBinding(x, id.Claims, i.settings.Binding); err != nil {
		return nil, err
	}
	if !i.settings.Forward {
		x.Request.Header.Del("Authorization")
	}
	return id, nil
}

// ask asks the server about a token and remembers what it says. No identity and
// no error: the token is not active, or not for us.
func (i *introspection) ask(ctx context.Context, from netip.Addr, token string, key digest) (*exchange.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, i.settings.Timeout)
	defer cancel()
	if err := i.state.calls.take(ctx, from); err != nil {
		return nil, err
	}
	defer i.state.calls.leave()
	claims, err := i.call(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", callError(err))
	}
	now := i.now()
	until := now.Add(i.settings.Cache)
	exp, ok := timeClaim(claims, "exp")
	if !i.holds(claims, now) || !ok || !exp.IsZero() && !now.Before(exp) {
		if i.settings.Negative > 0 {
			i.state.said.set(key, nil, now.Add(i.settings.Negative))
		}
		return nil, nil
	}
	if !exp.IsZero() && exp.Before(until) {
		until = exp
	}
	id := &exchange.Identity{Name: i.name, Sub: subjectClaim(claims), Claims: claims}
	if i.settings.Cache > 0 {
		i.state.said.set(key, id, until)
	}
	return id, nil
}

// holds reports whether the answer makes the token good for us.
func (i *introspection) holds(claims map[string]any, now time.Time) bool {
	nbf, ok := timeClaim(claims, "nbf")
	switch {
	case claims["active"] != true, !ok, now.Before(nbf):
		return false
	case i.settings.Audience != "" && !audienceHas(claims, i.settings.Audience):
		return false
	}
	return i.settings.Issuer == "" || claims["iss"] == i.settings.Issuer
}

// subjectClaim is who a token is about (RFC 7662 §2.2): tokens of machines have
// no sub.
func subjectClaim(claims map[string]any) string {
	for _, name := range []string{"sub", "username", "client_id"} {
		if s := textClaim(claims, name); s != "" {
			return s
		}
	}
	return ""
}

func (i *introspection) call(ctx context.Context, token string) (map[string]any, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if i.settings.Auth == "post" {
		form.Set("client_id", i.settings.ClientID)
		form.Set("client_secret", i.settings.Secret.Reveal())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.settings.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if i.settings.Auth == "basic" { // RFC 6749 §2.3.1
		r.SetBasicAuth(url.QueryEscape(i.settings.ClientID), url.QueryEscape(i.settings.Secret.Reveal()))
	}
	resp, err := i.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered with status %d", resp.StatusCode)
	}
	data, err := readAnswer(resp.Body, introspectAnswer)
	if err != nil {
		return nil, err
	}
	return readObject(data, maxClaims)
}

// isToken68 reports whether b may be a bearer token (RFC 6750 §2.1).
func isToken68(b []byte) bool {
	n := len(b)
	for n > 0 && b[n-1] == '=' {
		n--
	}
	for _, c := range b[:n] {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return n > 0
}
