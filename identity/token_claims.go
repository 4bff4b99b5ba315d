package identity

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxTime is the end of the year 9999, in seconds: later times are nonsense.
const maxTime = 253402300799

// date returns a NumericDate (RFC 7519 §2): seconds since 1970, perhaps with a
// fraction. A text is none, however many libraries take it.
func date(claims map[string]any, name string) (at time.Time, has bool, err error) {
	switch v := claims[name].(type) {
	case nil:
		if _, null := claims[name]; null {
			return at, false, fmt.Errorf("%s is null", name)
		}
		return at, false, nil
	case int64:
		if v >= 0 && v <= maxTime {
			return time.Unix(v, 0), true, nil
		}
	case float64:
		if v >= 0 && v <= maxTime {
			return time.UnixMicro(int64(v * 1e6)), true, nil
		}
	}
	return at, false, fmt.Errorf("%s is no time", name)
}

// rules is what the claims of a token must say.
type rules struct {
	issuer   string   // "": any
	audience []string // none: any
	types    []string // of the header; in lower case
	untyped  bool     // a token without type will do
	leeway   time.Duration
	require  []string
	claims   map[string][]any // claim → values that will do
}

var (
	errIssuer   = errors.New("another issuer")
	errAudience = errors.New("for another audience")
	errExpired  = errors.New("expired")
	errNoExpiry = errors.New("never expires")
	errNotYet   = errors.New("not valid yet")
	errFuture   = errors.New("issued in the future")
	errType     = errors.New("another type of token")
)

// check returns until when the token is good by its claims.
func (r *rules) check(t *token, now time.Time) (until time.Time, err error) {
	if !(t.typ == "" && r.untyped || t.typ != "" && slices.Contains(r.types, t.typ)) {
		return until, errType
	}
	if r.issuer != "" {
		if iss, ok := t.claims["iss"].(string); !ok || iss != r.issuer {
			return until, errIssuer
		}
	}
	if err := r.checkAudience(t.claims); err != nil {
		return until, err
	}
	if until, err = r.checkTimes(t.claims, now); err != nil {
		return until, err
	}
	if sub, has := t.claims["sub"]; has {
		if _, ok := sub.(string); !ok {
			return until, errors.New("the subject is no text")
		}
	}
	for _, name := range r.require {
		if v, has := t.claims[name]; !has || v == nil || v == "" {
			return until, fmt.Errorf("the claim %q is missing", name)
		}
	}
	for name, want := range r.claims {
		if !fits(t.claims[name], want) {
			return until, fmt.Errorf("the claim %q says something else", name)
		}
	}
	return until, nil
}

func (r *rules) checkAudience(claims map[string]any) error {
	if len(r.audience) == 0 {
		return nil
	}
	switch aud := claims["aud"].(type) { // RFC 7519 §4.1.3
	case string:
		if slices.Contains(r.audience, aud) {
			return nil
		}
	case []any:
		ours := false
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return errAudience
			}
			ours = ours || slices.Contains(r.audience, s)
		}
		if ours {
			return nil
		}
	}
	return errAudience
}

// checkTimes returns when the token ends, leeway included.
func (r *rules) checkTimes(claims map[string]any, now time.Time) (until time.Time, err error) {
	exp, has, err := date(claims, "exp")
	switch {
	case err != nil:
		return until, err
	case !has:
		return until, errNoExpiry
	}
	until = exp.Add(r.leeway)
	if !now.Before(until) { // RFC 7519 §4.1.4: on or after is too late
		return until, errExpired
	}
	nbf, has, err := date(claims, "nbf")
	switch {
	case err != nil:
		return until, err
	case has && now.Add(r.leeway).Before(nbf):
		return until, errNotYet
	}
	iat, has, err := date(claims, "iat")
	switch {
	case err != nil:
		return until, err
	case has && now.Add(r.leeway).Before(iat):
		return until, errFuture
	}
	return until, nil
}

// fits reports whether a claim is one of the wanted values, or a list that has
// one of them.
func fits(claim any, want []any) bool {
	if list, ok := claim.([]any); ok {
		return slices.ContainsFunc(list, func(v any) bool { return isOne(v, want) })
	}
	return isOne(claim, want)
}

func isOne(v any, want []any) bool {
	switch v.(type) {
	case string, bool, int64, float64:
		return slices.Contains(want, v)
	}
	return false
}
