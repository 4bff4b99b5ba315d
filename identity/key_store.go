package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

// KeyStore is the settings of api_key.store.
type KeyStore struct {
	Name     string        `yaml:"name" short:"true" required:"true" doc:"The name of a set of keys there: gopura key add fills it."`
	Cache    time.Duration `yaml:"cache" default:"10s" min:"1s" max:"1h" doc:"How long a key that was found is not asked for again: a key that is revoked is accepted until then."`
	Negative time.Duration `yaml:"negative_cache" default:"10s" min:"1s" max:"1h" doc:"How long a key that was not found is not asked for again: a key that is added may be refused until then, if somebody tried it before."`
	Stale    time.Duration `yaml:"stale" default:"1h" min:"0" max:"30d" doc:"While the store can't be asked: how long a key that was found lives on. Keys that are not remembered are refused with 503. 0: all are."`
	Entries  int           `yaml:"cache_entries" default:"10000" min:"100" max:"1000000" doc:"How many keys are remembered, and as many that were not found."`
	Unknown  int           `yaml:"lookups" default:"500" min:"1" max:"100000" doc:"How many keys a second that are not remembered the store is asked for, by each replica, half of them for one client at most; above that they are refused with 503, while remembered keys go on."`
	Timeout  time.Duration `yaml:"timeout" default:"250ms" min:"1ms" max:"10s" doc:"How long an answer of the store may take."`
}

// storeRest is how long the store is left alone after it failed: meanwhile
// nobody waits for it.
const storeRest = time.Second

// keyState is what outlives a configuration: what the store has said. Keys are
// remembered by their hash, so there is nothing to steal in here.
type keyState struct {
	known   *memory[digest, *rememberedKey]
	unknown *memory[digest, struct{}]
	flights flights[digest, *knownKey]
	guard   *keyGuard

	mu     sync.Mutex
	failed time.Time // when the store failed last
	down   bool      // it has been said that it does not answer
}

type rememberedKey struct {
	key   *knownKey
	fresh time.Time // until then nobody asks
}

// storedKeys looks keys up in the store.
type storedKeys struct {
	settings *KeyStore
	name     string // of the source
	pepper   string
	values   Values
	state    *keyState
	env      *Env
}

var errNoValues = errors.New("keys in the store need the top-level store")

func (s *KeyStore) open(env *Env, pepper string) (*storedKeys, error) {
	if err := checkKeySet(s.Name); err != nil {
		return nil, err
	}
	if env.Values == nil {
		return nil, errNoValues
	}
	k := &storedKeys{settings: s, name: env.Name, pepper: pepper, values: env.Values, env: env}
	key := stateKey("api_key", env.Name, env.StoreKey, pepper, fmt.Sprintf("%+v", *s))
	var err error
	k.state, err = lifetime.Hold(env.Pool, env.Scope, key, func() (*keyState, func(), error) {
		return &keyState{
			known: newMemory[digest, *rememberedKey](s.Entries), unknown: newMemory[digest, struct{}](s.Entries),
			guard: newKeyGuard(s.Unknown, s.Timeout),
		}, nil, nil
	})
	env.Prepare(k.prepare)
	return k, err
}

// prepare finds out whether the store answers, so that the log says so before
// the first client does.
func (k *storedKeys) prepare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, k.settings.Timeout)
	defer cancel()
	_, _, err := k.values.Get(ctx, keyAt(k.settings.Name, "none"))
	k.note(err)
}

// find implements keyLookup.
func (k *storedKeys) find(x *exchange.Exchange, key string) (*knownKey, error) {
	hash := apiKeySum(key, k.pepper)
	now := k.env.Now()
	old, remembered := k.state.known.get(hash, now)
	if remembered && now.Before(old.fresh) {
		return old.key, nil
	}
	if !remembered {
		if _, no := k.state.unknown.get(hash, now); no {
			return nil, nil
		}
	}
	found, err := k.ask(x, hash, now, remembered)
	if err != nil && remembered {
		return old.key, nil // for as long as it is remembered
	}
	return found, err
}

var (
	errResting  = errors.New("the store did not answer a moment ago")
	errTooMuch  = errors.New("too many keys that nobody knows are tried")
	errKeyEntry = errors.New("what the store has under the key's hash is no entry")
)

// ask asks the store, once for all who show the same key.
func (k *storedKeys) ask(x *exchange.Exchange, hash digest, now time.Time, remembered bool) (*knownKey, error) {
	s := k.state
	s.mu.Lock()
	resting := now.Sub(s.failed) < storeRest
	s.mu.Unlock()
	if resting {
		return nil, errResting
	}
	from := x.Client.Addr.Addr() // before the flight, which may outlast the exchange
	span := x.BeginSpan(exchange.SpanStore, k.env.Name, "")
	found, err := s.flights.do(x.Context(), hash, func() (*knownKey, error) {
		if !remembered {
			leave, err := s.guard.enter(context.Background(), from, k.env.Now())
			if err != nil {
				return nil, err
			}
			defer leave()
		}
		ctx, cancel := context.WithTimeout(context.Background(), k.settings.Timeout)
		defer cancel()
		text, found, err := k.values.Get(ctx, keyAt(k.settings.Name, keyHashText(hash, k.pepper != "")))
		k.note(err)
		if err != nil {
			return nil, fmt.Errorf("the store: %w", err)
		}
		return k.learn(hash, text, found)
	})
	failed := err
	if err != nil {
		failed = exchange.IdentityUnavailable.Because(err)
	}
	x.EndSpan(span, failed, 0)
	return found, err
}

// learn remembers what the store said.
func (k *storedKeys) learn(hash digest, text []byte, found bool) (*knownKey, error) {
	now := k.env.Now()
	if !found {
		k.state.known.forget(hash)
		k.state.unknown.set(hash, struct{}{}, now.Add(k.settings.Negative))
		return nil, nil
	}
	e, err := parseStoredKey(text)
	if err != nil {
		k.env.Log.Warn("an API key in the store can't be read", "set", k.settings.Name, "error", err)
		return nil, errKeyEntry
	}
	claims := withSub(e.Claims, e.Owner)
	if e.ID != "" {
		claims["key_id"] = e.ID
	}
	key := &knownKey{expires: e.Expires, id: &exchange.Identity{Name: k.name, Sub: e.Owner, Claims: claims}}
	fresh := now.Add(k.settings.Cache)
	k.state.known.set(hash, &rememberedKey{key, fresh}, fresh.Add(k.settings.Stale))
	return key, nil
}

// note keeps in mind whether the store answers, and logs a change once.
func (k *storedKeys) note(err error) {
	s := k.state
	s.mu.Lock()
	was := s.down
	if s.down = err != nil; s.down {
		s.failed = k.env.Now()
	}
	s.mu.Unlock()
	switch {
	case err != nil && !was:
		k.env.Log.Error("the store of API keys does not answer: remembered keys live on for a while, others are answered with 503", "error", err)
	case err == nil && was:
		k.env.Log.Info("the store of API keys answers again")
	}
}

// meter lets so many a second through, saved up for at most a second.
type meter struct {
	mu   sync.Mutex
	rate float64
	left float64
	at   time.Time
}

func (m *meter) take(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() {
		m.left = m.rate
	} else if d := now.Sub(m.at); d > 0 {
		m.left = min(m.left+d.Seconds()*m.rate, max(m.rate, 1))
	}
	m.at = now
	if m.left < 1 {
		return false
	}
	m.left--
	return true
}
