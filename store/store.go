package store

import (
	"fmt"
	"time"
)

// Store opens limiters. It is safe for concurrent use.
type Store interface {
	// Rate opens the limiter of that name as a token bucket. A name that is open
	// already is the same state: what a key has used is kept as the time until its
	// bucket is full again, at most that of a whole bucket of the new rate. So
	// with the usual burst a changed count keeps the share that is used.
	Rate(name string, r Rate, o LimiterOptions) (Limiter, error)
	// Window opens the limiter of that name as a quota. A name that is open
	// already keeps its counts, unless the length of the window has changed.
	Window(name string, w Window, o LimiterOptions) (Limiter, error)
	// Find returns the limiter that was opened last under a name, or nil. Whoever
	// asks does not close it.
	Find(name string) Limiter
	// State is a live view. It does not wait for the network.
	State() StoreState
	Close()
}

// Limiter decides about keys. Its methods are safe for concurrent use; a key is
// borrowed for the call.
type Limiter interface {
	// Take takes cost from what key may have, or takes nothing and refuses. A cost
	// that is more than the limit counts as the limit, one below 0 as 0.
	// It never waits, but for one bounded call of a store that decides exactly.
	Take(key []byte, cost int64) Decision
	// Charge takes cost without asking, even when that leaves less than nothing:
	// what is owed is at most one whole limit. A cost below 0 gives back. It never waits.
	Charge(key []byte, cost int64)
	// Peek is what Take(key, 1) would say; it takes nothing. False: nothing is known of the key.
	Peek(key []byte) (Decision, bool)
	// Look is Peek for requests: it goes by what is known here, and never waits,
	// but for one bounded call of a store that decides exactly. A no counts among
	// the refusals of Top.
	Look(key []byte) Decision
	// Reset forgets what key has used.
	Reset(key []byte) error
	// Top returns the keys that seem to ask most, the busiest first: a sample.
	Top(n int) []KeyState
	// Close ends the use of the limiter; its state goes with the last one of its name.
	Close()
}

// Decision is what a limiter says.
type Decision struct {
	Allowed    bool
	Limit      int64         // the most that can be had at once
	Remaining  int64         // of it, after this decision; never below 0
	RetryAfter time.Duration // when refused: until the same cost would be allowed
	ResetAfter time.Duration // until everything can be had again
	Degraded   bool          // decided without the shared store, by its on_failure

	Unavailable bool // refused for no other reason than that the shared store can't be asked
}

// Rate is a token bucket (GCRA): Count tokens every Per, at most Burst at once.
type Rate struct {
	Count int64
	Per   time.Duration
	Burst int64 // 0: Count
}

// maxSpan is the longest time that may be configured.
const maxSpan = 400 * 24 * time.Hour

// normal fills in the defaults and checks that the numbers make sense.
func (r Rate) normal() (Rate, error) {
	if r.Burst == 0 {
		r.Burst = r.Count
	}
	switch {
	case r.Count < 1 || r.Burst < 1:
		return r, fmt.Errorf("a count and a burst are at least 1")
	case r.Per < time.Microsecond || r.Per > maxSpan:
		return r, fmt.Errorf("a rate is per 1µs to 400 days")
	case int64(r.Per)/r.Count < 100:
		return r, fmt.Errorf("a rate is at most ten million a second")
	case r.Burst > int64(maxSpan/r.Token()):
		return r, fmt.Errorf("a burst of %d takes more than 400 days to come back", r.Burst)
	}
	return r, nil
}

// Token is how long a token takes to come back, rounded up to a nanosecond, so
// that never more than the rate is admitted, and at most 1% less.
func (r Rate) Token() time.Duration {
	return (r.Per + time.Duration(r.Count) - 1) / time.Duration(r.Count)
}

// Window is a quota: Count in Per.
//
// A rolling window is kept in Slots parts, the one that is only partly within
// the last Per counted in full: in no span of Per is more than Count admitted,
// and what was used comes back after Per to Per+Per/Slots.
//
// A calendar window begins anew at fixed times, see Span.
type Window struct {
	Count    int64
	Per      time.Duration
	Calendar bool
	Zone     *time.Location // of the calendar; nil: UTC
}

// Slots is how many parts a rolling window is kept in.
const Slots = 16

// Lengths of calendar windows that are not a fixed time.
const (
	Day   = 24 * time.Hour
	Week  = 7 * Day
	Month = 30 * Day
)

func (w Window) normal() (Window, error) {
	if w.Zone == nil {
		w.Zone = time.UTC
	}
	switch {
	case w.Count < 1 || w.Count > 1<<31-1:
		return w, fmt.Errorf("a quota is between 1 and %d", 1<<31-1)
	case w.Per < time.Second || w.Per > maxSpan:
		return w, fmt.Errorf("a quota is per 1s to 400 days")
	case w.Calendar && w.Per != Week && w.Per != Month && (w.Per > Day || Day%w.Per != 0):
		return w, fmt.Errorf("the calendar knows months, weeks, days and even parts of a day")
	}
	return w, nil
}

// Slot is the number, since the epoch, of the slot of a rolling window that t is in.
func (w Window) Slot(t time.Time) int64 { return t.UnixNano() / int64(w.slot()) }

// slot is the length of one slot of a rolling window, rounded up.
func (w Window) slot() time.Duration { return (w.Per + Slots - 1) / Slots }

// Span is the calendar window that t is in: a Month from its first day, a Week
// from Monday, a Day from midnight, parts of a day counted from midnight.
func (w Window) Span(t time.Time) (start, end time.Time) {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
	y, m, d := t.Date()
	day := func(month time.Month, day int) time.Time { return time.Date(y, month, day, 0, 0, 0, 0, zone) }
	switch w.Per {
	case Month:
		return day(m, 1), day(m+1, 1)
	case Week:
		monday := d - (int(t.Weekday())+6)%7
		return day(m, monday), day(m, monday+7)
	case Day:
		return day(m, d), day(m, d+1)
	}
	midnight, next := day(m, d), day(m, d+1)
	start = midnight.Add(t.Sub(midnight) / w.Per * w.Per)
	end = start.Add(w.Per)
	if end.After(next) { // the day the clocks change
		end = next
	}
	return start, end
}

// LimiterOptions are what a limiter may be told beside its numbers.
type LimiterOptions struct {
	MaxKeys int // keys that are remembered in this process; 0: DefaultKeys
}

// DefaultKeys is how many keys a limiter remembers when nothing is said.
const DefaultKeys = 1 << 20

// KeyState is what is known of one key.
type KeyState struct {
	Key        string        `json:"key"`
	Allowed    int64         `json:"allowed"` // estimated from a sample
	Refused    int64         `json:"refused"`
	Limit      int64         `json:"limit"`
	Remaining  int64         `json:"remaining"`
	ResetAfter time.Duration `json:"reset_after"`
}

// StoreState is what an operator sees of a store.
type StoreState struct {
	Kind     string         `json:"kind"`               // memory, redis
	Ready    bool           `json:"ready"`              // memory always is
	Detail   string         `json:"detail,omitempty"`   // why not
	Limiters []LimiterState `json:"limiters,omitempty"` // in order of their names
	Redis    *RedisState    `json:"redis,omitempty"`
}

// LimiterState is what an operator sees of a limiter.
type LimiterState struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`     // rate, quota
	Limit   string `json:"limit"`    // 10/s burst 20
	Keys    int    `json:"keys"`     // remembered in this process, those that are idle included
	MaxKeys int    `json:"max_keys"` // at most
	Bytes   int64  `json:"bytes"`    // of memory that the keys take
	Evicted uint64 `json:"evicted"`  // keys that were forgotten while they were in use

	Held int64 `json:"held,omitempty"` // tokens that this replica has leased and not used
	Owed int64 `json:"owed,omitempty"` // … that it used ahead of the shared store

	opened int // when, in order of openings
}
