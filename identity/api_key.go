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

const apiKeyDoc = "A key that was given to the client, in a header field or a query parameter. The file has only hashes of the keys, with their owners, " +
	"expiry and attributes, which become claims; `gopura key new` makes a key and its line."

// APIKey is the settings of api_key.
type APIKey struct {
	Pos     config.Pos    `yaml:"-"`
	File    string        `yaml:"file" short:"true" required:"true" doc:"The file of the keys' hashes. Read again when it changes."`
	Header  string        `yaml:"header" default:"X-API-Key" doc:"The header field that carries the key."`
	Scheme  string        `yaml:"scheme" doc:"A word before the key in that field, such as Bearer; for Authorization."`
	Query   string        `yaml:"query" doc:"A query parameter that may carry the key instead. Left out: none."`
	Pepper  config.Secret `yaml:"pepper" doc:"The secret of hmac-sha256 hashes."`
	Forward bool          `yaml:"forward" doc:"Leave the key in the request for the service."`
}

// Files returns what the source is made of besides its settings.
func (s *APIKey) Files(dir string) []string { return []string{inDir(dir, s.File)} }

// maxAPIKey bounds what is hashed for a request.
const maxAPIKey = 512

type apiKey struct {
	header, scheme, query, pepper string
	challenge                     string
	forward                       bool
	plain, peppered               bool // which kinds of hash there are
	keys                          map[uint64][]*knownKey
	now                           func() time.Time
}

type knownKey struct {
	sum     digest
	expires time.Time
	id      *exchange.Identity
}

// Compile implements Spec.
func (s *APIKey) Compile(env *Env) (Source, error) {
	if !exchange.ValidName(s.Header) {
		return nil, &Fault{Path: "header", Pos: s.Pos, Err: fmt.Errorf("not a field name: %q", s.Header)}
	}
	if s.Scheme != "" && !exchange.ValidName(s.Scheme) {
		return nil, &Fault{Path: "scheme", Pos: s.Pos, Err: errors.New("a scheme is one word")}
	}
	if s.Scheme == "" && strings.EqualFold(s.Header, "Authorization") {
		return nil, &Fault{Path: "scheme", Pos: s.Pos, Err: errors.New("in Authorization a key stands behind a scheme: say which")}
	}
	data, err := readCredentials(inDir(env.Dir, s.File))
	if err != nil {
		return nil, &Fault{Path: "file", Pos: s.Pos, Err: err}
	}
	keys, err := parseKeys(s.File, data, !s.Pepper.IsZero())
	if err != nil {
		return nil, &Fault{Path: "file", Pos: s.Pos, Err: err}
	}
	a := &apiKey{
		header: s.Header, scheme: s.Scheme, query: s.Query, pepper: s.Pepper.Reveal(), forward: s.Forward,
		keys: make(map[uint64][]*knownKey, len(keys)), now: env.Now, challenge: "ApiKey realm=" + quoted(env.Name),
	}
	if s.Scheme != "" {
		a.challenge = s.Scheme + " realm=" + quoted(env.Name)
	}
	for _, k := range keys {
		claims := withSub(k.owner.Claims, k.owner.Name)
		if k.id != "" {
			claims["key_id"] = k.id
		}
		a.plain, a.peppered = a.plain || !k.peppered, a.peppered || k.peppered
		at := binary.BigEndian.Uint64(k.sum[:])
		a.keys[at] = append(a.keys[at], &knownKey{k.sum, k.expires, &exchange.Identity{Name: env.Name, Sub: k.owner.Name, Claims: claims}})
	}
	return a, nil
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
	if len(key) > maxAPIKey {
		return nil, exchange.IdentityInvalid.Because(errors.New("a key that is too long"))
	}
	var found *knownKey
	if a.plain {
		found = a.find(apiKeySum(key, ""))
	}
	if found == nil && a.peppered {
		found = a.find(apiKeySum(key, a.pepper))
	}
	switch {
	case found == nil:
		return nil, exchange.IdentityInvalid.Because(errors.New("no such key"))
	case !found.expires.IsZero() && !a.now().Before(found.expires):
		return nil, exchange.IdentityInvalid.Errorf("a key of %q that has expired", found.id.Sub)
	}
	return found.id, nil
}

// find compares in constant time. What the time of the lookup before could tell
// is about the hash, and says nothing about the key.
func (a *apiKey) find(sum digest) *knownKey {
	for _, k := range a.keys[binary.BigEndian.Uint64(sum[:])] {
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
