package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopura/config"
	"gopura/lifetime"
)

const jwtDoc = "A JSON Web Token that an issuer has signed (RFC 7519). Its keys are found through the issuer's discovery document, or at jwks, or they are " +
	"given as keys or secret. Issuer, audience, expiry and type are checked exactly; the claims become jwt.NAME. Verified tokens are remembered until they expire."

// JWT is the settings of jwt.
type JWT struct {
	Pos        config.Pos      `yaml:"-"`
	Issuer     string          `yaml:"issuer" required:"true" doc:"Who issues the tokens: exactly what iss says. An https URL when the keys are found by discovery; any only with jwks, keys or secret."`
	Audience   []string        `yaml:"audience" one:"true" required:"true" doc:"Whom the tokens must be for: aud has one of these. any takes every token of the issuer, also those that were meant for others."`
	JWKS       string          `yaml:"jwks" doc:"Where the issuer publishes its keys, in place of discovery."`
	Keys       []string        `yaml:"keys" one:"true" doc:"Public keys in place of published ones: paths of files, or PEM or JWK texts."`
	Secret     config.Secret   `yaml:"secret" doc:"The secret of HS256 and its like, shared with the issuer; at least as long as the hash."`
	Algorithms []string        `yaml:"algorithms" one:"true" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,HS256,HS384,HS512" doc:"The signatures that are accepted. Default: all of public keys; those of a secret have to be named."`
	Token      []string        `yaml:"token" one:"true" default:"bearer" doc:"Where the token stands, the first that is there counts: bearer (in Authorization), header.NAME, cookie.NAME, query.NAME. From the query it is always taken out."`
	Strip      bool            `yaml:"strip" default:"false" doc:"Take the token out of what the service gets."`
	Require    []string        `yaml:"require" one:"true" doc:"Claims that must be there."`
	Claims     map[string]any  `yaml:"claims" doc:"Claims and what they must say: a value, or a list of which one will do. Of a claim that is a list, one item has to fit."`
	Type       []string        `yaml:"type" one:"true" doc:"What the header's typ must say, such as at+jwt. Default: JWT, at+jwt or nothing."`
	Subject    string          `yaml:"subject" default:"sub" doc:"The claim that becomes identity.sub."`
	Binding    string          `yaml:"binding" enum:"verify,require,ignore" default:"verify" doc:"Tokens that are bound to a client's certificate (cnf, RFC 8705). verify: they are good over connections with that certificate only; require: others are refused; ignore: for a gateway behind something that ends TLS itself."`
	Leeway     config.Duration `yaml:"leeway" default:"30s" max:"60s" doc:"How far clocks may differ."`
	Refresh    config.Duration `yaml:"refresh" default:"1h" min:"1m" max:"1d" doc:"How old published keys may become before they are fetched again; the issuer may ask for less, down to a minute."`
	Cooldown   config.Duration `yaml:"cooldown" default:"10s" min:"1s" max:"10m" doc:"A token with an unknown key makes the gateway ask the issuer at most this often."`
	Cache      int             `yaml:"cache" default:"8192" min:"0" max:"1048576" doc:"How many verified tokens are remembered; 0 is none."`
	CA         string          `yaml:"ca" doc:"Path of a PEM file with the authorities to trust for the issuer, in place of the system's."`
	Cert       string          `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the issuer, and its chain."`
	Key        string          `yaml:"key" doc:"Path of the PEM file with its private key."`
	Insecure   bool            `yaml:"insecure" doc:"Fetch keys over http as well. For networks that you trust."`
}

// anything is the word for a check that is left out.
const anything = "any"

// Compile implements Spec.
func (s *JWT) Compile(env *Env) (Source, error) {
	c := jwtCompiler{JWT: s, env: env}
	c.check()
	c.methods()
	static := c.static()
	places := c.places()
	if c.faults != nil {
		return nil, errors.Join(c.faults...)
	}
	state, err := c.state(static)
	if err != nil {
		return nil, &Fault{Path: callFault(err), Err: err}
	}
	if state.remote != nil {
		env.Prepare(state.remote.start)
	}
	return &jwtSource{
		name: env.Name, places: places, algorithms: c.allowed, strip: s.Strip, subject: s.Subject, rules: c.rules, now: env.Now, jwtState: state,
		binding: s.Binding, bearer: "Bearer realm=" + quoted(env.Name),
	}, nil
}

// Files returns what the source is made of besides its settings.
func (s *JWT) Files(dir string) []string {
	files := s.trust().In(dir).Files()
	for _, k := range s.Keys {
		if isPath(k) {
			files = append(files, inDir(dir, k))
		}
	}
	return files
}

func (s *JWT) trust() CallTLS { return CallTLS{s.CA, s.Cert, s.Key} }

// jwtState is what lives on when a configuration takes the place of another.
type jwtState struct {
	fixed  *keySet     // the keys, when nobody has to be asked
	remote *remoteKeys // else
	cache  *tokenCache
}

// jwtCompiler collects what is wrong with the settings.
type jwtCompiler struct {
	*JWT
	env     *Env
	rules   rules
	allowed []string
	faults  []error
}

func (c *jwtCompiler) fault(path, format string, args ...any) {
	c.faults = append(c.faults, &Fault{Path: path, Err: fmt.Errorf(format, args...)})
}

func (c *jwtCompiler) check() {
	ways := 0
	for _, given := range []bool{c.JWKS != "", len(c.Keys) > 0, !c.Secret.IsZero()} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		c.fault("", "the keys come from one of jwks, keys, secret; this has %d of them", ways)
	case c.Issuer == "":
		c.fault("issuer", "is empty")
	case c.Issuer == anything && ways == 0:
		c.fault("issuer", "to find the keys, the issuer must be known")
	case ways == 0:
		if err := checkAddress(c.Issuer, c.Insecure); err != nil {
			c.fault("issuer", "%v", err)
		} else if strings.Contains(c.Issuer, "?") {
			c.fault("issuer", "an issuer has no query")
		}
	case c.JWKS != "":
		if err := checkAddress(c.JWKS, c.Insecure); err != nil {
			c.fault("jwks", "%v", err)
		}
	}
	r := &c.rules
	r.issuer, r.audience, r.leeway, r.require = c.Issuer, c.Audience, c.Leeway, c.Require
	if r.issuer == anything {
		r.issuer = ""
	}
	switch {
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		c.fault("audience", "names nobody")
	case slices.Contains(c.Audience, anything) && len(c.Audience) > 1:
		c.fault("audience", "any stands alone")
	case c.Audience[0] == anything:
		r.audience = nil
	}
	if c.Leeway < 0 || c.Leeway > time.Minute {
		c.fault("leeway", "at most a minute")
	}
	if r.untyped = len(c.Type) == 0; r.untyped {
		r.types = []string{"jwt", "at+jwt"}
	}
	for _, t := range c.Type {
		r.types = append(r.types, mediaType(t))
	}
	c.checkClaims()
}

func (c *jwtCompiler) checkClaims() {
	c.rules.claims = map[string][]any{}
	for name, want := range c.Claims {
		list, ok := want.([]any)
		if !ok {
			list = []any{want}
		}
		if len(list) == 0 {
			c.fault("claims."+name, "no value will do")
		}
		for _, v := range list {
			switch v.(type) {
			case string, bool, int64, float64:
			default:
				c.fault("claims."+name, "a claim is compared with a text, a number, true or false, or a list of them")
			}
		}
		c.rules.claims[name] = list
	}
}

// methods decides which algorithms are accepted. Those of a secret are accepted
// only when they are named, and never beside those of public keys.
func (c *jwtCompiler) methods() {
	secret := !c.Secret.IsZero()
	for _, alg := range c.Algorithms {
		if strings.HasPrefix(alg, "HS") != secret {
			if secret {
				c.fault("algorithms", "%s is not for a secret: those for one are HS256, HS384 and HS512", alg)
			} else {
				c.fault("algorithms", "%s needs a secret", alg)
			}
		}
		if secret && len(c.Secret.Reveal()) < hashSize(alg) { // RFC 7518 §3.2
			c.fault("secret", "%s needs a secret of at least %d bytes; openssl rand -base64 %d makes one", alg, hashSize(alg), hashSize(alg))
		}
	}
	switch c.allowed = slices.Clone(c.Algorithms); {
	case len(c.allowed) > 0:
		if slices.Contains(c.allowed, "EdDSA") {
			c.allowed = append(c.allowed, "Ed25519")
		}
	case secret:
		c.fault("algorithms", "a secret is used only for an algorithm that is named: algorithms: HS256")
	default:
		for alg := range methods {
			if !strings.HasPrefix(alg, "HS") {
				c.allowed = append(c.allowed, alg)
			}
		}
	}
	slices.Sort(c.allowed)
}

func hashSize(alg string) int {
	switch alg {
	case "HS384":
		return 48
	case "HS512":
		return 64
	}
	return 32
}

// static returns the keys that the configuration gives itself; nil when they are
// published.
func (c *jwtCompiler) static() *keySet {
	if !c.Secret.IsZero() {
		return secretSet(c.Secret.Reveal(), c.allowed)
	}
	if len(c.Keys) == 0 {
		return nil
	}
	set := new(keySet)
	for i, text := range c.Keys {
		at, data := fmt.Sprintf("keys[%d]", i), []byte(text)
		if isPath(text) {
			var err error
			if data, err = readCredentials(inDir(c.env.Dir, text)); err != nil {
				c.fault(at, "%v", err)
				continue
			}
		}
		keys, err := parseStaticKeys(data, c.allowed)
		if err != nil {
			c.fault(at, "%v", err)
			continue
		}
		set.keys = append(set.keys, keys...)
	}
	if len(set.keys) > maxKeys {
		c.fault("keys", "more than %d keys", maxKeys)
	}
	return set
}

// isPath reports whether a text is no key itself.
func isPath(text string) bool {
	text = strings.TrimSpace(text)
	return !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "-----BEGIN")
}

// state adopts or opens what outlives the configuration: all that decides
// whether a token is good is in its key, so that no verdict outlives its rules.
func (c *jwtCompiler) state(static *keySet) (*jwtState, error) {
	fixed := *c.JWT
	fixed.Pos = config.Pos{} // where it stands does not matter
	settings, err := json.Marshal(fixed)
	if err != nil {
		return nil, err
	}
	parts := []string{string(settings), c.Secret.Reveal()}
	if static != nil {
		for _, k := range static.keys {
			parts = append(parts, string(k.sum[:]))
		}
	}
	_, print, err := c.trust().In(c.env.Dir).Config()
	if err != nil {
		return nil, err
	}
	parts = append(parts, print)
	remote, err := c.remote(static != nil, print)
	if err != nil {
		return nil, err
	}
	return lifetime.Hold(c.env.Pool, c.env.Scope, stateKey("jwt", c.env.Name, parts...), func() (*jwtState, func(), error) {
		st := &jwtState{fixed: static, remote: remote, cache: newTokenCache(c.Cache)}
		if remote == nil {
			return st, nil, nil
		}
		forget := remote.sweeps(func() { st.cache.sweep(c.env.Now()) })
		return st, forget, nil
	})
}

// remote adopts or opens the published keys. They live on as long as they come
// from the same place, by the same trust (print), whatever else of the settings
// changes.
func (c *jwtCompiler) remote(static bool, print string) (*remoteKeys, error) {
	if static {
		return nil, nil
	}
	at := keysAt{url: c.JWKS, insecure: c.Insecure, refresh: c.Refresh, cooldown: c.Cooldown}
	if at.url == "" {
		at.issuer = c.Issuer
	}
	parts := []string{fmt.Sprint(at), strings.Join(c.allowed, " "), print}
	return lifetime.Hold(c.env.Pool, c.env.Scope, stateKey("jwks", "", parts...), func() (*remoteKeys, func(), error) {
		r, err := newRemoteKeys(at, c.trust().In(c.env.Dir), c.allowed, c.env.Log, c.env.Now)
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	})
}

// place is where a token may stand.
type place struct {
	kind placeKind
	name string
}

type placeKind uint8

const (
	inBearer placeKind = iota
	inHeader
	inCookie
	inQuery
)

func (c *jwtCompiler) places() []place {
	var list []place
	for i, text := range c.Token {
		at := fmt.Sprintf("token[%d]", i)
		kind, name, dotted := strings.Cut(text, ".")
		p := place{name: name}
		switch {
		case text == "bearer":
			p.kind = inBearer
		case dotted && name != "" && kind == "header":
			if p.kind = inHeader; !validField(name) {
				c.fault(at, "%q is no name of a header field", name)
			}
		case dotted && name != "" && kind == "cookie":
			p.kind = inCookie
		case dotted && name != "" && kind == "query":
			p.kind = inQuery
		default:
			c.fault(at, "%q is no place of a token: bearer, header.NAME, cookie.NAME or query.NAME", text)
		}
		if slices.Contains(list, p) {
			c.fault(at, "%q is named twice", text)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		c.fault("token", "names no place")
	}
	return list
}

var bearerPrefix = []byte("bearer ")

// startsBearer reports whether a field's value is a token behind its scheme.
func startsBearer(v []byte) bool {
	return len(v) > len(bearerPrefix) && bytes.EqualFold(v[:len(bearerPrefix)], bearerPrefix)
}
