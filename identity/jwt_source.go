package identity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopura/exchange"
)

// jwtSource knows clients by the tokens of an issuer.
type jwtSource struct {
	*jwtState
	name       string
	places     []place
	algorithms []string
	strip      bool
	subject    string
	rules      rules
	binding    string
	bearer     string // the challenge
	now        func() time.Time
}

// Identify implements Source.
func (s *jwtSource) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	text, at, err := s.find(x)
	if err != nil {
		return nil, err
	}
	if len(text) > maxToken {
		return nil, exchange.IdentityInvalid.Because(errTooLong)
	}
	now := s.now()
	id := s.cache.get(text, now)
	if id == nil {
		if id, err = s.verify(x, string(text), now); err != nil {
			return nil, err
		}
	}
	if err := checkBinding(x, id.Claims, s.binding); err != nil {
		return nil, err
	}
	if s.strip || at.kind == inQuery {
		at.drop(x)
	}
	return id, nil
}

// Challenge implements Challenger (RFC 6750 §3).
func (s *jwtSource) Challenge(_ *exchange.Exchange, refused error) string {
	if exchange.IdentityInvalid.Is(refused) {
		return s.bearer + `, error="invalid_token"`
	}
	return s.bearer
}

// find returns the token of the request and where it stands.
func (s *jwtSource) find(x *exchange.Exchange) (text []byte, at *place, err error) {
	for i := range s.places {
		at = &s.places[i]
		if text, err = at.find(x); err != None {
			return text, at, err
		}
	}
	return nil, nil, None
}

// find returns the token that stands in this place. Two in one place are
// refused: this reader and the next one could choose differently.
func (p *place) find(x *exchange.Exchange) (text []byte, err error) {
	switch p.kind {
	case inBearer:
		return authorization(x, "Bearer")
	case inHeader:
		h := &x.Request.Header
		if text = h.Get(p.name); text == nil {
			return nil, None
		}
		if h.Count(p.name) > 1 {
			return nil, invalid("more than one %s field", p.name)
		}
		if startsBearer(text) {
			text = text[len(bearerPrefix):]
		}
		return text, nil
	case inCookie:
		n := 0
		for name, value := range cookies(x) {
			if string(name) == p.name {
				text = value
				n++
			}
		}
		switch n {
		case 0:
			return nil, None
		case 1:
			return text, nil
		}
		return nil, invalid("more than one cookie %s", p.name)
	}
	value, err := queryCredential(x, p.name, true)
	return []byte(value), err
}

// drop takes the token out of what the upstream gets.
func (p *place) drop(x *exchange.Exchange) {
	switch p.kind {
	case inBearer:
		x.Request.Header.Del("Authorization")
	case inHeader:
		x.Request.Header.DelAlias(p.name)
	case inCookie:
		dropCookies(x, func(name []byte) bool { return string(name) == p.name })
	case inQuery:
		queryCredential(x, p.name, false)
	}
}

func invalid(format string, args ...any) *exchange.Error {
	return exchange.IdentityInvalid.Because(fmt.Errorf(format, args...))
}

// verify verifies a token that is not remembered: first what costs little, then
// its signature.
func (s *jwtSource) verify(x *exchange.Exchange, text string, now time.Time) (*exchange.Identity, error) {
	t, err := parseToken(text)
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	until, err := s.rules.check(t, now)
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	key, err := s.key(x, t)
	if err != nil {
		return nil, err
	}
	id := &exchange.Identity{Name: s.name, Claims: t.claims}
	id.Sub, _ = t.claims[s.subject].(string)
	s.cache.put(&verified{text, until, key, id}, now)
	return id, nil
}

var (
	errUnverified = errors.New("no key of the issuer verifies the signature")
	errUnknownKey = errors.New("an unknown key")
	errNoKeys     = errors.New("the issuer's keys have never been fetched")
)

// key returns the key that has signed the token.
func (s *jwtSource) key(x *exchange.Exchange, t *token) (*verifyKey, error) {
	if !slices.Contains(s.algorithms, t.alg) {
		return nil, invalid("the algorithm %q", clipped(t.alg))
	}
	if s.fixed != nil {
		k, err := s.fixed.verify(t)
		if err != nil {
			return nil, exchange.IdentityInvalid.Because(err)
		}
		return k, nil
	}
	set := s.remote.set.Load()
	if set == nil {
		return nil, exchange.IdentityUnavailable.Because(errNoKeys)
	}
	k, err := set.verify(t)
	if err == nil {
		return k, nil
	}
	// The issuer may have new keys, or another key under the same id; perhaps
	// they have come just now.
	if s.remote.set.Load() == set {
		span := x.BeginAsk("keys", hostOf(cmp.Or(s.remote.where.url, s.remote.where.issuer)))
		s.remote.missing(x.Context(), t.kid)
		x.EndSpan(span, nil, exchange.WorthSpan)
	}
	if next := s.remote.set.Load(); next != set {
		if k, err = next.verify(t); err == nil {
			return k, nil
		}
	}
	return nil, invalid("%w (key id %q, %s)", err, clipped(t.kid), t.alg)
}

// verify returns the key of the set that has signed the token.
func (s *keySet) verify(t *token) (*verifyKey, error) {
	keys, n := s.candidates(t.kid, t.alg)
	if n == 0 {
		return nil, errUnknownKey
	}
	for _, k := range keys[:n] {
		if methods[t.alg].Verify(t.signed, t.signature, k.key) == nil {
			return k, nil
		}
	}
	return nil, errUnverified
}

// validField reports whether a token may stand in a field of that name.
func validField(name string) bool {
	return exchange.ValidName(name) && !strings.EqualFold(name, "cookie") && !strings.EqualFold(name, "host")
}
