package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

const basicDoc = "A user name and a password (RFC 7617), checked against an htpasswd file of bcrypt or argon2id hashes. " +
	"A password that was right is remembered for a short while, so that hashing costs are paid once; a user that doesn't exist takes as long to refuse as one that does."

// Basic is the settings of basic.
type Basic struct {
	Pos      config.Pos    `yaml:"-"`
	File     string        `yaml:"file" short:"true" required:"true" doc:"The htpasswd file: a line of name:hash for each user. Read again when it changes."`
	Realm    string        `yaml:"realm" doc:"What a browser shows when it asks for the password. Default: the name of the source."`
	Cache    time.Duration `yaml:"cache" default:"1m" min:"0" max:"1h" doc:"How long a right password is remembered; 0: not at all."`
	Refusals config.Rate   `yaml:"refusals" doc:"How many credentials of one client address (of IPv6, of one /64) may be refused, 20/min; then 429 (identity_limited), and none of that address is looked at until there is room. Left out: as many as come."`
	Forward  bool          `yaml:"forward" doc:"Leave the Authorization field in the request for the service."`
}

// Files returns what the source is made of besides its settings.
func (s *Basic) Files(dir string) []string { return []string{inDir(dir, s.File)} }

// Limits of basic.
const (
	maxBasic      = 1 << 10 // bytes of name and password
	basicKnown    = 10_000
	basicWrong    = 4_096
	basicWrongFor = 10 * time.Second
	hashWait      = 2 * time.Second
	hashWaiters   = 64
	hashStateKey  = "identity password hashing"
)

// basicState is what outlives a configuration: the verdicts on credentials.
type basicState struct {
	digests *digester
	known   *memory[digest, *exchange.Identity]
	wrong   *memory[digest, struct{}]
	flights flights[digest, bool]
}

type basic struct {
	name, challenge string
	users           map[string]*basicUser
	decoys          []*basicUser // all users
	state           *basicState
	hashing         *slots
	cache           time.Duration
	refusals        *refusals
	forward         bool
	now             func() time.Time
}

type basicUser struct {
	hash passwordHash
	id   *exchange.Identity
}

// Compile implements Spec.
func (s *Basic) Compile(env *Env) (Source, error) {
	data, err := readCredentials(inDir(env.Dir, s.File))
	if err != nil {
		return nil, &Fault{Path: "file", Pos: s.Pos, Err: err}
	}
	users, err := parseHtpasswd(data)
	if err != nil {
		return nil, &Fault{Path: "file", Pos: s.Pos, Err: fmt.Errorf("%s: %w", s.File, err)}
	}
	realm := s.Realm
	if realm == "" {
		realm = env.Name
	}
	b := &basic{
		name: env.Name, challenge: "Basic realm=" + quoted(realm) + `, charset="UTF-8"`,
		users: make(map[string]*basicUser, len(users)), cache: s.Cache, forward: s.Forward, now: env.Now,
	}
	for _, u := range users {
		id := &exchange.Identity{Name: env.Name, Sub: u.name, Claims: withSub(nil, u.name)}
		b.users[u.name] = &basicUser{u.hash, id}
		b.decoys = append(b.decoys, b.users[u.name])
	}
	b.state, err = lifetime.Hold(env.Pool, env.Scope, stateKey("basic", env.Name, string(data)), func() (*basicState, func(), error) {
		return &basicState{
			digests: newDigester(),
			known:   newMemory[digest, *exchange.Identity](basicKnown), wrong: newMemory[digest, struct{}](basicWrong),
		}, nil, nil
	})
	if err != nil {
		return nil, err
	}
	// All sources share the slots, so that passwords never take more than half
	// of the machine, whoever tries them.
	b.hashing, err = lifetime.Hold(env.Pool, env.Scope, hashStateKey, func() (*slots, func(), error) {
		return newSlots(max(1, runtime.GOMAXPROCS(0)/2), hashWaiters, hashWait), nil, nil
	})
	if err != nil {
		return nil, err
	}
	b.refusals, err = env.refusals(s.Refusals, s.Pos)
	return b, err
}

// Challenge implements Challenger.
func (b *basic) Challenge(*exchange.Exchange, error) string { return b.challenge }

var errWrongPassword = errors.New("no such user, or another password")

// Identify implements Source.
func (b *basic) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	text, err := authorization(x, "Basic")
	if err != nil {
		return nil, err
	}
	if err := b.refusals.look(x); err != nil {
		return nil, err
	}
	id, err := b.judge(x, text)
	if err == nil && !b.forward {
		x.Request.Header.Del("Authorization")
	}
	return b.refusals.told(x, id, err)
}

func (b *basic) judge(x *exchange.Exchange, text []byte) (*exchange.Identity, error) {
	name, password, err := decodeBasic(text)
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	return b.verify(x, name, password)
}

func (b *basic) verify(x *exchange.Exchange, name, password string) (*exchange.Identity, error) {
	key := b.state.digests.of(name, password)
	now := b.now()
	if id, ok := b.state.known.get(key, now); ok {
		return id, nil
	}
	if _, ok := b.state.wrong.get(key, now); ok {
		return nil, exchange.IdentityInvalid.Because(errWrongPassword)
	}
	u, exists := b.users[name]
	if !exists {
		u = b.decoy(name)
	}
	// The digest covers name and password: only those who said both the same
	// share an answer.
	from := x.Client.Addr.Addr() // before the flight, which may outlast the exchange
	right, err := b.state.flights.do(x.Context(), key, func() (bool, error) {
		if err := b.hashing.take(context.Background(), from); err != nil {
			return false, err
		}
		defer b.hashing.leave()
		return u.hash.matches([]byte(password)) && exists, nil
	})
	switch {
	case err != nil:
		return nil, exchange.IdentityUnavailable.Because(err)
	case !right:
		b.state.wrong.set(key, struct{}{}, now.Add(basicWrongFor))
		return nil, exchange.IdentityInvalid.Because(errWrongPassword)
	}
	if b.cache > 0 {
		b.state.known.set(key, u.id, now.Add(b.cache))
	}
	return u.id, nil
}

// decoy is the user whose hash is computed in the place of one that doesn't
// exist: always the same for a name, so that in a file of mixed hashes made-up
// names take the times of real ones.
func (b *basic) decoy(name string) *basicUser {
	d := b.state.digests.of("decoy", name)
	n := uint32(d[0]) | uint32(d[1])<<8 | uint32(d[2])<<16 | uint32(d[3])<<24
	return b.decoys[n%uint32(len(b.decoys))]
}

// decodeBasic takes the credentials of RFC 7617 §2 apart.
func decodeBasic(text []byte) (name, password string, err error) {
	if len(text) > base64.StdEncoding.EncodedLen(maxBasic) {
		return "", "", errors.New("credentials that are too long")
	}
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || bytes.ContainsAny(text, "\r\n") { // which the decoder passes over
		return "", "", errors.New("credentials that are not base64")
	}
	i := bytes.IndexByte(raw, ':')
	if i < 0 {
		return "", "", errors.New("credentials without a colon")
	}
	for _, c := range raw {
		if c < ' ' || c == 0x7f { // RFC 7617 §2
			return "", "", errors.New("credentials with control characters")
		}
	}
	return string(raw[:i]), string(raw[i+1:]), nil
}

// quoted is a quoted-string (RFC 9110 §5.6.4).
func quoted(s string) string {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
