package upstream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// Target is one address that a service is served from.
type Target struct {
	URL     string // as configured
	Address string // what is dialled

	service   *Service
	weight    int
	scheme    string // http or https: how it is spoken to
	key       string // URL and address: the same in every gateway
	id        string // opaque, for cookies
	transport Transport
	close     sync.Once

	// Made once, so that a pick allocates nothing.
	done, doneSticky     Done
	endGood, endNoted    func(*exchange.Exchange)
	cookie, cookieSecure string

	refs     atomic.Int64 // requests in flight; below zero once the target has left the service
	failures atomic.Int32 // in a row
	requests atomic.Uint64
	failed   atomic.Uint64

	condition // under the service's mutex
}

// condition is what the control side knows of a target.
type condition struct {
	stop         context.CancelFunc // ends its health check
	since        time.Time          // of the last change of status
	health       health
	healthErr    error
	passes       int // checks in a row
	fails        int
	draining     bool
	ejectedUntil time.Time // zero: not ejected
	returned     time.Time // from the last ejection
	streak       int       // ejections that still count for the length of the next
	ejections    int       // all of them
	rampFrom     time.Time // start of slow start; zero: full weight
}

// gone is added to refs when a target leaves its service.
const gone = -1 << 40

// errStale says that a picker was replaced while it was asked.
var errStale = errors.New("the target has left the service")

// errUnused is what done is told of a target that was picked in vain.
var errUnused = errors.New("the target was not used")

// errDiscarded is what done is told of a response that gives way to a retry.
var errDiscarded = errors.New("the response was discarded for a retry")

func (s *Service) newTarget(sp *spec, address string) *Target {
	t := &Target{URL: sp.URL, Address: address, service: s, weight: sp.Weight, scheme: sp.scheme(), key: sp.URL + " " + address}
	t.id = opaqueID(s.options.Secret, s.set.Name, t.key)
	t.cookie = s.set.Balance.Cookie + "=" + t.id + "; Path=/; HttpOnly; SameSite=Lax"
	t.cookieSecure = t.cookie + "; Secure"
	t.done, t.doneSticky = t.finish, t.stick
	t.endGood, t.endNoted = t.end, func(*exchange.Exchange) { t.free() }
	t.transport = s.options.Open(s.transport(sp, address))
	t.since = time.Now()
	return t
}

// enter counts a request in.
func (t *Target) enter() (*Target, Done, error) {
	if t.refs.Add(1) < 0 {
		t.leave()
		return nil, nil, errStale
	}
	t.requests.Add(1)
	return t, t.done, nil
}

func (t *Target) leave() {
	if t.refs.Add(-1) == gone {
		t.close.Do(func() { t.transport.Close() })
	}
}

// retire closes the target once the last request has left it. Pickers that
// know it must have been replaced before.
func (t *Target) retire() {
	if t.refs.Add(gone) == gone {
		t.close.Do(func() { t.transport.Close() })
	}
}

// finish is done: see Done.
func (t *Target) finish(x *exchange.Exchange, err error) {
	v := judge(x, err)
	switch {
	case err != nil:
		t.note(v)
		t.leave()
	case v == good: // so far: whether the answer is whole, its end will tell
		x.OnDone(t.endGood)
	default:
		t.note(v)
		x.OnDone(t.endNoted)
	}
}

// end runs when an exchange that t has answered well is over.
func (t *Target) end(x *exchange.Exchange) {
	v := good
	if x.Err != nil && x.Err.Code == exchange.UpstreamBroken.Name && x.Target == t.Address {
		v = bad
	}
	if b := x.Response.Body; b != nil && badTrailer(b.Trailer()) {
		v = bad
	}
	t.note(v)
	t.free()
}

// free ends what a response had occupied.
func (t *Target) free() {
	t.leave()
	t.service.inFlight.Add(-1)
}

// note counts an outcome, and asks for ejection after too many failures in a row.
func (t *Target) note(v verdict) {
	switch v {
	case good:
		if t.failures.Load() != 0 {
			t.failures.Store(0)
		}
	case bad:
		t.failed.Add(1)
		if o := &t.service.set.Outliers; !o.Off && t.failures.Add(1) == int32(o.Failures) {
			t.service.eject(t)
		}
	}
}

// verdict is what an outcome says about the target.
type verdict uint8

const (
	neutral verdict = iota // nothing
	good
	bad
)

// judge says what the outcome of an attempt says about the target; see the
// package comment for what a failure is.
func judge(x *exchange.Exchange, err error) verdict {
	if err == nil {
		if badStatus(x.Response.Status) || badGRPC(x.Response.Header.Get(grpcStatus)) {
			return bad
		}
		return good
	}
	if err == errDiscarded {
		return bad
	}
	var e *exchange.Error
	if !errors.As(err, &e) {
		return neutral
	}
	switch e.Code {
	case exchange.TargetBusy.Name, exchange.NoTarget.Name, exchange.CircuitOpen.Name, exchange.UpstreamStale.Name:
		return neutral
	case exchange.ExchangeTimeout.Name:
		// The route's deadline cuts a silent target short of its own timeout.
		// It is the target's fault if it had the whole request, and had most
		// of the time; a client that sends slowly must not eject a target, and
		// one that wants its answer at once must not either.
		if x.Request.Body.Len() == 0 && !x.Request.Header.Has("Grpc-Timeout") && x.Upstream > x.Deadline.Sub(x.Start)/2 {
			return bad
		}
		return neutral
	}
	if e.Side == exchange.ByUpstream {
		return bad
	}
	return neutral
}

func badStatus(status int) bool { return 502 <= status && status <= 504 }
