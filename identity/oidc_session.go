package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

// session is what the cookie of a browser that has logged in holds.
type session struct {
	ID      string         `json:"i"`
	Sub     string         `json:"s"`
	Claims  map[string]any `json:"c"`
	Expires int64          `json:"x,omitempty"` // of the tokens
	Renew   int64          `json:"n,omitempty"` // from when on they are renewed
	End     int64          `json:"e"`           // of the session
	Refresh string         `json:"r,omitempty"`
	Access  string         `json:"a,omitempty"` // when the service gets it
	IDToken string         `json:"t,omitempty"` // when the service gets it, and for logout

	id *exchange.Identity
}

// Sizes of cookies: browsers take 4096 bytes with name and attributes.
const (
	cookiePart   = 3600
	maxParts     = 4
	forSession   = "session"
	refreshPause = 5 * time.Second // before a refresh that failed is tried again
	renewedFor   = 2 * time.Minute // requests that still bring the old cookie
)

var (
	errSessionOver  = errors.New("a session that has ended")
	errSessionLarge = errors.New("the session doesn't fit into cookies: name the claims that are to be kept")
)

// session returns the session of a request, renewed when it is time. The error
// is None, IdentityInvalid or IdentityUnavailable.
func (o *oidcLogin) session(x *exchange.Exchange) (*session, error) {
	sealed, ok := o.readCookie(x)
	if !ok {
		return nil, None
	}
	s, err := o.open(sealed)
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	now := o.env.Now()
	if _, ended := o.state.ended.get(s.ID, now); ended || now.Unix() >= s.End {
		return nil, exchange.IdentityInvalid.Because(errSessionOver)
	}
	if s.Refresh != "" && s.Renew > 0 && now.Unix() >= s.Renew {
		return o.renew(x, s, now)
	}
	if o.settings.Upstream == "access_token" && s.Expires > 0 && now.Unix() >= s.Expires {
		return nil, exchange.IdentityInvalid.Because(errSessionOver)
	}
	return s, nil
}

// open decrypts a cookie. What was opened a moment ago is at hand.
func (o *oidcLogin) open(sealed string) (*session, error) {
	now := o.env.Now()
	key := o.state.digests.of(sealed)
	if s, ok := o.state.opened.get(key, now); ok {
		return s, nil
	}
	text, err := o.sealer.open(forSession, sealed)
	if err != nil {
		return nil, err
	}
	s, err := o.parse(text)
	if err != nil {
		return nil, err
	}
	o.state.opened.set(key, s, now.Add(openedFor))
	return s, nil
}

func (o *oidcLogin) parse(text []byte) (*session, error) {
	s := new(session)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(s); err != nil || s.Sub == "" || s.ID == "" || s.Claims == nil {
		return nil, errSealed
	}
	s.Claims = plainNumbers(s.Claims).(map[string]any)
	s.id = &exchange.Identity{Name: o.name, Sub: s.Sub, Claims: s.Claims}
	return s, nil
}

// renew gets new tokens for a session; all who ask meanwhile, and those who come
// a little later with the old cookie, share them. While the issuer is away a
// session goes on as long as its tokens do.
func (o *oidcLogin) renew(x *exchange.Exchange, old *session, now time.Time) (*session, error) {
	key := o.state.digests.of(old.Refresh)
	s, ok := o.state.renewed.get(key, now)
	if !ok {
		var err error
		if past, failed := o.state.failed.get(key, now); failed {
			err = past
		} else {
			a := inquire(x, o.name, o.issuer.host())
			s, err = o.state.flights.do(x.Context(), key, func() (*session, error) { return o.refresh(a.in(context.Background()), old, key) })
			a.over(err)
		}
		switch {
		case errors.Is(err, errRefused):
			return nil, exchange.IdentityInvalid.Because(errSessionOver)
		case err != nil && now.Unix() < old.Expires:
			return old, nil
		case err != nil:
			return nil, exchange.IdentityUnavailable.Because(err)
		}
	}
	if err := o.writeCookie(x, s); err != nil {
		return nil, exchange.IdentityUnavailable.Because(err)
	}
	return s, nil
}

// refresh asks the issuer for new tokens and remembers the outcome.
func (o *oidcLogin) refresh(ctx context.Context, old *session, key digest) (*session, error) {
	s, err := o.issuer.refresh(ctx, o, old)
	now := o.env.Now()
	if err != nil {
		o.state.failed.set(key, err, now.Add(refreshPause))
		return nil, err
	}
	o.state.renewed.set(key, s, now.Add(renewedFor))
	return s, nil
}

// isOurs reports whether a cookie is for the gateway alone.
func (o *oidcLogin) isOurs(name []byte) bool {
	rest, ok := strings.CutPrefix(string(name), o.cookie)
	return ok && (rest == "" || rest == "-login" || len(rest) == 2 && rest[0] == '.')
}

// readCookie puts the parts of the session's cookie together. The first part
// begins with how many there are.
func (o *oidcLogin) readCookie(x *exchange.Exchange) (string, bool) {
	var parts [maxParts]string
	found := false
	for name, value := range cookies(x) {
		rest, ok := strings.CutPrefix(string(name), o.cookie)
		if !ok {
			continue
		}
		n := 0
		if rest != "" {
			if len(rest) != 2 || rest[0] != '.' || rest[1] < '1' || rest[1] >= '0'+maxParts {
				continue
			}
			n = int(rest[1] - '0')
		} else {
			found = true
		}
		if parts[n] == "" && len(value) <= cookiePart+8 {
			parts[n] = string(value)
		}
	}
	if !found {
		return "", false
	}
	count, first, _ := strings.Cut(parts[0], ".")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxParts {
		return "", true // ours by name, but nothing that opens
	}
	return first + strings.Join(parts[1:n], ""), true
}

// writeCookie gives the browser the session.
func (o *oidcLogin) writeCookie(x *exchange.Exchange, s *session) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	sealed := o.sealer.seal(forSession, text)
	n := (len(sealed) + cookiePart - 1) / cookiePart
	if n > maxParts && s.IDToken != "" && o.settings.Upstream != "id_token" {
		short := *s
		short.IDToken = "" // logout does without
		return o.writeCookie(x, &short)
	}
	if n > maxParts {
		return errSessionLarge
	}
	age := int(s.End - o.env.Now().Unix())
	for i := range n {
		part := sealed[i*cookiePart : min((i+1)*cookiePart, len(sealed))]
		if i == 0 {
			o.setCookie(x, o.cookie, strconv.Itoa(n)+"."+part, age)
		} else {
			o.setCookie(x, o.cookie+"."+strconv.Itoa(i), part, age)
		}
	}
	o.expire(x, n)
	return nil
}

// expire takes back the parts of the session's cookie that the browser has from
// the given one on.
func (o *oidcLogin) expire(x *exchange.Exchange, from int) {
	var have [maxParts]bool
	for name := range cookies(x) {
		rest, ok := strings.CutPrefix(string(name), o.cookie)
		switch {
		case ok && rest == "":
			have[0] = true
		case ok && len(rest) == 2 && rest[0] == '.' && rest[1] >= '1' && rest[1] < '0'+maxParts:
			have[rest[1]-'0'] = true
		}
	}
	for i := from; i < maxParts; i++ {
		if !have[i] {
			continue
		}
		name := o.cookie
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		o.setCookie(x, name, "", -1)
	}
}

// setCookie adds a cookie to the answer; a negative age takes it back.
func (o *oidcLogin) setCookie(x *exchange.Exchange, name, value string, age int) {
	c := http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: !o.settings.Session.Insecure, SameSite: http.SameSiteLaxMode,
	}
	x.Response.Header.Add("Set-Cookie", c.String())
}
