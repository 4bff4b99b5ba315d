package live

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
	"gopura/telemetry"
)

// Bounds of a room.
const (
	maxTails  = 8
	maxWait   = 256         // records that wait for a slow reader
	kept      = 500         // the latest records
	Attention = time.Minute // how long a look at the ring or the clients counts as looking
	maxRecord = 8 << 10     // bytes of a record that is kept; a longer one is left out
)

// ErrTooMany says that as many tails are open as may be.
var ErrTooMany = errors.New("too many tails are open")

// Room is where those who look are. The zero value is ready; it is safe for
// concurrent use.
type Room struct {
	looking atomic.Bool // the one thing that an exchange asks when nobody does

	tails   atomic.Pointer[[]*Tail]
	buffers sync.Pool // of *[]byte

	mu      sync.Mutex
	until   time.Time // attention for ring and clients
	since   time.Time // since when somebody looks, without a break
	ring    [][]byte  // JSON lines; oldest at next
	next    int
	clients clients
}

// Looking reports whether somebody looks. It is what the hot path costs.
func (r *Room) Looking() bool { return r.looking.Load() }

// Saw takes in an exchange that has ended. It is for the done stack, when Looking
// says so; it keeps copies. What filters ask is asked without a lock: no exchange
// waits for the expression of another.
func (r *Room) Saw(x *exchange.Exchange, end time.Time) {
	buffer, _ := r.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	defer r.buffers.Put(buffer)
	*buffer = telemetry.AppendRecord((*buffer)[:0], x, end)
	line := bytes.TrimSuffix(*buffer, []byte("\n"))
	if len(line) <= maxRecord {
		for _, t := range r.open() {
			t.offer(x, line)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if end.After(r.until) && len(r.open()) == 0 {
		r.leave()
		return
	}
	r.clients.count(x, end)
	if len(line) > maxRecord {
		return
	}
	if r.ring == nil {
		r.ring = make([][]byte, kept)
	}
	r.ring[r.next] = append(r.ring[r.next][:0], line...)
	r.next = (r.next + 1) % kept
}

// open are the tails. The list is never changed, only replaced.
func (r *Room) open() []*Tail {
	if list := r.tails.Load(); list != nil {
		return *list
	}
	return nil
}

// attend notes that somebody looks at now. r.mu is held.
func (r *Room) attend(now time.Time) {
	if !r.looking.Load() {
		r.since = now
		r.looking.Store(true)
	}
	if until := now.Add(Attention); until.After(r.until) {
		r.until = until
	}
}

// leave gives back what was kept for those who looked. r.mu is held.
func (r *Room) leave() {
	r.looking.Store(false)
	r.ring, r.next = nil, 0
	r.clients = clients{}
}

// Sweep gives back what nobody looks at any more, when there is no traffic that
// would. It is for whoever has a clock running anyway.
func (r *Room) Sweep(now time.Time) {
	if !r.looking.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.After(r.until) && len(r.open()) == 0 {
		r.leave()
	}
}

// Latest returns the latest records that f passes, newest first, at most limit,
// and since when they are collected. Asking is looking: records are collected
// from then on for a while.
func (r *Room) Latest(now time.Time, limit int, f *Filter) (list [][]byte, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attend(now)
	for i := range r.ring {
		line := r.ring[(r.next+kept-1-i)%kept]
		if len(line) == 0 || len(list) == limit {
			break
		}
		if f.passesRecord(line) {
			list = append(list, bytes.Clone(line))
		}
	}
	return list, r.since
}

// Clients returns the busiest clients, and what time the numbers are of. Asking
// is looking.
func (r *Room) Clients(now time.Time) (list []Client, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attend(now)
	return r.clients.list(now)
}

// ClientSeries returns the last n steps of a client that is counted, oldest first;
// nil: it is not. Asking is looking.
func (r *Room) ClientSeries(now time.Time, id string, n int) []telemetry.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attend(now)
	return r.clients.series(id, n, now)
}

// Tail is somebody who follows the exchanges.
type Tail struct {
	room    *Room
	filter  *Filter
	records chan []byte
	dropped atomic.Uint64
}

// Open opens a tail, which has to be closed.
func (r *Room) Open(now time.Time, f *Filter) (*Tail, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open()) >= maxTails {
		return nil, ErrTooMany
	}
	t := &Tail{room: r, filter: f, records: make(chan []byte, maxWait)}
	list := append(slices.Clone(r.open()), t)
	r.tails.Store(&list)
	r.attend(now)
	return t, nil
}

// Close ends the tail.
func (t *Tail) Close() {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(t.room.open()), func(o *Tail) bool { return o == t })
	t.room.tails.Store(&list)
}

// Records are the records of the tail, one line of JSON each.
func (t *Tail) Records() <-chan []byte { return t.records }

// Dropped returns how many records were lost since it was asked last, because
// the reader was slow.
func (t *Tail) Dropped() uint64 { return t.dropped.Swap(0) }

// offer gives the tail a record if it wants it and has room.
func (t *Tail) offer(x *exchange.Exchange, line []byte) {
	if !t.filter.passes(x, line) {
		return
	}
	select {
	case t.records <- bytes.Clone(line):
	default:
		t.dropped.Add(1)
	}
}
