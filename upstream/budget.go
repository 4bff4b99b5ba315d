package upstream

import (
	"sync"
	"time"
)

// minRetries is how many retries a second a service always has, so that one
// with little traffic can retry at all.
const minRetries = 3

// budget bounds retries: in any second there are at most share of that second's
// requests, or minRetries if that is more. So a service that fails as a whole
// sees 1+share times its traffic, not a multiple of it.
type budget struct {
	share float64
	mu    sync.Mutex // of take only: a retry is never the hot path
	w     *window    // requests, retries
}

func newBudget(share float64) *budget { return &budget{share: share, w: newWindow(time.Second)} }

// request counts a request.
func (b *budget) request(now int64) { b.w.add(now, 1, 0) }

// take asks for one retry.
func (b *budget) take(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Buckets are coarse. Requests are counted over a bit less than a second
	// and retries over a bit more, so that the promise holds for any second.
	requests, _ := b.w.sum(now, windowBuckets-1)
	_, retries := b.w.sum(now, windowBuckets)
	if float64(retries+1) > max(b.share*float64(requests), minRetries) {
		return false
	}
	b.w.add(now, 0, 1)
	return true
}
