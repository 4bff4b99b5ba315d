package store

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// Mode is how a Redis store decides.
type Mode string

// OnFailure is who decides while Redis can't.
type OnFailure string

const (
	Leased Mode = "leased" // from tokens that were fetched in the background; never waits
	Exact  Mode = "exact"  // one script call a decision

	Local  OnFailure = "local"  // each replica enforces the whole limit by itself
	Allow  OnFailure = "allow"  // everything passes
	Refuse OnFailure = "refuse" // nothing passes; Decision.Unavailable says that the store is gone
)

// RedisOptions are for OpenRedis.
type RedisOptions struct {
	Addresses []string // host:port, or the path of a unix socket
	Sentinel  string   // name of the master set: the addresses are of sentinels
	Cluster   bool

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	DB                                 int
	TLS                                *tls.Config // nil: cleartext

	Mode       Mode          // "": Leased
	OnFailure  OnFailure     // "": Local
	Timeout    time.Duration // of one decision in exact mode, and of a call in the background; 0: 20ms
	Prefix     string        // of all keys; "": gopura
	ClientTime bool          // take the time from this process: for servers that refuse TIME in scripts

	Dial time.Duration // how long to wait for a connection, in the background; 0: 1s
	Wait time.Duration // how long OpenRedis waits for the first connection; 0: 500ms
}

// ParseRedisURL reads redis://user:password@host:6379/0, rediss:// (TLS) and
// unix:///path?db=0. Further addresses: ?addr=host:port; sentinel: ?master_set=name.
func ParseRedisURL(url string) (RedisOptions, error) {
	c, err := rueidis.ParseURL(url)
	if err != nil { // its text may hold the password
		return RedisOptions{}, errors.New("not a Redis URL: redis://user:password@host:6379/0, rediss:// or unix:///path")
	}
	o := RedisOptions{
		Addresses: c.InitAddress, Sentinel: c.Sentinel.MasterSet, DB: c.SelectDB,
		Username: c.Username, Password: c.Password, TLS: c.TLSConfig,
	}
	o.SentinelUsername, o.SentinelPassword = c.Sentinel.Username, c.Sentinel.Password
	return o, nil
}

func (o RedisOptions) normal() (RedisOptions, error) {
	o.Mode = Mode(either(string(o.Mode), string(Leased)))
	o.OnFailure = OnFailure(either(string(o.OnFailure), string(Local)))
	o.Prefix = either(o.Prefix, "gopura")
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Millisecond
	}
	if o.Dial == 0 {
		o.Dial = time.Second
	}
	if o.Wait == 0 {
		o.Wait = 500 * time.Millisecond
	}
	switch {
	case len(o.Addresses) == 0:
		return o, errors.New("no address of a Redis server")
	case o.Mode != Leased && o.Mode != Exact:
		return o, fmt.Errorf("mode %q: it is leased or exact", o.Mode)
	case o.OnFailure != Local && o.OnFailure != Allow && o.OnFailure != Refuse:
		return o, fmt.Errorf("on failure %q: it is local, allow or refuse", o.OnFailure)
	case o.Timeout < time.Millisecond || o.Timeout > 10*time.Second:
		return o, errors.New("the timeout is between 1ms and 10s")
	case o.Cluster && (o.Sentinel != "" || o.DB != 0):
		return o, errors.New("a cluster has no sentinel and only database 0")
	}
	return o, nil
}

func either(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (o RedisOptions) client() rueidis.ClientOption {
	c := rueidis.ClientOption{
		InitAddress: o.Addresses, Username: o.Username, Password: o.Password, SelectDB: o.DB, TLSConfig: o.TLS,
		ClientName: "gopura", Dialer: net.Dialer{Timeout: o.Dial}, DialCtxFn: dialGuarded,
		ForceSingleClient: !o.Cluster && o.Sentinel == "",
		// The link makes batches itself, each on its own connection: a broken
		// connection holds up nobody else, and a reply that is not Redis' is met
		// on our own goroutine.
		DisableAutoPipelining: true,
		DisableCache:          true,
		DisableRetry:          true,
		BlockingPoolSize:      2 * senders,
		ConnWriteTimeout:      max(o.Dial, 2*o.Timeout),
		ReadBufferEachConn:    1 << 16,
		WriteBufferEachConn:   1 << 16,
	}
	if o.Sentinel != "" {
		c.Sentinel = rueidis.SentinelOption{
			MasterSet: o.Sentinel, Username: o.SentinelUsername, Password: o.SentinelPassword,
			ClientName: "gopura", Dialer: c.Dialer, TLSConfig: o.TLS,
		}
	}
	return c
}

// Redis is a Store that replicas share, in Redis 5 or later, or Valkey.
type Redis struct {
	options RedisOptions
	link    *link
	memory  *Memory // decides what Redis can't
	began   time.Time

	mu       sync.Mutex
	limiters map[string]*shared
	openings int
	stop     chan struct{}
	swept    sync.WaitGroup
	closed   bool
	values   *redisValues // nil: nobody has asked for them
}

// OpenRedis returns a store over Redis. A server that can't be reached is not an
// error: the store begins as OnFailure says, and goes on trying.
func OpenRedis(o RedisOptions) (*Redis, error) {
	o, err := o.normal()
	if err != nil {
		return nil, err
	}
	s := &Redis{
		options: o, link: newLink(o.client(), o.Timeout), memory: NewMemory(MemoryOptions{}),
		began: time.Now(), limiters: map[string]*shared{}, stop: make(chan struct{}),
	}
	s.link.prefix = o.Prefix
	s.link.clientTime = o.ClientTime
	s.link.start(o.Wait)
	if o.Mode == Leased {
		s.swept.Go(s.sweep)
	}
	return s, nil
}

// clock is nanoseconds of this process, never going back.
func (s *Redis) clock() int64 { return int64(time.Since(s.began)) + 1 }

// Rate implements Store.
func (s *Redis) Rate(name string, r Rate, o LimiterOptions) (Limiter, error) {
	r, err := r.normal()
	if err != nil {
		return nil, err
	}
	local, err := s.memory.Rate(name, r, o)
	if err != nil {
		return nil, err
	}
	return s.open(name, newRateShape(r), local, o), nil
}

// Window implements Store.
func (s *Redis) Window(name string, w Window, o LimiterOptions) (Limiter, error) {
	w, err := w.normal()
	if err != nil {
		return nil, err
	}
	local, err := s.memory.Window(name, w, o)
	if err != nil {
		return nil, err
	}
	return s.open(name, newWindowShape(w), local, o), nil
}

// Close gives leases back, as far as one timeout allows, and ends all calls.
func (s *Redis) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	close(s.stop)
	s.swept.Wait()
	s.giveBack()
	s.link.close()
	s.memory.Close()
}

// RedisState is what an operator sees of a Redis store; the counters are since
// the start.
type RedisState struct {
	Mode      Mode       `json:"mode"`
	OnFailure OnFailure  `json:"on_failure"`
	Open      bool       `json:"breaker_open"`
	Since     *time.Time `json:"breaker_since,omitempty"`
	Cause     string     `json:"cause,omitempty"` // of the last failure, while there is one
	Opened    uint64     `json:"breaker_opened_total"`
	Calls     uint64     `json:"calls_total"`
	Failures  uint64     `json:"failures_total"` // of calls
	Timeouts  uint64     `json:"timeouts_total"` // decisions that waited for Timeout in vain
	Reloads   uint64     `json:"script_reloads_total"`
	Full      uint64     `json:"queue_full_total"`
	Connects  uint64     `json:"connects_total"`
	Decisions uint64     `json:"decisions_total"` // those by leases, or in exact mode by the server
	Degraded  uint64     `json:"degraded_total"`  // decisions that OnFailure made
	Trips     uint64     `json:"round_trips_total"`
	Waited    float64    `json:"round_trip_seconds_total"` // for all of them together
	Waiting   int        `json:"waiting"`                  // calls in the queue
}

// Redis returns the live view of the connection.
func (s *Redis) Redis() RedisState {
	c := &s.link.count
	r := RedisState{
		Mode: s.options.Mode, OnFailure: s.options.OnFailure, Opened: s.link.breaker.opened.Load(),
		Calls: c.calls.Load(), Failures: c.failures.Load(), Timeouts: c.timeouts.Load(), Reloads: c.reloads.Load(),
		Full: c.full.Load(), Connects: c.connects.Load(), Degraded: c.degraded.Load(), Waiting: len(s.link.queue),
		Trips: c.trips.Load(), Waited: time.Duration(c.waited.Load()).Seconds(), Decisions: s.decided(),
	}
	open, since, cause := s.link.breaker.state()
	if r.Open = open; open {
		r.Since = &since
	}
	if cause != nil {
		r.Cause = cause.Error()
	}
	return r
}

// decided is how many decisions were made without OnFailure.
func (s *Redis) decided() uint64 {
	s.mu.Lock() // a limiter that is closed leaves its number behind, under the lock
	defer s.mu.Unlock()
	n := s.link.count.decided.Load()
	for _, l := range s.limiters {
		n += l.leases.decided()
	}
	return n
}

// State implements Store.
func (s *Redis) State() StoreState {
	r := s.Redis()
	state := StoreState{Kind: "redis", Ready: !r.Open, Limiters: []LimiterState{}, Redis: &r}
	if r.Open {
		state.Detail = r.Cause
	}
	s.mu.Lock()
	for _, l := range s.limiters {
		state.Limiters = append(state.Limiters, l.describe())
	}
	s.mu.Unlock()
	state.Limiters = inOrder(state.Limiters)
	return state
}
