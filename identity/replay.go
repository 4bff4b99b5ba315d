package identity

import (
	"sync"
	"time"
)

// replays remembers messages that were accepted until they would be refused for
// their age. It never forgets one early: when it is full it says so.
type replays struct {
	mu     sync.Mutex
	most   int
	seen   map[digest]struct{}
	ends   map[int64][]digest // by the second after which they are forgotten
	oldest int64              // no earlier second is in ends
}

func newReplays(most int) *replays {
	return &replays{most: most, seen: map[digest]struct{}{}, ends: map[int64][]digest{}}
}

type verdict uint8

const (
	fresh verdict = iota
	replayed
	full
)

// add remembers a message until the given time, unless it is known already.
func (r *replays) add(key digest, now, until time.Time) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now.Unix())
	if _, ok := r.seen[key]; ok {
		return replayed
	}
	if len(r.seen) >= r.most {
		return full
	}
	end := until.Unix() + 1
	r.seen[key] = struct{}{}
	r.ends[end] = append(r.ends[end], key)
	if len(r.seen) == 1 || end < r.oldest {
		r.oldest = end
	}
	return fresh
}

// forget drops what has ended before the second now.
func (r *replays) forget(now int64) {
	if len(r.seen) == 0 {
		return
	}
	drop := func(second int64) {
		for _, key := range r.ends[second] {
			delete(r.seen, key)
		}
		delete(r.ends, second)
	}
	if now-r.oldest > int64(len(r.ends)) { // a long pause: look at what there is
		for second := range r.ends {
			if second < now {
				drop(second)
			}
		}
		r.oldest = now
		return
	}
	for ; r.oldest < now; r.oldest++ {
		drop(r.oldest)
	}
}
