package identity

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

// ClientCredentials is how the gateway gets a token of its own, to show to a
// service (RFC 6749 §4.4).
type ClientCredentials struct {
	Pos      config.Pos    `yaml:"-"`
	URL      string        `yaml:"url" required:"true" doc:"The token endpoint."`
	ClientID string        `yaml:"client_id" required:"true" doc:"Who the gateway is to the authorization server."`
	Secret   config.Secret `yaml:"client_secret" required:"true" doc:"How it proves that."`
	Auth     string        `yaml:"auth" enum:"basic,post" default:"basic" doc:"Whether the client's id and secret go into the Authorization field or the form."`
	Scopes   []string      `yaml:"scopes" one:"true" doc:"What the token is to allow."`
	Audience string        `yaml:"audience" doc:"Whom the token is for, where the server asks for that."`
	CA       string        `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's."`
	Cert     string        `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the server, and its chain."`
	Key      string        `yaml:"key" doc:"Path of the PEM file with its private key."`
	Insecure bool          `yaml:"insecure" doc:"Ask over http, for networks that you trust. This machine's own addresses need no such word."`
	Timeout  time.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"30s" doc:"How long an answer may take."`
}

// Files returns what it is made of besides its settings.
func (s *ClientCredentials) Files(dir string) []string { return s.trust().In(dir).Files() }

func (s *ClientCredentials) trust() CallTLS { return CallTLS{s.CA, s.Cert, s.Key} }

// ServiceToken is a token that the gateway shows to a service. It is fetched
// when it is first needed, and again in the background before it ends. It is
// safe for concurrent use.
type ServiceToken struct {
	conf    clientcredentials.Config
	client  *http.Client
	timeout time.Duration
	now     func() time.Time
	flights flights[struct{}, []byte]

	mu      sync.Mutex
	field   []byte    // "Bearer …"; nil: there is none
	until   time.Time // zero: it says no end
	renew   time.Time
	asked   time.Time // of the last attempt
	failure error     // of that
}

const (
	tokenPause   = time.Second      // between attempts, while they fail
	tokenUnknown = 30 * time.Minute // before a token that says no end is fetched again
)

// Open checks the settings and returns their token, which configurations share
// that don't change them.
func (s *ClientCredentials) Open(pool *lifetime.Pool, scope *lifetime.Scope, dir string) (*ServiceToken, error) {
	if err := checkAddress(s.URL, s.Insecure); err != nil {
		return nil, &Fault{Path: "url", Pos: s.Pos, Err: err}
	}
	trust := s.trust().In(dir)
	_, print, err := trust.Config()
	if err != nil {
		return nil, &Fault{Path: callFault(err), Pos: s.Pos, Err: err}
	}
	open := func() (*ServiceToken, func(), error) {
		o, err := newOutbound(trust, s.Timeout)
		if err != nil {
			return nil, nil, &Fault{Path: callFault(err), Pos: s.Pos, Err: err}
		}
		o.Client.Transport = bounded{o.transport}
		t := &ServiceToken{client: o.Client, timeout: o.Timeout, now: time.Now}
		t.conf = clientcredentials.Config{ClientID: s.ClientID, ClientSecret: s.Secret.Reveal(), TokenURL: s.URL, Scopes: s.Scopes, AuthStyle: oauth2.AuthStyleInHeader}
		if s.Auth == "post" {
			t.conf.AuthStyle = oauth2.AuthStyleInParams
		}
		if s.Audience != "" {
			t.conf.EndpointParams = map[string][]string{"audience": {s.Audience}}
		}
		return t, o.Close, nil
	}
	if pool == nil || scope == nil {
		t, _, err := open()
		return t, err
	}
	settings := append([]string{s.URL, s.ClientID, s.Secret.Reveal(), s.Auth, s.Audience, print, s.Timeout.String()}, s.Scopes...)
	return lifetime.Hold(pool, scope, stateKey("service_token", "", settings...), open)
}

// Field returns the value of the Authorization field for x.
func (t *ServiceToken) Field(x *exchange.Exchange) ([]byte, error) {
	t.mu.Lock()
	now := t.now()
	field, failure := t.field, t.failure
	paused := failure != nil && now.Sub(t.asked) < tokenPause
	good := field != nil && (t.until.IsZero() || now.Before(t.until))
	renew := good && !now.Before(t.renew) && !paused
	if renew {
		t.renew = now.Add(tokenPause) // others go on with the one that is there
	}
	t.mu.Unlock()
	switch {
	case renew:
		go t.flights.do(context.Background(), struct{}{}, t.fetch) // bounded by its timeout
		return field, nil
	case good:
		return field, nil
	case paused:
		return nil, failure
	}
	a := inquire(x, "token", hostOf(t.conf.TokenURL))
	field, err := t.flights.do(x.Context(), struct{}{}, func() ([]byte, error) { return t.fetchIn(a.in(context.Background())) })
	a.over(err)
	return field, err
}

// Refused says that the service has not accepted field: the next request gets
// another one, unless that was fetched just now.
func (t *ServiceToken) Refused(field []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(field) > 0 && len(t.field) == len(field) && &t.field[0] == &field[0] && t.now().Sub(t.asked) > 10*time.Second {
		t.field = nil
	}
}

var errTokenForm = errors.New("the token endpoint answers with a token that can't be sent")

// fetch asks the token endpoint.
func (t *ServiceToken) fetch() ([]byte, error) { return t.fetchIn(context.Background()) }

func (t *ServiceToken) fetchIn(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, t.client), t.timeout)
	defer cancel()
	token, err := t.conf.Token(ctx)
	if err != nil {
		err = tokenError(err)
	} else if token.AccessToken == "" || !exchange.ValidValue(token.AccessToken) || len(token.AccessToken) > 64<<10 {
		err = errTokenForm
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.asked, t.failure = now, err
	if err != nil {
		return nil, err
	}
	t.field, t.until = []byte("Bearer "+token.AccessToken), token.Expiry
	t.renew = now.Add(tokenUnknown)
	if !t.until.IsZero() {
		t.renew = t.until.Add(-min(time.Minute, t.until.Sub(now)/4))
	}
	return t.field, nil
}
