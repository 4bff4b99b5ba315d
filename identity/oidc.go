package identity

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

const oidcDoc = "Login of people in a browser by OpenID Connect: authorization code with PKCE, the session in an encrypted cookie, renewed with the refresh token, and logout. " +
	"A page that is asked for without a session is answered with a redirect to the issuer, anything else with 401. Since it may answer itself, it comes last among several sources, before anonymous."

// OIDC is the settings of oidc.
type OIDC struct {
	Pos         config.Pos    `yaml:"-"`
	Issuer      string        `yaml:"issuer" required:"true" doc:"The issuer, exactly as its tokens say; its endpoints are found by discovery."`
	ClientID    string        `yaml:"client_id" required:"true" doc:"Who the gateway is to the issuer."`
	Secret      config.Secret `yaml:"client_secret" doc:"How it proves that. Left out: a public client, with PKCE alone."`
	Scopes      []string      `yaml:"scopes" one:"true" default:"openid,profile,email" doc:"What is asked for; offline_access for a refresh token, where the issuer wants that."`
	Params      []config.Pair `yaml:"params" doc:"Further parameters of the authorization request, such as prompt or acr_values."`
	Origin      string        `yaml:"origin" doc:"Scheme and host as browsers see them: https://shop.example.com. Default: those of the request."`
	Callback    string        `yaml:"callback" default:"/oauth2/callback" doc:"The path to which the issuer sends browsers back: registered there, and answered by the gateway on every host."`
	Logout      string        `yaml:"logout" default:"/oauth2/logout" doc:"The path that ends the session, here and at the issuer."`
	AfterLogout string        `yaml:"after_logout" default:"/" doc:"The path where a browser goes afterwards."`
	Login       bool          `yaml:"login" default:"true" doc:"Whether a browser without a session is sent to log in; else it has no credential, and anonymous may follow."`
	Claims      []string      `yaml:"claims" one:"true" doc:"The claims of the ID token that are kept. Left out: all but the protocol's own."`
	Upstream    string        `yaml:"upstream" enum:"none,access_token,id_token" default:"none" doc:"The token that the service gets, as a bearer token in Authorization."`
	Session     OIDCSession   `yaml:"session" doc:"How the session is kept."`
	CA          string        `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's."`
	Cert        string        `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the issuer, and its chain."`
	Key         string        `yaml:"key" doc:"Path of the PEM file with its private key."`
	Insecure    bool          `yaml:"insecure" doc:"Ask the issuer over http, for networks that you trust. This machine's own addresses need no such word."`
	Timeout     time.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"60s" doc:"How long an answer of the issuer may take."`
}

// OIDCSession is how a session is kept.
type OIDCSession struct {
	Pos      config.Pos      `yaml:"-"`
	Cookie   string          `yaml:"cookie" doc:"The name of the cookie. Default: __Host-gopura-NAME, NAME being that of the source."`
	Keys     []config.Secret `yaml:"key" one:"true" doc:"The secret that cookies are encrypted with, at least 32 bytes; of a list the first encrypts, all decrypt. Left out: one for the time of the process, so that a restart ends all sessions."`
	MaxAge   time.Duration   `yaml:"max_age" default:"8h" min:"1m" max:"720h" doc:"When a session ends at the latest."`
	Insecure bool            `yaml:"insecure" doc:"Leave Secure out of the cookies, for development without TLS."`
}

// Files returns what the source is made of besides its settings.
func (s *OIDC) Files(dir string) []string { return s.trust().In(dir).Files() }

func (s *OIDC) trust() CallTLS { return CallTLS{s.CA, s.Cert, s.Key} }

const (
	minSessionKey = 32
	maxRenewed    = 10_000 // sessions that were renewed just now
	maxEnded      = 50_000 // sessions that were ended by logout
	maxOpened     = 10_000 // cookies whose content is at hand
	openedFor     = time.Minute
)

// oidcState is what outlives a configuration.
type oidcState struct {
	digests *digester
	opened  *memory[digest, *session]
	renewed *memory[digest, *session] // by refresh token
	failed  *memory[digest, error]    // refresh tokens that could not be used just now
	ended   *memory[string, struct{}] // by session id
	flights flights[digest, *session]
}

type oidcLogin struct {
	name     string
	settings *OIDC
	env      *Env
	sealer   *sealer
	state    *oidcState
	issuer   *oidcIssuer
	cookie   string // name of the session's; its parts are cookie.1, …
	binding  string // name of the cookie that ties a login to a browser
}

// Compile implements Spec.
func (s *OIDC) Compile(env *Env) (Source, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	o := &oidcLogin{name: env.Name, settings: s, env: env, cookie: s.Session.Cookie}
	if o.cookie == "" {
		o.cookie = "gopura-" + env.Name
		if !s.Session.Insecure {
			o.cookie = "__Host-" + o.cookie // no other host, and nothing without TLS, can set it
		}
	}
	if !exchange.ValidName(o.cookie) {
		return nil, &Fault{Path: "session.cookie", Pos: s.Session.Pos, Err: errors.New("not the name of a cookie")}
	}
	o.binding = o.cookie + "-login"
	secrets, err := o.secrets()
	if err != nil {
		return nil, err
	}
	// Two blocks with the same client, cookie and key share their sessions.
	if o.sealer, err = newSealer(secrets, "gopura oidc "+strconv.Quote(s.Issuer)+strconv.Quote(s.ClientID)+strconv.Quote(o.cookie)); err != nil {
		return nil, err
	}
	key := stateKey("oidc", o.cookie, append(secrets, s.Issuer, s.ClientID, s.Upstream)...)
	o.state, err = lifetime.Hold(env.Pool, env.Scope, key, func() (*oidcState, func(), error) {
		return &oidcState{
			digests: newDigester(), opened: newMemory[digest, *session](maxOpened), renewed: newMemory[digest, *session](maxRenewed),
			failed: newMemory[digest, error](maxRenewed), ended: newMemory[string, struct{}](maxEnded),
		}, nil, nil
	})
	if err != nil {
		return nil, err
	}
	if o.issuer, err = holdIssuer(env, s); err != nil {
		return nil, err
	}
	env.Prepare(o.issuer.prepare)
	return o, nil
}

func (s *OIDC) check() error {
	var faults []error
	fault := func(path string, err error) { faults = append(faults, &Fault{Path: path, Pos: s.Pos, Err: err}) }
	if _, err := checkURL(s.Issuer); err != nil {
		fault("issuer", err)
	} else if err := checkAddress(s.Issuer, s.Insecure); err != nil {
		fault("issuer", err)
	}
	for path, value := range map[string]string{"callback": s.Callback, "logout": s.Logout} {
		if !plainPath(value) || value == "/" {
			fault(path, errors.New("a path such as /oauth2/callback, of plain characters"))
		}
	}
	switch {
	case s.Callback == s.Logout:
		fault("logout", errors.New("the same path as callback"))
	case !safeReturn(s.AfterLogout):
		fault("after_logout", errors.New("a path that begins with one slash"))
	}
	if s.Origin != "" {
		if u, err := checkURL(s.Origin); err != nil || u.Path != "" || u.RawQuery != "" {
			fault("origin", errors.New("scheme and host only: https://shop.example.com"))
		}
	}
	for _, p := range s.Params {
		switch p.Name {
		case "client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "response_mode", "request", "request_uri":
			faults = append(faults, &Fault{Path: "params." + p.Name, Pos: p.Pos, Err: errors.New("the gateway sets this parameter")})
		}
	}
	has := false
	for _, scope := range s.Scopes {
		has = has || scope == "openid"
	}
	if !has {
		fault("scopes", errors.New("without openid there is no login"))
	}
	if strings.HasPrefix(s.Session.Cookie, "__") && s.Session.Insecure {
		fault("session.cookie", errors.New("a __Host- or __Secure- cookie can't be insecure"))
	}
	for i, k := range s.Session.Keys {
		if len(k.Reveal()) < minSessionKey {
			fault(fmt.Sprintf("session.key[%d]", i), fmt.Errorf("a key has at least %d bytes", minSessionKey))
		}
	}
	return errors.Join(faults...)
}

// secrets returns the keys of the configuration, or the process's own.
func (o *oidcLogin) secrets() ([]string, error) {
	var list []string
	for _, k := range o.settings.Session.Keys {
		list = append(list, k.Reveal())
	}
	if list != nil {
		return list, nil
	}
	own, err := lifetime.Hold(o.env.Pool, o.env.Scope, stateKey("oidc key", o.cookie), func() (string, func(), error) {
		o.env.Log.Warn("no session.key: sessions end with this process, and no other gateway knows them")
		return rand.Text() + rand.Text(), nil, nil
	})
	return []string{own}, err
}

// Challenge implements Challenger: how to get a cookie is for people to find out,
// but a 401 has to name a scheme (RFC 9110 §15.5.2).
func (o *oidcLogin) Challenge(*exchange.Exchange, error) string {
	return "Cookie realm=" + quoted(o.name)
}

// Reserver is a Source that answers some paths itself, whatever the routes say.
type Reserver interface {
	// Reserved returns those paths. Identify answers requests for them.
	Reserved() []string
}

// Reserved implements Reserver.
func (o *oidcLogin) Reserved() []string { return []string{o.settings.Callback, o.settings.Logout} }

// Identify implements Source.
func (o *oidcLogin) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	switch string(x.Request.Path) {
	case o.settings.Callback:
		return nil, o.callback(x)
	case o.settings.Logout:
		return nil, o.logout(x)
	}
	s, err := o.session(x)
	switch {
	case err == nil:
		o.use(x, s)
		return s.id, nil
	case exchange.IdentityUnavailable.Is(err):
		return nil, err
	case o.settings.Login && isNavigation(x):
		return nil, o.login(x)
	}
	return nil, err
}

// use takes our cookies out of the request, and puts in what the service is to get.
func (o *oidcLogin) use(x *exchange.Exchange, s *session) {
	dropCookies(x, o.isOurs)
	token := ""
	switch o.settings.Upstream {
	case "access_token":
		token = s.Access
	case "id_token":
		token = s.IDToken
	}
	if token != "" {
		x.Request.Header.Set("Authorization", "Bearer "+token)
	}
}

// isNavigation reports whether a browser wants to show the answer as a page: only
// then a redirect to a login leads anywhere.
func isNavigation(x *exchange.Exchange) bool {
	h := &x.Request.Header
	if x.Request.Method != "GET" || x.Request.Upgrade != nil {
		return false
	}
	if mode := h.Get("Sec-Fetch-Mode"); mode != nil && string(mode) != "navigate" {
		return false
	}
	for v := range h.Values("Accept") {
		if bytes.Contains(v, []byte("text/html")) {
			return true
		}
	}
	return false
}

// safeReturn reports whether a browser that is sent to path stays on our host.
func safeReturn(path string) bool {
	if path == "" || path[0] != '/' || len(path) > maxReturn || len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return false
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// plainPath reports whether a path is one that needs no normalising.
func plainPath(path string) bool {
	if !safeReturn(path) || strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return false
	}
	for i := range len(path) {
		if c := path[i]; !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("/-._~", c) >= 0) {
			return false
		}
	}
	return true
}

// origin is scheme and host as the browser sees them.
func (o *oidcLogin) origin(x *exchange.Exchange) string {
	if o.settings.Origin != "" {
		return o.settings.Origin
	}
	return (&url.URL{Scheme: x.Request.Scheme, Host: string(x.Request.Authority)}).String()
}
