package identity

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gopura/exchange"
	"gopura/lifetime"
)

const (
	discoverAgain = time.Hour       // endpoints and keys may move
	discoverPause = 2 * time.Second // before a discovery that failed is tried again
	renewBefore   = time.Minute     // before tokens expire
)

// errRefused is the issuer's no to a code or a refresh token, or tokens that are
// not good: asking again won't help.
var errRefused = errors.New("the issuer's tokens are refused")

// oidcIssuer knows an issuer's endpoints and keys. It outlives configurations.
type oidcIssuer struct {
	url      string
	http     *http.Client
	timeout  time.Duration
	insecure bool
	keys     *countedKeys
	known    atomic.Pointer[issuerFacts]
	failed   *memory[struct{}, error]
	flights  flights[struct{}, *issuerFacts]
}

// issuerFacts is what discovery said.
type issuerFacts struct {
	provider   *oidc.Provider
	endSession string
	style      oauth2.AuthStyle
	at         time.Time
}

func holdIssuer(env *Env, s *OIDC) (*oidcIssuer, error) {
	_, print, err := s.trust().In(env.Dir).Config()
	if err != nil {
		return nil, &Fault{Path: callFault(err), Pos: s.Pos, Err: err}
	}
	key := stateKey("oidc issuer", s.Issuer, print, s.Timeout.String(), s.ClientID, fmt.Sprint(s.Insecure))
	return lifetime.Hold(env.Pool, env.Scope, key, func() (*oidcIssuer, func(), error) {
		client, hangUp, err := newCaller(env, s.trust(), s.Timeout)
		if err != nil {
			return nil, nil, &Fault{Path: callFault(err), Pos: s.Pos, Err: err}
		}
		keys := &countedKeys{next: client.Transport, now: env.Now}
		client.Transport = keys
		return &oidcIssuer{url: s.Issuer, http: client, keys: keys, timeout: s.Timeout, insecure: s.Insecure, failed: newMemory[struct{}, error](2)}, hangUp, nil
	})
}

// host is where the issuer is asked.
func (i *oidcIssuer) host() string { return hostOf(i.url) }

// prepare discovers the issuer before requests come.
func (i *oidcIssuer) prepare(ctx context.Context) { i.get(ctx) }

// get returns what is known of the issuer, and finds it out when nothing is. Old
// knowledge is used while it is renewed, and when it can't be.
func (i *oidcIssuer) get(ctx context.Context) (*issuerFacts, error) {
	known := i.known.Load()
	now := time.Now()
	if known != nil && now.Sub(known.at) < discoverAgain {
		return known, nil
	}
	if err, failed := i.failed.get(struct{}{}, now); failed {
		if known != nil {
			return known, nil
		}
		return nil, err
	}
	if known != nil {
		go i.flights.do(context.Background(), struct{}{}, i.discover)
		return known, nil
	}
	return i.flights.do(ctx, struct{}{}, i.discover)
}

func (i *oidcIssuer) discover() (*issuerFacts, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.Background(), i.http), i.timeout)
	defer cancel()
	facts, err := i.ask(ctx)
	if err != nil {
		i.failed.set(struct{}{}, err, time.Now().Add(discoverPause))
		return nil, err
	}
	i.known.Store(facts)
	return facts, nil
}

func (i *oidcIssuer) ask(ctx context.Context) (*issuerFacts, error) {
	p, err := oidc.NewProvider(ctx, i.url)
	if err != nil {
		var other *oidc.IssuerMismatchError
		if errors.As(err, &other) {
			return nil, fmt.Errorf("discovery: the issuer calls itself %.100q", other.Discovered)
		}
		return nil, fmt.Errorf("discovery: %w", bare(err))
	}
	var more struct {
		EndSession string   `json:"end_session_endpoint"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Keys       string   `json:"jwks_uri"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, errors.New("discovery: not the document of an issuer")
	}
	for _, u := range []string{p.Endpoint().AuthURL, p.Endpoint().TokenURL, more.Keys} {
		if _, err := checkURL(u); err != nil {
			return nil, errors.New("discovery: an endpoint is missing or no URL")
		}
		if err := checkAddress(u, i.insecure); err != nil {
			return nil, fmt.Errorf("discovery: an endpoint: %w", err)
		}
	}
	if _, err := checkURL(more.EndSession); err != nil {
		more.EndSession = ""
	}
	i.keys.at.Store(&more.Keys)
	f := &issuerFacts{provider: p, endSession: more.EndSession, style: oauth2.AuthStyleInHeader, at: time.Now()}
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		f.style = oauth2.AuthStyleInParams
	}
	return f, nil
}

// bare takes out of an error what the other side has sent: only what our own
// side says of it may be logged.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return errors.New("an answer that is no success")
}

// client is the OAuth client that the gateway is to the issuer.
func (f *issuerFacts) client(o *oidcLogin, origin string) *oauth2.Config {
	c := &oauth2.Config{
		ClientID: o.settings.ClientID, ClientSecret: o.settings.Secret.Reveal(), Endpoint: f.provider.Endpoint(),
		RedirectURL: origin + o.settings.Callback, Scopes: o.settings.Scopes,
	}
	c.Endpoint.AuthStyle = f.style
	if c.ClientSecret == "" {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return c
}

// exchange gets the tokens for a code and makes a session of them.
func (i *oidcIssuer) exchange(ctx context.Context, o *oidcLogin, st *loginState, code string) (*session, error) {
	facts, err := i.get(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, i.http), i.timeout)
	defer cancel()
	token, err := facts.client(o, st.Origin).Exchange(ctx, code, oauth2.VerifierOption(st.Verifier))
	if err != nil {
		return nil, tokenError(err)
	}
	id, raw, err := i.verify(ctx, facts, o, token)
	switch {
	case err != nil:
		return nil, err
	case id == nil:
		return nil, fmt.Errorf("%w: no ID token", errRefused)
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(st.Nonce)) != 1:
		return nil, fmt.Errorf("%w: another nonce", errRefused)
	}
	now := o.env.Now()
	s := &session{ID: randomText(), End: now.Add(o.settings.Session.MaxAge).Unix()}
	return s, s.take(o, id, raw, token, now)
}

// refresh gets new tokens for a session.
func (i *oidcIssuer) refresh(ctx context.Context, o *oidcLogin, old *session) (*session, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, i.http), i.timeout)
	defer cancel()
	facts, err := i.get(ctx)
	if err != nil {
		return nil, err
	}
	token, err := facts.client(o, "").TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		return nil, tokenError(err)
	}
	id, raw, err := i.verify(ctx, facts, o, token)
	if err != nil {
		return nil, err
	}
	s := *old
	s.id = nil
	if id != nil && id.Subject != old.Sub { // OpenID Connect Core §12.2
		return nil, fmt.Errorf("%w: another subject", errRefused)
	}
	return &s, s.take(o, id, raw, token, o.env.Now())
}

// verify checks the ID token of an answer; nil when there is none.
func (i *oidcIssuer) verify(ctx context.Context, facts *issuerFacts, o *oidcLogin, token *oauth2.Token) (*oidc.IDToken, string, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, "", nil
	}
	id, err := facts.provider.Verifier(&oidc.Config{ClientID: o.settings.ClientID, Now: o.env.Now}).Verify(ctx, raw)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) || ctx.Err() != nil {
			return nil, "", fmt.Errorf("the issuer's keys: %w", bare(err))
		}
		return nil, "", fmt.Errorf("%w: an ID token that is not good", errRefused)
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil {
		return nil, "", fmt.Errorf("%w: an access token that is not the ID token's", errRefused)
	}
	var azp struct {
		Party string `json:"azp"`
	}
	if err := id.Claims(&azp); err != nil || id.Subject == "" ||
		len(id.Audience) > 1 && azp.Party == "" || azp.Party != "" && azp.Party != o.settings.ClientID { // OpenID Connect Core §3.1.3.7
		return nil, "", fmt.Errorf("%w: an ID token that is for another client", errRefused)
	}
	return id, raw, nil
}

// protocolClaims are about the token, not about the person.
var protocolClaims = []string{"nonce", "at_hash", "c_hash", "s_hash", "iat", "exp", "nbf", "jti", "azp", "aud", "auth_time", "sid", "rat"}

// take puts the tokens into the session.
func (s *session) take(o *oidcLogin, id *oidc.IDToken, raw string, token *oauth2.Token, now time.Time) error {
	if id != nil {
		var body json.RawMessage
		if err := id.Claims(&body); err != nil {
			return fmt.Errorf("%w: claims that are none", errRefused)
		}
		claims, err := readObject(body, maxClaims)
		if err != nil {
			return fmt.Errorf("%w: claims that are none", errRefused)
		}
		for name := range claims {
			keep := !slices.Contains(protocolClaims, name)
			if len(o.settings.Claims) > 0 {
				keep = slices.Contains(o.settings.Claims, name)
			}
			if !keep && name != "sub" && name != "iss" {
				delete(claims, name)
			}
		}
		s.Sub, s.Claims, s.IDToken = id.Subject, claims, raw
	}
	s.Refresh, s.Access = token.RefreshToken, ""
	if o.settings.Upstream == "access_token" {
		s.Access = token.AccessToken
	}
	expires := token.Expiry
	if token.ExpiresIn > 0 {
		expires = now.Add(time.Duration(min(token.ExpiresIn, 1<<31)) * time.Second)
	}
	if id != nil && (expires.IsZero() || o.settings.Upstream == "id_token" && id.Expiry.Before(expires)) {
		expires = id.Expiry
	}
	s.Expires, s.Renew = 0, 0
	if !expires.IsZero() {
		s.Expires = expires.Unix()
		s.Renew = expires.Add(-min(renewBefore, expires.Sub(now)/4)).Unix()
	}
	s.id = &exchange.Identity{Name: o.name, Sub: s.Sub, Claims: s.Claims}
	return nil
}

// tokenError says whether the token endpoint has refused, without its words.
func tokenError(err error) error {
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) {
		return fmt.Errorf("the token endpoint: %w", bare(err))
	}
	if r.Response != nil && r.Response.StatusCode >= 400 && r.Response.StatusCode < 500 && r.Response.StatusCode != 429 {
		if r.ErrorCode == "invalid_client" || r.ErrorCode == "unauthorized_client" || r.ErrorCode == "" {
			return fmt.Errorf("the token endpoint doesn't accept the gateway: status %d", r.Response.StatusCode)
		}
		return fmt.Errorf("%w: %s", errRefused, errorWord(r.ErrorCode))
	}
	return errors.New("the token endpoint answers with a failure")
}

// logoutURL is where the session at the issuer ends (OpenID Connect RP-Initiated
// Logout 1.0 §2).
func (f *issuerFacts) logoutURL(s *OIDC, ses *session, origin string) string {
	u, err := url.Parse(f.endSession)
	if err != nil {
		return s.AfterLogout
	}
	q := u.Query()
	q.Set("client_id", s.ClientID)
	q.Set("post_logout_redirect_uri", origin+s.AfterLogout)
	if ses.IDToken != "" {
		q.Set("id_token_hint", ses.IDToken)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
