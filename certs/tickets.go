package certs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ticketKeys lets replicas share the keys of session tickets, so that a
// session of one resumes on another. The ring of keys lies in the store; each
// replica looks there often, and whoever finds the newest key old adds the
// next one. A key is known to all before the first ticket is made with it.
//
// While the store can't be asked the last keys are used; when these have grown
// too old, ones of this process alone.
type ticketKeys struct {
	values Values
	key    string // in the store: replicas that ask clients for the same share a ring
	log    *slog.Logger
	apply  func([][32]byte)

	ring    ticketRing
	applied [sha256.Size]byte
	problem string // the last one that was logged
}

// ticketRing is the keys, the oldest first.
type ticketRing struct {
	Keys []ticketKey `json:"keys"`
}

type ticketKey struct {
	Key  []byte    `json:"key"`
	From time.Time `json:"from"` // when it begins to make tickets
}

const (
	ticketTurn = 12 * time.Hour            // how long a key makes tickets
	ticketKept = 24 * time.Hour            // how long it is good for resuming after that
	ticketLook = time.Minute               // how often a replica looks
	ticketLead = 3 * ticketLook            // how long a key is known before it makes tickets
	ticketCall = 2 * time.Second           // how long the store may take
	ticketMost = 8                         // keys in a ring
	ticketLate = ticketTurn + 2*ticketKept // a newest key that is older is used no more
)

// newest is the place of the key that makes tickets at a time, -1 when there is none.
func (r *ticketRing) newest(now time.Time) int {
	best := -1
	for i, k := range r.Keys {
		if !k.From.After(now) && (best < 0 || k.From.After(r.Keys[best].From)) {
			best = i
		}
	}
	return best
}

// list returns the keys as crypto/tls takes them: the first one makes tickets.
func (r *ticketRing) list(now time.Time) (keys [][32]byte) {
	first := r.newest(now)
	if first < 0 {
		return nil
	}
	keys = append(keys, [32]byte(r.Keys[first].Key))
	for i, k := range r.Keys {
		if i != first {
			keys = append(keys, [32]byte(k.Key))
		}
	}
	return keys
}

// due reports whether the next key should be added.
func (r *ticketRing) due(now time.Time) bool {
	for _, k := range r.Keys {
		if now.Before(k.From.Add(ticketTurn - ticketLead)) {
			return false
		}
	}
	return true
}

// turn adds the next key, and drops those that nobody needs any more.
func (r *ticketRing) turn(now time.Time) {
	from := now
	if r.newest(now) >= 0 {
		from = now.Add(ticketLead)
	}
	var key [32]byte
	rand.Read(key[:])
	r.Keys = slices.DeleteFunc(r.Keys, func(k ticketKey) bool { return now.After(k.From.Add(ticketTurn + ticketKept)) })
	r.Keys = append(r.Keys, ticketKey{key[:], from})
}

func parseTicketRing(text []byte) (r ticketRing, err error) {
	if err := json.Unmarshal(text, &r); err != nil {
		return ticketRing{}, errors.New("the ring of ticket keys is none")
	}
	if len(r.Keys) == 0 || len(r.Keys) > ticketMost {
		return ticketRing{}, fmt.Errorf("a ring of %d ticket keys", len(r.Keys))
	}
	for _, k := range r.Keys {
		if len(k.Key) != 32 || k.From.IsZero() {
			return ticketRing{}, errors.New("the ring of ticket keys is none")
		}
	}
	return r, nil
}

// run keeps the keys in force until ctx ends.
func (t *ticketKeys) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(ticketLook):
		}
		t.look(ctx)
	}
}

// look takes over what is in the store, and adds the next key when it is time.
func (t *ticketKeys) look(ctx context.Context) {
	err := t.fetch(ctx)
	now := time.Now()
	if ctx.Err() != nil {
		return
	}
	if i := t.ring.newest(now); i < 0 || now.After(t.ring.Keys[i].From.Add(ticketLate)) {
		t.ring.turn(now) // of our own
	}
	t.report(err)
	t.use(now)
}

func (t *ticketKeys) use(now time.Time) {
	keys := t.ring.list(now)
	h := sha256.New()
	for _, k := range keys {
		h.Write(k[:])
	}
	if sum := [sha256.Size]byte(h.Sum(nil)); sum != t.applied && len(keys) > 0 {
		t.applied = sum
		t.apply(keys)
	}
}

// report logs a problem once, and its end.
func (t *ticketKeys) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == t.problem:
	case err != nil:
		t.log.Warn("session ticket keys are not shared at the moment", "error", text)
	default:
		t.log.Info("session ticket keys are shared again")
	}
	t.problem = text
}

// fetch reads the ring. Two replicas that begin at the same time agree by Add;
// two that find it old, by a lock.
func (t *ticketKeys) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ticketCall)
	defer cancel()
	found, err := t.read(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	if !found {
		next := ticketRing{}
		next.turn(now)
		if added, err := t.values.Add(ctx, t.key, next.text(), ticketTurn+ticketKept); err != nil {
			return err
		} else if added {
			t.ring = next
			return nil
		}
		_, err = t.read(ctx)
		return err
	}
	if !t.ring.due(now) {
		return nil
	}
	unlock, err := t.values.Lock(ctx, t.key)
	if err != nil {
		return err
	}
	defer unlock()
	if found, err = t.read(ctx); err != nil || !found || !t.ring.due(now) {
		return err
	}
	next := ticketRing{slices.Clone(t.ring.Keys)}
	next.turn(now)
	if err := t.values.Set(ctx, t.key, next.text(), ticketTurn+ticketKept); err != nil {
		return err
	}
	t.ring = next
	return nil
}

func (t *ticketKeys) read(ctx context.Context) (found bool, err error) {
	text, found, err := t.values.Get(ctx, t.key)
	if err != nil || !found {
		return false, err
	}
	ring, err := parseTicketRing(text)
	if err == nil {
		t.ring = ring
	}
	return err == nil, err
}

func (r *ticketRing) text() []byte {
	text, _ := json.Marshal(r)
	return text
}

// share makes a front's tickets those of all replicas. The first look happens
// before the front is used.
func (f *front) share(s *Shared, key string, log *slog.Logger) (stop func()) {
	t := &ticketKeys{
		values: s.Values, key: fmt.Sprintf("tickets:%x", sha256.Sum256([]byte(key))), log: log, apply: f.tls.SetSessionTicketKeys,
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.look(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.run(ctx)
	}()
	return func() { cancel(); <-done }
}
