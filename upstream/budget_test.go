package upstream

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

// Whatever the traffic, no second sees more retries than its share of that
// second's requests, or the minimum.
func TestBudgetIsNeverExceeded(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		share := r.Float64()
		b := newBudget(share)
		var requests, retries []int64
		now := int64(0)
		for range 5000 {
			if r.IntN(500) == 0 {
				now += int64(r.IntN(5000)) * int64(time.Millisecond) // silence
			}
			now += int64(r.IntN(3)) * int64(time.Millisecond) * int64(r.IntN(4))
			b.request(now)
			requests = append(requests, now)
			for range r.IntN(4) {
				if b.take(now) {
					retries = append(retries, now)
				}
			}
		}
		for i, at := range retries {
			from := at - int64(time.Second)
			within := func(list []int64) (n int) {
				for _, v := range list {
					if from < v && v <= at {
						n++
					}
				}
				return n
			}
			if i%7 != 0 {
				continue
			}
			if got, limit := within(retries), max(minRetries, share*float64(within(requests))); float64(got) > limit {
				t.Fatalf("seed %d: %d retries in a second, allowed %.1f", seed, got, limit)
			}
		}
	}
}

func TestBudgetIsExactUnderConcurrency(t *testing.T) {
	b := newBudget(0.2)
	for range 1000 {
		b.request(5)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if b.take(5) {
					mu.Lock()
					got++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if got != 200 {
		t.Errorf("%d retries of 1000 requests, want 200", got)
	}
}

// Everything answers 503, at 1000 requests a second, after ten good seconds: the
// service sees at most 1200 attempts in each second.
func TestNoRetryStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		s := mustOpen(t, Settings{
			Targets:  urls(3),
			Outliers: Outliers{Off: true},
			Retries:  Retries{Attempts: 2, Budget: 0.2, On: []string{"503"}},
		}, Options{Open: f.open})
		var attempts []time.Time
		f.answer = status200
		for i := range 15_000 {
			if i == 10_000 {
				f.answer = func(_ string, x *exchange.Exchange) error {
					attempts = append(attempts, time.Now())
					return status(503)(x)
				}
			}
			do(s)
			time.Sleep(time.Millisecond)
		}
		first := 0
		for i, at := range attempts {
			for attempts[first].Add(time.Second).Compare(at) <= 0 {
				first++
			}
			if n := i - first + 1; n > 1200 {
				t.Fatalf("%d attempts in one second", n)
			}
		}
		if len(attempts) < 5900 || len(attempts) > 6000 {
			t.Errorf("%d attempts for 5000 requests, want about 6000", len(attempts))
		}
		if st := s.State(); st.Denied == 0 {
			t.Error("the state doesn't show that retries were denied")
		}
	})
}

func status200(_ string, x *exchange.Exchange) error { return status(200)(x) }

// Two gateways in a row, both willing to retry: the inner one says that it has
// tried, so that the outer one doesn't multiply.
func TestTiersDoNotMultiply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		f.answer = func(_ string, x *exchange.Exchange) error { return status(503)(x) }
		set := Settings{Targets: urls(2), Outliers: Outliers{Off: true}, Retries: Retries{Attempts: 2, Budget: 0.2, On: []string{"503"}}}
		inner := mustOpen(t, set, Options{Open: f.open})
		outer := mustOpen(t, set, Options{Open: func(TransportSpec) Transport { return tier{inner} }})
		for range 2000 {
			do(outer)
			time.Sleep(time.Millisecond)
		}
		if n := f.at(addr(0)).calls.Load() + f.at(addr(1)).calls.Load(); n > 2400 {
			t.Errorf("%d attempts for 2000 requests", n)
		}
	})
}

// tier is a gateway behind a gateway: it serves an exchange of its own.
type tier struct{ *Service }

func (g tier) Serve(x *exchange.Exchange) error {
	y := request(x.Request.Method, nil)
	defer y.Done()
	if err := g.Service.Serve(y); err != nil {
		return err
	}
	x.Response.Status = y.Response.Status
	x.Response.Header.CopyFrom(&y.Response.Header)
	return nil
}
func (g tier) Close() error { return nil }
