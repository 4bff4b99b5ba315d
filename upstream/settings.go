package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

// Settings describe a service. What is zero and makes no sense as zero gets
// its default; a negative Resolve is once, a negative Timeouts.Idle is no limit,
// and a negative Connections.Idle or Outliers.MaxEjected is none.
type Settings struct {
	Name        string
	Targets     []TargetSpec
	Balance     Balance
	Health      *Health // nil: no active checks
	Outliers    Outliers
	Breaker     *Breaker // nil: none
	Overload    Overload
	Retries     Retries
	SlowStart   time.Duration // a target that comes (back) reaches its full weight after this; not for hash
	Timeouts    Timeouts
	Connections Connections   // of each target
	HTTP2       bool          // speak it to http, https and unix targets too
	Host        string        // Host sent upstream: "preserve" (or ""), "target", or a literal host
	TLS         *tls.Config   `json:"-"` // for https targets; ServerName defaults to the host of the URL
	Resolve     time.Duration // names are looked up again after this
}

// TargetSpec is a target as configured: http://host:port, https://host:port,
// unix:/path, or grpc://, grpcs:// or h2c://host:port for HTTP/2. A name stands for
// all its addresses, each of that weight.
type TargetSpec struct {
	URL    string
	Weight int // 0: 1
}

// Kinds of Balance.
const (
	RoundRobin    = "round_robin"
	LeastRequests = "least_requests"
	Random        = "random"
	Hash          = "hash"
	Sticky        = "sticky"
)

// Balance says how a target is picked.
type Balance struct {
	Kind   string // "": round_robin
	Cookie string // for sticky; "": gopura_target
}

// Health describes active checks.
type Health struct {
	Path      string // GET this path …
	TCP       bool   // … or only connect
	GRPC      bool   // … or ask grpc.health.v1
	Service   string // of which service; "": of the server as a whole
	Interval  time.Duration
	Timeout   time.Duration
	Healthy   int    // successes in a row that make a target healthy
	Unhealthy int    // failures in a row that make it unhealthy
	Status    string // "200-399", "200,204"
	Host      string // Host of the check; "": as Settings.Host, or the target's
}

// Outliers describes passive ejection.
type Outliers struct {
	Off        bool
	Failures   int           // this many in a row eject
	Eject      time.Duration // for this long, the first time
	MaxEjected float64       // share of the targets that may be ejected at a time, 0 to 1; the last one never is
}

// Breaker describes the circuit breaker of a service.
type Breaker struct {
	FailureRate float64 // 0 to 1
	Minimum     int     // requests in the window below which it never opens
	Window      time.Duration
	Pause       time.Duration
}

// Modes of Overload.
const (
	OverloadOff      = "off"
	OverloadAdaptive = "adaptive"
	OverloadShadow   = "shadow"
)

// Overload describes the protection from more requests than a service can answer.
type Overload struct {
	Mode string        // "": off
	Min  int           // requests that may wait for a response head at a time, whatever happens
	Wait time.Duration // how long a request may wait for a place among them
}

// Retries describes when a request is sent again.
type Retries struct {
	Attempts int      // extra attempts; 0: off
	Budget   float64  // retries may be this share of recent requests, and a few a second in any case
	Body     int64    // request bodies up to this size are kept for a retry
	On       []string // connect, reset, timeout, 502, 503, 504, and gRPC codes in lower case; nil: connect, reset
}

// Timeouts of one attempt.
type Timeouts struct{ Connect, Response, Idle time.Duration }

// Connections bounds the connections to each target; 0: unlimited.
type Connections struct{ Max, Idle int }

// Options are what a service gets from its owner.
type Options struct {
	// Hash appends the key of hash balance. An empty key is picked at random.
	Hash func(dst []byte, x *exchange.Exchange) []byte
	// Open opens the transport of one target; nil: HTTP/1.1.
	Open func(TransportSpec) Transport
	// Resolver looks names up; nil: the system's.
	Resolver Resolver
	// Dial opens connections for TCP checks, and is handed to transports; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Secret keys the target ids in sticky cookies. Gateways that share it
	// understand each other's cookies; nil: ids depend on the service's name
	// only, so that who guesses an address can confirm the guess.
	Secret []byte
	// Notify is told of every change of a target or breaker. It must neither
	// block nor call the service.
	Notify func(Event)
	// Rand returns random bits; nil: math/rand/v2.
	Rand func() uint64
	// FirstLookup bounds how long Open waits for names; 0: 2s. Names that are
	// still unknown then are looked up in the background.
	FirstLookup time.Duration
}

// Resolver is the part of *net.Resolver that services use.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Event is a change that an operator wants to see in the log.
type Event struct {
	Service string
	Target  string // address; "" for the service as a whole
	Kind    string // healthy, unhealthy, ejected, returned, joined, left, drained, enabled, resolve_failed, breaker_open, breaker_half_open, breaker_closed
	Detail  string
}

// withDefaults returns s with its defaults, and copies of what it points to.
func (s Settings) withDefaults() Settings {
	s.Targets = slices.Clone(s.Targets)
	for i := range s.Targets {
		orInt(&s.Targets[i].Weight, 1)
	}
	if s.Balance.Kind == "" {
		s.Balance.Kind = RoundRobin
	}
	if s.Balance.Cookie == "" {
		s.Balance.Cookie = "gopura_target"
	}
	if s.Health != nil {
		h := *s.Health
		s.Health = &h
		orDuration(&h.Interval, 5*time.Second)
		orDuration(&h.Timeout, 2*time.Second)
		orInt(&h.Healthy, 2)
		orInt(&h.Unhealthy, 3)
		if h.Status == "" {
			h.Status = "200-399"
		}
	}
	orInt(&s.Outliers.Failures, 5)
	orDuration(&s.Outliers.Eject, 30*time.Second)
	orShare(&s.Outliers.MaxEjected, 0.5)
	if s.Breaker != nil {
		b := *s.Breaker
		s.Breaker = &b
		orShare(&b.FailureRate, 0.5)
		orInt(&b.Minimum, 20)
		orDuration(&b.Window, 10*time.Second)
		orDuration(&b.Pause, 5*time.Second)
	}
	orInt(&s.Overload.Min, 8)
	orDuration(&s.Overload.Wait, 250*time.Millisecond)
	if s.Retries.On == nil {
		s.Retries.On = []string{"connect", "reset"}
	}
	orDuration(&s.Timeouts.Connect, 5*time.Second)
	orDuration(&s.Timeouts.Idle, 60*time.Second)
	orInt(&s.Connections.Idle, 128)
	orDuration(&s.Resolve, 30*time.Second)
	return s
}

func orInt(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

func orDuration(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

func orShare(v *float64, def float64) {
	if *v == 0 {
		*v = def
	}
}

// statusSet is a parsed list of status ranges.
type statusSet [][2]int

func parseStatusSet(text string) (statusSet, error) {
	var set statusSet
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		a, errA := strconv.Atoi(strings.TrimSpace(low))
		b, errB := strconv.Atoi(strings.TrimSpace(high))
		if errA != nil || errB != nil || a < 100 || b > 599 || a > b {
			return nil, fmt.Errorf("status %q: want codes and ranges such as 200-399,404", text)
		}
		set = append(set, [2]int{a, b})
	}
	return set, nil
}

func (s statusSet) has(status int) bool {
	for _, r := range s {
		if r[0] <= status && status <= r[1] {
			return true
		}
	}
	return false
}
