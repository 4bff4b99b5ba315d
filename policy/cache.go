package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gopura/cache"
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
)

const cacheDoc = "Keeps answers in memory and gives them to others who ask for the same (RFC 9111): `cache: 60s` is how long where the service doesn't say. " +
	"Answers to requests with credentials are kept only where the service allows it or the credentials are in the key; those that set cookies never are. " +
	"Requests that miss at the same time wait for one of them. Cache-Status says what was done. Each replica keeps its own."

// Cache is the settings of cache.
type Cache struct {
	Pos       config.Pos          `yaml:"-"`
	TTL       CacheTime           `yaml:"ttl" short:"true" default:"0" doc:"How long an answer is kept where the service says nothing: 60s, or 60s per identity.sub to keep the answers of each caller apart. 0: only what the service says a time for."`
	Key       []string            `yaml:"key" one:"true" doc:"What is in the key beside scheme, host, path and query: facts and other expressions."`
	KeyPos    config.Pos          `yaml:"-"`
	Vary      []string            `yaml:"vary" one:"true" doc:"Request fields that are in the key, beside those that the service names in Vary."`
	Methods   []string            `yaml:"methods" one:"true" enum:"GET,HEAD" default:"GET,HEAD" doc:"Whose requests are answered from memory."`
	Statuses  []config.StatusSpan `yaml:"statuses" one:"true" default:"200,203,301,308,404,410" doc:"Which answers are kept."`
	While     config.Duration     `yaml:"stale_while_revalidate" default:"0" doc:"How long past its time an answer is given while a new one is fetched, where the service says nothing."`
	IfError   config.Duration     `yaml:"stale_if_error" default:"0" doc:"How long past its time an answer is given when the service fails, where the service says nothing."`
	MaxBody   config.Size         `yaml:"max_body" default:"1MiB" min:"1" max:"64MiB" doc:"The largest body that is kept; larger ones pass as they come."`
	Size      config.Size         `yaml:"size" min:"0" max:"1TiB" doc:"Memory for these answers alone; 0: they share 128MiB (at most a quarter of the memory limit) with those of every other cache that doesn't say."`
	Respect   string              `yaml:"respect" enum:"on,off" default:"on" doc:"Whether the times that the service says count. off: ttl does; private and no-store still hold."`
	Bypass    string              `yaml:"bypass" doc:"A CEL expression: the requests that the cache has nothing to do with."`
	BypassPos config.Pos          `yaml:"-"`
	Ignore    []string            `yaml:"ignore" one:"true" enum:"cookie,authorization,identity,api_key" doc:"Credentials that don't change the answers: requests with them are treated as if they had none."`
	Collapse  config.Duration     `yaml:"collapse" default:"5s" doc:"How long a request waits for another one that asks for the same; 0: it doesn't."`
}

// CacheTime is how long, and whose: "60s", "60s per identity.sub".
type CacheTime struct {
	Time time.Duration
	Per  string // empty: everybody's
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *CacheTime) UnmarshalText(text []byte) error {
	first, per, keyed := strings.Cut(string(text), " per ")
	d, err := config.ParseDuration(strings.TrimSpace(first))
	per = strings.TrimSpace(per)
	if err != nil || d < 0 || keyed && per == "" {
		return config.Form("a duration (60s, 60s per identity.sub)")
	}
	t.Time, t.Per = d, per
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (t CacheTime) MarshalText() ([]byte, error) {
	text := t.Time.String()
	if t.Time == 0 {
		text = "0"
	}
	if t.Per != "" {
		text += " per " + t.Per
	}
	return []byte(text), nil
}

const perIdentity = "identity.sub"

// unkept are statuses whose reason may be what is not in the key: a method, a
// field that is too large, a condition, a part.
var unkept = []int{206, 304, 400, 401, 405, 407, 408, 411, 412, 413, 414, 415, 416, 417, 429, 431, 501}

// Compile implements Spec.
func (s *Cache) Compile(env *Env) (exchange.Middleware, error) {
	rules, err := s.rules(env)
	if err != nil {
		return nil, err
	}
	set := env.Caches
	if set == nil {
		set = cache.NewSet()
	}
	name, size := "shared", cache.SharedSize(debug.SetMemoryLimit(-1))
	if s.Size > 0 {
		name, size = rules.Owner, int64(s.Size)
	}
	storage, err := hold(env, fmt.Sprintf("cache %s %d", name, size), func() (*cache.Storage, func(), error) {
		st, err := set.Open(name, size)
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	})
	if err != nil {
		return nil, err
	}
	counts, err := hold(env, "cache counts "+rules.Owner, func() (*cache.Counts, func(), error) {
		c, release := set.Counts(rules.Owner)
		return c, release, nil
	})
	if err != nil {
		return nil, err
	}
	c := storage.New(rules, counts)
	if env.Scope != nil {
		env.Scope.Add(c.Close)
	}
	return c.Middleware, nil
}

// hold is lifetime.Hold where there may be no pool.
func hold[T any](env *Env, key string, open func() (T, func(), error)) (T, error) {
	if env.Pool == nil || env.Scope == nil {
		v, _, err := open()
		return v, err
	}
	return lifetime.Hold(env.Pool, env.Scope, key, open)
}

func (s *Cache) rules(env *Env) (r cache.Rules, err error) {
	r = cache.Rules{
		Owner: env.Route, Seed: s.fingerprint(), TTL: s.TTL.Time, Respect: s.Respect != "off",
		StaleWhileRevalidate: s.While, StaleIfError: s.IfError, Wait: s.Collapse, MaxBody: int64(s.MaxBody),
		Get: slices.Contains(s.Methods, "GET"), Head: slices.Contains(s.Methods, "HEAD"), Everything: env.Call,
	}
	var faults []error
	fault := func(path string, pos config.Pos, text string, err error) {
		if pos == (config.Pos{}) {
			pos = s.Pos
		}
		faults = append(faults, &Fault{Path: path, Pos: pos, Text: text, Err: err})
	}
	for _, name := range s.Vary {
		if !exchange.ValidName(name) {
			fault("vary", s.Pos, "", fmt.Errorf("not a field name: %q", name))
		}
		r.Vary = append(r.Vary, strings.ToLower(name))
	}
	for _, n := range unkept {
		if s.keeps(n) {
			fault("statuses", s.Pos, "", fmt.Errorf("answers with %d may be due to what is not in the key: they can't be kept for others", n))
			break
		}
	}
	r.Statuses = s.keeps
	for _, word := range s.Ignore {
		r.Ignore |= ignorable[word]
	}
	if s.Bypass != "" {
		p, err := env.Expr.Compile(s.Bypass, expr.Bool)
		if err != nil {
			fault("bypass", s.BypassPos, s.Bypass, err)
		} else {
			r.Bypass = func(x *exchange.Exchange) bool { ok, err := p.Bool(x); return ok || err != nil }
		}
	}
	keys := slices.Clone(s.Key)
	if s.TTL.Per != "" {
		keys = append(keys, s.TTL.Per)
	}
	var k key
	for _, text := range keys {
		if strings.TrimSpace(text) == perIdentity {
			r.PerIdentity = true
			continue
		}
		part, err := compileKey(env, []string{text}, s.KeyPos)
		if err != nil {
			var f *Fault
			errors.As(err, &f)
			fault("key", s.KeyPos, text, f.Err)
			continue
		}
		k = append(k, part...)
	}
	if k != nil {
		r.Key = func(dst []byte, x *exchange.Exchange) []byte { return k.append(dst, x) }
	}
	return r, errors.Join(faults...)
}

var ignorable = map[string]cache.Credentials{
	"cookie": cache.Cookie, "authorization": cache.Authorization, "identity": cache.Identity, "api_key": cache.APIKey,
}

func (s *Cache) keeps(status int) bool {
	for _, span := range s.Statuses {
		if span.From <= status && status <= span.To {
			return true
		}
	}
	return false
}

// fingerprint tells settings apart: what was kept by others is not used.
func (s *Cache) fingerprint() string {
	c := *s
	c.Pos, c.KeyPos, c.BypassPos = config.Pos{}, config.Pos{}, config.Pos{}
	h := fnv.New128a()
	fmt.Fprintf(h, "%#v", c)
	return hex.EncodeToString(h.Sum(nil))
}
