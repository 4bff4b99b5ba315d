package upstream

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

// crowd is what clients do: so many requests a second, each by a client that
// waits so long for its answer.
type crowd struct {
	rate       float64
	patience   time.Duration // of the client; 0: it waits for as long as it takes
	timeout    time.Duration // of the route
	tries      int           // more, when there was no answer
	importance exchange.Importance
	work       func(*rand.Rand) time.Duration
}

func always(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

// outcome is what came of a crowd.
type outcome struct {
	sent, good, gone, refused int           // requests
	refusals                  int           // those of requests that are tried again as well
	latest                    time.Duration // of the good ones
}

func (o outcome) share() float64 { return float64(o.good) / float64(o.sent) }

func (o outcome) String() string {
	return fmt.Sprintf("%d sent: %d good (the last after %v), %d gave up, %d refused", o.sent, o.good, o.latest, o.gone, o.refused)
}

// stage is a service in a bubble of time.
type stage struct {
	t       *testing.T
	service *Service
	plant   *plant
	random  *rand.Rand
}

func onStage(t *testing.T, workers int, o Overload, f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fleet := newFleet()
		s := &stage{t: t, plant: newPlant(workers), random: rand.New(rand.NewPCG(3, 4))}
		s.service = mustOpen(t, Settings{Targets: urls(1), Overload: o, Outliers: Outliers{Off: true}}, Options{Open: fleet.open})
		fleet.answer = func(_ string, x *exchange.Exchange) error {
			work := time.Duration(math.Float64frombits(uint64(x.Received)))
			return s.plant.serve(x, work)
		}
		if testing.Verbose() && o.Mode != "" {
			defer s.trace(time.Second / 4)()
		}
		f(s)
	})
}

// run lets crowds come for a while, and waits until the last has been answered.
func (s *stage) run(d time.Duration, crowds ...crowd) []*outcome {
	var all sync.WaitGroup
	out := s.come(&all, d, crowds...)
	all.Wait()
	if testing.Verbose() {
		for i := range out {
			s.t.Logf("RUN %v: %v; %+v", crowds[i].rate, out[i], s.service.State().Overload)
		}
	}
	return out
}

// come lets crowds come for a while. What becomes of them is known when all is done.
func (s *stage) come(all *sync.WaitGroup, d time.Duration, crowds ...crowd) []*outcome {
	out, mu := make([]*outcome, len(crowds)), new(sync.Mutex)
	end, begin := time.Now().Add(d), time.Now()
	var coming sync.WaitGroup
	for i, c := range crowds {
		out[i] = new(outcome)
		random := rand.New(rand.NewPCG(uint64(i), 7))
		coming.Go(func() {
			for at := begin; ; {
				at = at.Add(time.Duration(random.ExpFloat64() / c.rate * 1e9))
				if at.After(end) {
					return
				}
				time.Sleep(time.Until(at))
				work, again := c.work(random), time.Duration((0.5+random.Float64())*2e8)
				out[i].sent++
				all.Go(func() {
					for try := 0; !s.one(c, work, out[i], mu, try == c.tries) && try < c.tries; try++ {
						time.Sleep(again)
					}
				})
			}
		})
	}
	coming.Wait()
	time.Sleep(time.Until(end))
	return out
}

// one is one request. It reports whether there was an answer.
func (s *stage) one(c crowd, work time.Duration, o *outcome, mu *sync.Mutex, last bool) bool {
	x := request("GET", nil)
	x.Arm()
	x.Importance = c.importance
	x.Received = int64(math.Float64bits(float64(work)))
	begin := time.Now()
	var timer *time.Timer
	if c.patience > 0 {
		timer = time.AfterFunc(c.patience, func() { x.Cancel(errors.New("the client lost patience")) })
	}
	if c.timeout > 0 {
		x.Deadline = begin.Add(c.timeout)
	}
	err := s.service.Serve(x)
	mu.Lock()
	switch {
	case err == nil:
		o.good++
		o.latest = max(o.latest, time.Since(begin))
	case exchange.Overloaded.Is(err):
		o.refusals++
		if last {
			o.refused++
		}
	case last:
		o.gone++
	}
	mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	if err != nil {
		x.Err = exchange.AsError(err)
	}
	x.Done()
	return err == nil
}

// trace prints what control does, for whoever changes it.
func (s *stage) trace(every time.Duration) (stop func()) {
	end := make(chan struct{})
	go func() {
		for begin := time.Now(); ; {
			select {
			case <-end:
				return
			case <-time.After(every):
				st := s.service.State()
				fmt.Printf("%8v %-9s limit %4d in flight %4d waiting %4d usual %6.1f latest %6.1f refused %d\n", time.Since(begin).Round(time.Millisecond), st.Overload.Phase, st.Overload.Limit, st.Overload.InFlight, st.Overload.Waiting, st.Overload.Usual, st.Overload.Latest, st.Overload.Refused["normal"])
			}
		}
	}()
	return func() { close(end) }
}
