package cache

import (
	"context"
	"sync"
	"time"

	"gopura/exchange"
)

// Rules are what is kept, and for how long.
type Rules struct {
	Owner string // whose rules they are
	Seed  string // tells them from other rules of that owner: their answers are not used

	TTL                  time.Duration // where the service says nothing
	Respect              bool          // what the service says of times counts
	StaleWhileRevalidate time.Duration // where the service says nothing
	StaleIfError         time.Duration
	Wait                 time.Duration // how long a request waits for another one's answer; 0: not at all
	MaxBody              int64
	Get, Head            bool
	Statuses             func(status int) bool
	Bypass               func(*exchange.Exchange) bool // nil: none

	Vary        []string                                // request fields that are in the key, in lower case
	Key         func([]byte, *exchange.Exchange) []byte // appends what else is in it; nil: nothing
	PerIdentity bool                                    // who is calling is in it
	Everything  bool                                    // all request fields are in it
	Ignore      Credentials                             // these don't change the answers
}

// Cache serves by rules. It is safe for concurrent use.
type Cache struct {
	rules   Rules
	prefix  []byte // of every key
	storage *Storage
	counts  *Counts

	ctx    context.Context // of what is fetched in the background
	cancel context.CancelFunc
	fetch  chan struct{} // a place for each of them
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// maxRefreshes is how many answers are fetched in the background at a time.
const maxRefreshes = 64

// refreshTime is how long that may take.
const refreshTime = 30 * time.Second

// New returns a cache by those rules. Call Close when nobody uses it.
func (st *Storage) New(r Rules, c *Counts) *Cache {
	cache := &Cache{rules: r, storage: st, counts: c, fetch: make(chan struct{}, maxRefreshes)}
	cache.prefix = appendText(appendText(nil, r.Owner), r.Seed)
	cache.ctx, cache.cancel = context.WithCancel(context.Background())
	return cache
}

// Close ends what is fetched in the background.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}

// Middleware puts the cache in front of next.
func (c *Cache) Middleware(next exchange.Handler) exchange.Handler { return &handler{c, next} }

type handler struct {
	cache *Cache
	next  exchange.Handler
}

// enter takes a place for a fetch in the background, if there is one.
func (c *Cache) enter() bool {
	select {
	case c.fetch <- struct{}{}:
	default:
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.fetch
		return false
	}
	c.wg.Add(1)
	return true
}

func (c *Cache) leave() {
	<-c.fetch
	c.wg.Done()
}

// refresh fetches what f is about in the background: the exchange of the client
// that found it old is over before. f has to be ended in any case.
func (h *handler) refresh(x *exchange.Exchange, key []byte, f *flight, old *entry) {
	c := h.cache
	if !c.enter() {
		f.end(again)
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, refreshTime)
	child := detach(x, ctx)
	key = append([]byte(nil), key...)
	go func() {
		defer c.leave()
		defer cancel()
		defer child.Done()
		defer f.end(again)
		defer func() { _ = recover() }() // nobody is waiting for it; the next request will meet it again
		var q request
		if !h.examine(child, &q) {
			return
		}
		q.key, q.mark, q.whole = key, key, true
		h.ask(child, &q, f, old, "stale")
		child.DropResponse()
	}()
}

// detach returns a GET for what x asks for that has nothing in common with it:
// x may be over, and its memory used again, before that is.
func detach(x *exchange.Exchange, ctx context.Context) *exchange.Exchange {
	r := x.Request
	r.Method, r.Body = "GET", exchange.NoBody
	own := func(b *[]byte) {
		if *b != nil {
			*b = append([]byte{}, *b...)
		}
	}
	own(&r.Authority)
	own(&r.Host)
	own(&r.Target)
	own(&r.Path)
	own(&r.Query)
	r.Header = exchange.Header{}
	r.Header.CopyFrom(&x.Request.Header)
	r.Params = append([]exchange.Param(nil), r.Params...)
	for i := range r.Params {
		own(&r.Params[i].Value)
	}
	child := x.Child(ctx, r)
	client := *x.Client
	child.Client = &client
	own(&child.ID)
	return child
}
