package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

// crowded serves requests that each take a time, one after the other.
type crowded struct {
	t    *testing.T
	env  *Env
	h    exchange.Handler
	took time.Duration
	most atomic.Int64
	now  atomic.Int64
	all  sync.WaitGroup
	mu   sync.Mutex
	log  []string // who was served, in order
	errs map[string]error
}

func newCrowd(t *testing.T, spec Spec, took time.Duration) *crowded {
	c := &crowded{t: t, took: took, errs: map[string]error{}, env: limitEnv(t)}
	c.use(spec)
	return c
}

func (c *crowded) use(spec Spec) {
	link, err := spec.Compile(c.env)
	if err != nil {
		c.t.Fatal(err)
	}
	c.h = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		c.mu.Lock()
		c.log = append(c.log, string(x.ID))
		c.mu.Unlock()
		if n := c.now.Add(1); n > c.most.Load() {
			c.most.Store(n)
		}
		return nil
	}))
}

// come sends a request that is held for a while after its answer has begun, as
// with a slow body.
func (c *crowded) come(name, addr string) *exchange.Exchange {
	x := from(addr)
	x.ID = []byte(name)
	x.Arm()
	h := c.h
	c.all.Go(func() {
		err := h.Serve(x)
		if err == nil {
			time.Sleep(c.took) // the body
			c.now.Add(-1)
		}
		x.Done()
		c.mu.Lock()
		c.errs[name] = err
		c.mu.Unlock()
	})
	synctest.Wait()
	return x
}

func (c *crowded) left(room string) {
	c.t.Helper()
	r, _ := openRoom(c.env, room)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spots) > 0 || r.waiting.Load() != 0 {
		c.t.Errorf("left behind: %d spots, %d waiting", len(r.spots), r.waiting.Load())
	}
}

func TestConcurrencyHoldsUntilTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{2, "client.ip"}}, time.Second)
		for i := range 4 {
			c.come(fmt.Sprint("a", i), "10.0.0.1")
		}
		c.come("b", "10.0.0.2")
		time.Sleep(2 * time.Second)
		c.come("late", "10.0.0.1")
		c.all.Wait()
		for name, want := range map[string]*exchange.Code{"a0": nil, "a1": nil, "a2": exchange.ConcurrencyLimited, "a3": exchange.ConcurrencyLimited, "b": nil, "late": nil} {
			if err := c.errs[name]; want == nil && err != nil || want != nil && !want.Is(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.left("concurrency r")
	})
}

func TestConcurrencyOfAllIsOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 1}}, time.Second)
		c.come("a", "10.0.0.1")
		c.come("b", "10.0.0.2")
		c.all.Wait()
		if err := c.errs["b"]; !exchange.Overloaded.Is(err) || exchange.AsError(err).Status != 503 {
			t.Error(err)
		}
	})
}

// One client sends many, another few: they have their turn alternately.
func TestTheQueueIsFairByClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 1}, Queue: &Queue{Max: 100, Wait: time.Minute}}, time.Second)
		for i := range 6 {
			c.come(fmt.Sprint("many", i), "10.0.0.1")
		}
		for i := range 2 {
			c.come(fmt.Sprint("few", i), "10.0.0.2")
		}
		c.all.Wait()
		if want := []string{"many0", "many1", "few0", "many2", "few1", "many3", "many4", "many5"}; !slices.Equal(c.log, want) {
			t.Errorf("%v, want %v", c.log, want)
		}
		if c.most.Load() != 1 {
			t.Errorf("%d at a time", c.most.Load())
		}
		c.left("concurrency r")
	})
}

// A full queue makes room for one who has few at the cost of one who has many.
func TestAFullQueueMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 1}, Queue: &Queue{Max: 3, Wait: time.Minute}}, time.Second)
		for i := range 5 {
			c.come(fmt.Sprint("many", i), "10.0.0.1")
		}
		c.come("few", "10.0.0.2")
		c.all.Wait()
		if want := []string{"many0", "many1", "few", "many2"}; !slices.Equal(c.log, want) {
			t.Errorf("%v, want %v", c.log, want)
		}
		for _, name := range []string{"many3", "many4"} {
			if err := c.errs[name]; !exchange.Overloaded.Is(err) || !errors.Is(err, errFull) {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.left("concurrency r")
	})
}

func TestWaitingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 1}, Queue: &Queue{Max: 10, Wait: 300 * time.Millisecond}}, time.Hour)
		c.come("first", "10.0.0.1")
		began := time.Now()
		x := from("10.0.0.1")
		if err := c.h.Serve(x); !exchange.Overloaded.Is(err) || time.Since(began) != 300*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		began = time.Now()
		x.Deadline = began.Add(100 * time.Millisecond)
		if err := c.h.Serve(x); err == nil || time.Since(began) != 100*time.Millisecond {
			t.Errorf("the exchange's deadline counts too: after %v: %v", time.Since(began), err)
		}
		c.all.Wait()
		c.left("concurrency r")
	})
}

func TestWhoLeavesTheQueueIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 1}, Queue: &Queue{Max: 10, Wait: time.Minute}}, time.Second)
		c.come("first", "10.0.0.1")
		gone := c.come("gone", "10.0.0.1")
		c.come("last", "10.0.0.1")
		gone.Cancel(nil)
		synctest.Wait()
		c.mu.Lock()
		err := c.errs["gone"]
		c.mu.Unlock()
		if !exchange.ClientGone.Is(err) {
			t.Errorf("it left at once: %v", err)
		}
		c.all.Wait()
		if want := []string{"first", "last"}; !slices.Equal(c.log, want) {
			t.Errorf("%v, want %v", c.log, want)
		}
		c.left("concurrency r")
	})
}

// A reload that changes the number keeps who is served and who waits.
func TestConcurrencyIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 1}, Queue: &Queue{Max: 10, Wait: time.Minute}}, time.Second)
		c.come("first", "10.0.0.1")
		c.come("second", "10.0.0.1")
		old := c.env.Scope
		c.env.Scope = new(lifetime.Scope)
		c.use(&Concurrency{Max: Slots{Max: 2}, Queue: &Queue{Max: 10, Wait: time.Minute}})
		old.Close()
		c.come("third", "10.0.0.1")
		c.all.Wait()
		if len(c.log) != 3 || c.log[0] != "first" || c.most.Load() != 2 { // the other two at once
			t.Errorf("%v, %d at a time", c.log, c.most.Load())
		}
		c.left("concurrency r")
	})
}

// A rate with a queue spreads a burst out in place of refusing it.
func TestThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Limit{{Rate: Allowance{10, time.Second, "client.ip"}, Burst: 1, Queue: &Queue{Max: 5, Wait: time.Second}}}, 0)
		began := time.Now()
		for i := range 8 {
			c.come(fmt.Sprint(i), "10.0.0.1")
		}
		c.come("other", "10.0.0.2") // has a bucket, and a line, of its own
		c.all.Wait()
		if want := []string{"0", "other", "1", "2", "3", "4", "5"}; !slices.Equal(c.log, want) {
			t.Errorf("%v, want %v", c.log, want)
		}
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		for _, name := range []string{"6", "7"} {
			var e *exchange.Error
			if err := c.errs[name]; !errors.As(err, &e) || e.Code != "rate_limited" || string(e.Header.Get("Retry-After")) != "1" {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.left("queue r limit")
	})
}

// Who can't be served within the wait is told at once.
func TestThrottlingDoesNotWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Limit{{Rate: Allowance{1, time.Minute, "client.ip"}, Queue: &Queue{Max: 5, Wait: time.Second}}}, 0)
		began := time.Now()
		c.come("a", "10.0.0.1")
		c.come("b", "10.0.0.1")
		c.all.Wait()
		if time.Since(began) != 0 || !exchange.RateLimited.Is(c.errs["b"]) {
			t.Errorf("%v, after %v", c.errs["b"], time.Since(began))
		}
		c.left("queue r limit")
	})
}

func TestWhoLeavesAThrottleTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Limit{{Rate: Allowance{Count: 10, Per: time.Second}, Burst: 1, Queue: &Queue{Max: 5, Wait: time.Second}}}, 0)
		began := time.Now()
		c.come("a", "10.0.0.1")
		gone := c.come("gone", "10.0.0.1")
		c.come("b", "10.0.0.1")
		gone.Cancel(nil)
		c.all.Wait()
		if !exchange.ClientGone.Is(c.errs["gone"]) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%v, after %v", c.errs["gone"], time.Since(began))
		}
		c.left("queue r limit")
	})
}

// Under a storm of requests that come, wait, leave and give up, no more than
// the limit are served at a time and nothing is left behind.
func TestConcurrencyUnderAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &Concurrency{Max: Slots{Max: 3}, Queue: &Queue{Max: 20, Wait: 50 * time.Millisecond}}, 0)
		rnd := rand.New(rand.NewPCG(1, 1))
		for i := range 2000 {
			x := from(fmt.Sprint("10.0.0.", rnd.IntN(5)))
			x.ID = fmt.Append(nil, i)
			x.Arm()
			took, leaves := time.Duration(rnd.IntN(20))*time.Millisecond, rnd.IntN(4) == 0
			stay := time.Duration(rnd.IntN(40)) * time.Millisecond
			var mu sync.Mutex
			finished := false
			c.all.Go(func() {
				if c.h.Serve(x) == nil {
					time.Sleep(took)
					c.now.Add(-1)
				}
				mu.Lock()
				defer mu.Unlock()
				finished = true
				x.Done()
			})
			if leaves {
				c.all.Go(func() {
					time.Sleep(stay)
					mu.Lock()
					defer mu.Unlock()
					if !finished {
						x.Cancel(nil)
					}
				})
			}
			time.Sleep(time.Duration(rnd.IntN(4)) * time.Millisecond)
		}
		c.all.Wait()
		if c.most.Load() > 3 || len(c.log) < 200 {
			t.Errorf("%d at a time, %d served", c.most.Load(), len(c.log))
		}
		c.left("concurrency r")
	})
}
