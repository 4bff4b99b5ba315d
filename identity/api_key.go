package identity

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const apiKeyDoc = "A key that was given to the client, in a header field or a query parameter. The file, or the store that replicas share, has only hashes of the keys, " +
	"with their owners, expiry and attributes, which become claims; `gopura key new` makes a key and its line in a file, `gopura key add` one in the store."

// APIKey is the settings of api_key.
type APIKey struct {
	Pos      config.Pos    `yaml:"-"`
	File     string        `yaml:"file" short:"true" doc:"The file of the keys' hashes. Read again when it changes."`
	Store    *KeyStore     `yaml:"store" doc:"In place of a file: keys in the top-level store, which all replicas share."`
	Header   string        `yaml:"header" default:"X-API-Key" doc:"The header field that carries the key."`
	Scheme   string        `yaml:"scheme" doc:"A word before the key in that field, such as Bearer; for Authorization."`
	Query    string        `yaml:"query" doc:"A query parameter that may carry the key instead. Left out: none."`
	Pepper   config.Secret `yaml:"pepper" doc:"The secret of hmac-sha256 hashes."`
	Refusals config.Rate   `yaml:"refusals" doc:"How many credentials of one client address (of IPv6, of one /64) may be refused, 20/min; then 429 (identity_limited), and none of that address is looked at until there is room. Left out: as many as come."`
	Forward  bool          `yaml:"forward" doc:"Leave the key in the request for the service."`
}

// Files returns what the source is made of besides its settings.
func (s *APIKey) Files(dir string) []string {
	if s.File == "" {
		return nil
	}
	return []string{inDir(dir, s.File)}
}

// maxAPIKey bounds what is hashed for a request.
const maxAPIKey = 512

type apiKey struct {
	header, scheme, query string
	challenge             string
	forward               bool
	known                 keyLookup
	refusals              *refusals
	now                   func() time.Time
}

// keyLookup knows keys by their hashes.
type keyLookup interface {
	// find returns a key, nil when there is none. An error means that nobody can say.
	find(x *exchange.Exchange, key string) (*knownKey, error)
}

type knownKey struct {
	sum     digest
	expires time.Time
	id      *exchange.Identity
}

// Compile implements Spec.
func (s *APIKey) Compile(env *Env) (Source, error) {
	fault := func(path string, err error) (Source, error) { return nil, &Fault{Path: path, Pos: s.Pos, Err: err} }
	switch {
	case !exchange.ValidName(s.Header):
		return fault("header", fmt.Errorf("not a field name: %q", s.Header))
	case s.Scheme != "" && !exchange.ValidName(s.Scheme):
		return fault("scheme", errors.New("a scheme is one word"))
	case s.Scheme == "" && strings.EqualFold(s.Header, "Authorization"):
		return fault("scheme", errors.New("in Authorization a key stands behind a scheme: say which"))
	case (s.File == "") == (s.Store == nil):
		return fault("", errors.New("needs a file of keys or a store of them, one of the two"))
	}
	a := &apiKey{header: s.Header, scheme: s.Scheme, query: s.Query, forward: s.Forward, now: env.Now, challenge: "ApiKey realm=" + quoted(env.Name)}
	if s.Scheme != "" {
		a.challenge = s.Scheme + " realm=" + quoted(env.Name)
	}
	var err error
	if a.refusals, err = env.refusals(s.Refusals, s.Pos); err != nil {
		return nil, err
	}
	if s.Store != nil {
		if a.known, err = s.Store.open(env, s.Pepper.Reveal()); err != nil {
			return fault("store", err)
		}
		return a, nil
	}
	if a.known, err = s.readFile(env); err != nil {
		return fault("file", err)
	}
	return a, nil
}

// keyTable is the keys of a file.
type keyTable struct {
	pepper          string
	plain, peppered bool // which kinds of hash there are
	keys            map[uint64][]*knownKey
}

func (s *APIKey) readFile(env *Env) (*keyTable, error) {
	data, err := readCredentials(inDir(env.Dir, s.File))
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(s.File, data, !s.Pepper.IsZero())
	if err != nil {
		return nil, err
	}
	t := &keyTable{pepper: s.Pepper.Reveal(), keys: make(map[uint64][]*knownKey, len(keys))}
	for _, k := range keys {
		claims := withSub(k.owner.Claims, k.owner.Name)
		if k.id != "" {
			claims["key_id"] = k.id
		}
		t.plain, t.peppered = t.plain || !k.peppered, t.peppered || k.peppered
		at := binary.BigEndian.Uint64(k.sum[:])
		t.keys[at] = append(t.keys[at], &knownKey{k.sum, k.expires, &exchange.Identity{Name: env.Name, Sub: k.owner.Name, Claims: claims}})
	}
	return t, nil
}

// Challenge implements Challenger. ApiKey is no registered scheme, but a 401
// has to name one (RFC 9110 §15.5.2).
func (a *apiKey) Challenge(*exchange.Exchange, error) string { return a.challenge }

// Identify implements Source.
func (a *apiKey) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	key, err := a.credential(x)
	if err != nil {
		return nil, err
	}
	if err := a.refusals.look(x); err != nil {
		return nil, err
	}
	id, err := a.judge(x, key)
	return a.refusals.told(x, id, err)
}

func (a *apiKey) judge(x *exchange.Exchange, key string) (*exchange.Identity, error) {
	if len(key) > maxAPIKey {
		return nil, exchange.IdentityInvalid.Because(errors.New("a key that is too long"))
	}
	found, err := a.known.find(x, key)
	switch {
	case err != nil:
		return nil, exchange.IdentityUnavailable.Because(err)
	case found == nil:
		return nil, exchange.IdentityInvalid.Because(errors.New("no such key"))
	case !found.expires.IsZero() && !a.now().Before(found.expires):
		return nil, exchange.IdentityInvalid.Errorf("a key of %q that has expired", found.id.Sub)
	}
	return found.id, nil
}

// find implements keyLookup.
func (t *keyTable) find(_ *exchange.Exchange, key string) (found *knownKey, err error) {
	if t.plain {
		found = t.at(apiKeySum(key, ""))
	}
	if found == nil && t.peppered {
		found = t.at(apiKeySum(key, t.pepper))
	}
	return found, nil
}

// at compares in constant time. What the time of the lookup before could tell
// is about the hash, and says nothing about the key.
func (t *keyTable) at(sum digest) *knownKey {
	for _, k := range t.keys[binary.BigEndian.Uint64(sum[:])] {
		if subtle.ConstantTimeCompare(k.sum[:], sum[:]) == 1 {
			return k
		}
	}
	return nil
}

// credential returns the key of a request, and takes it out.
func (a *apiKey) credential(x *exchange.Exchange) (string, error) {
	inQuery := None
	var key string
	if a.query != "" {
		if key, inQuery = queryCredential(x, a.query, a.forward); inQuery != nil && inQuery != None {
			return "", inQuery
		}
	}
	var v []byte
	var err error
	switch h := &x.Request.Header; {
	case strings.EqualFold(a.header, "Authorization"):
		v, err = authorization(x, a.scheme)
	case h.Count(a.header) > 1:
		return "", exchange.IdentityInvalid.Errorf("more than one %s field", a.header)
	case h.Get(a.header) == nil:
		err = None
	default:
		v = h.Get(a.header)
		if a.scheme != "" {
			v, err = behindScheme(v, a.scheme)
		}
	}
	switch {
	case err == None:
		return key, inQuery
	case err != nil:
		return "", err
	case inQuery == nil:
		return "", exchange.IdentityInvalid.Because(errors.New("a key in the header and another in the query"))
	}
	key = string(v)
	if !a.forward {
		x.Request.Header.Del(a.header)
	}
	return key, nil
}

func behindScheme(v []byte, scheme string) ([]byte, error) {
	if len(v) <= len(scheme) || !exchange.EqualFold(v[:len(scheme)], scheme) || v[len(scheme)] != ' ' {
		return nil, None
	}
	return v[len(scheme)+1:], nil
}
