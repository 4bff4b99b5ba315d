package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"gopura/exchange"
)

const (
	maxReturn  = 2048             // bytes of a path to come back to
	loginTime  = 10 * time.Minute // to type a password
	forLogin   = "login"
	bindingLen = 43 // 256 bits in base64
)

// loginState is what comes back from the issuer with the browser, encrypted.
type loginState struct {
	Return   string `json:"r"` // where the browser wanted to go
	Origin   string `json:"o"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // of PKCE
	Until    int64  `json:"u"`
	Browser  string `json:"b"` // hash of the cookie that ties it to the browser
}

// issuerFor is what is known of the issuer; x waits while nothing is.
func (o *oidcLogin) issuerFor(x *exchange.Exchange) (*issuerFacts, error) {
	if o.issuer.known.Load() != nil {
		return o.issuer.get(x.Context())
	}
	a := inquire(x, o.name, o.issuer.host())
	facts, err := o.issuer.get(a.in(x.Context()))
	a.over(err)
	return facts, err
}

// login sends a browser to the issuer.
func (o *oidcLogin) login(x *exchange.Exchange) error {
	issuer, err := o.issuerFor(x)
	if err != nil {
		return exchange.IdentityUnavailable.Because(err)
	}
	binding := o.readBinding(x)
	if binding == "" {
		binding = randomText()
	}
	st := loginState{
		Return: returnPath(x), Origin: o.origin(x), Nonce: randomText(), Verifier: oauth2.GenerateVerifier(),
		Until: o.env.Now().Add(loginTime).Unix(), Browser: hashText(binding),
	}
	text, err := json.Marshal(st)
	if err != nil {
		return exchange.Internal.Because(err)
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(st.Verifier), oauth2.SetAuthURLParam("nonce", st.Nonce)}
	for _, p := range o.settings.Params {
		options = append(options, oauth2.SetAuthURLParam(p.Name, p.Value))
	}
	to := issuer.client(o, st.Origin).AuthCodeURL(o.sealer.seal(forLogin, text), options...)
	x.DropResponse()
	o.expire(x, 0)
	o.setCookie(x, o.binding, binding, int(loginTime/time.Second))
	redirectTo(x, 302, to)
	return Answered
}

// callback ends a login: the issuer has sent the browser back.
func (o *oidcLogin) callback(x *exchange.Exchange) error {
	query := string(x.Request.Query)
	x.Request.Target = x.Request.Path // code and state are in no record
	if x.Request.Method != "GET" {
		return exchange.MethodNotAllowed.Because(nil)
	}
	q, err := url.ParseQuery(query)
	if err != nil || len(q["state"]) != 1 || len(q["code"]) > 1 || len(q["iss"]) > 1 {
		return exchange.IdentityInvalid.Because(errors.New("a callback that is not well-formed"))
	}
	st, err := o.openState(q.Get("state"), o.readBinding(x))
	if err != nil {
		return exchange.IdentityInvalid.Because(err)
	}
	if o.env.Now().Unix() >= st.Until {
		x.DropResponse()
		redirectTo(x, 303, st.Return) // where it begins again
		return Answered
	}
	switch iss := q.Get("iss"); {
	case iss != "" && iss != o.settings.Issuer: // RFC 9207
		return exchange.IdentityInvalid.Because(errors.New("a callback of another issuer"))
	case q.Has("error"):
		return exchange.IdentityInvalid.Errorf("the issuer refuses the login: %s", errorWord(q.Get("error")))
	case q.Get("code") == "":
		return exchange.IdentityInvalid.Because(errors.New("a callback without a code"))
	}
	a := inquire(x, o.name, o.issuer.host())
	s, err := o.issuer.exchange(a.in(x.Context()), o, st, q.Get("code"))
	a.over(err)
	switch {
	case errors.Is(err, errRefused):
		return exchange.IdentityInvalid.Because(err)
	case err != nil:
		return exchange.IdentityUnavailable.Because(err)
	}
	x.DropResponse()
	if err := o.writeCookie(x, s); err != nil {
		x.Response.Header.Truncate()
		return exchange.Internal.Because(err)
	}
	o.setCookie(x, o.binding, "", -1)
	redirectTo(x, 303, st.Return)
	return Answered
}

// openState opens a state that this browser was sent away with.
func (o *oidcLogin) openState(sealed, binding string) (*loginState, error) {
	text, err := o.sealer.open(forLogin, sealed)
	if err != nil {
		return nil, errors.New("a callback whose state is not ours")
	}
	st := new(loginState)
	if err := json.Unmarshal(text, st); err != nil || !safeReturn(st.Return) {
		return nil, errors.New("a callback whose state is damaged")
	}
	if binding == "" || subtle.ConstantTimeCompare([]byte(hashText(binding)), []byte(st.Browser)) != 1 {
		return nil, errors.New("a callback for a login that another browser began")
	}
	return st, nil
}

// logout ends the session: here, and at the issuer when it has a way.
func (o *oidcLogin) logout(x *exchange.Exchange) error {
	if m := x.Request.Method; m != "GET" && m != "POST" {
		return exchange.MethodNotAllowed.Because(nil)
	}
	if site := x.Request.Header.Get("Sec-Fetch-Site"); string(site) == "cross-site" {
		return exchange.IdentityInvalid.Because(errors.New("a logout that another site asks for"))
	}
	var s *session
	if sealed, ok := o.readCookie(x); ok {
		s, _ = o.open(sealed)
	}
	to := o.settings.AfterLogout
	if s != nil {
		o.state.ended.set(s.ID, struct{}{}, time.Unix(s.End, 0))
		if issuer, err := o.issuerFor(x); err == nil && issuer.endSession != "" {
			to = issuer.logoutURL(o.settings, s, o.origin(x))
		}
	}
	x.DropResponse()
	o.expire(x, 0)
	redirectTo(x, 303, to)
	return Answered
}

// readBinding returns the cookie that ties logins to this browser, or "".
func (o *oidcLogin) readBinding(x *exchange.Exchange) string {
	for name, value := range cookies(x) {
		if string(name) == o.binding && len(value) == bindingLen {
			return string(value)
		}
	}
	return ""
}

// returnPath is where a browser goes after a login: where it wanted to go, as
// long as that is surely a path of ours.
func returnPath(x *exchange.Exchange) string {
	to := string(x.Request.Path)
	if x.Request.Query != nil {
		to += "?" + string(x.Request.Query)
	}
	if !safeReturn(to) {
		return "/"
	}
	return to
}

// redirectTo answers with a redirect that nobody keeps.
func redirectTo(x *exchange.Exchange, status int, to string) {
	h := &x.Response.Header
	h.Add("Location", to)
	h.Add("Cache-Control", "no-store")
	h.Add("Referrer-Policy", "no-referrer")
	made(x, status, nil)
}

// errorWord is an error code of OAuth (RFC 6749 §4.1.2.1) as a log may have it.
func errorWord(s string) string {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || c == '_') || i >= 40 {
			return "with something that is no error code"
		}
	}
	return s
}

func randomText() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
