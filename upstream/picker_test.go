package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gopura/exchange"
)

var kinds = []string{RoundRobin, LeastRequests, Random, Hash, Sticky}

// clientKey hashes by request id.
func clientKey(dst []byte, x *exchange.Exchange) []byte { return append(dst, x.ID...) }

// Weighted round robin is exact over one turn, and never bunches.
func TestRoundRobinIsSmooth(t *testing.T) {
	f := newFleet()
	targets := urls(3)
	targets[0].Weight, targets[1].Weight, targets[2].Weight = 5, 1, 1
	s := mustOpen(t, Settings{Targets: targets}, Options{Open: f.open, Rand: func() uint64 { return 6 }})
	var got []string
	for range 7 {
		x, _ := do(s)
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(x.Target, "10.0.0."), ":80"))
	}
	if want := "1 1 2 1 3 1 1"; strings.Join(got, " ") != want {
		t.Errorf("order %v, want %v", got, want)
	}
}

// On an idle service, whatever picks, each target gets its weight's share.
func TestWeightsHold(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		targets := urls(2 + r.IntN(12))
		total := 0
		for i := range targets {
			targets[i].Weight = 1 + r.IntN(20)
			total += targets[i].Weight
		}
		for _, kind := range kinds {
			f := newFleet()
			s := mustOpen(t, Settings{Targets: targets, Balance: Balance{Kind: kind}}, Options{Open: f.open, Hash: clientKey, Rand: r.Uint64})
			n := total * 100
			for i := range n {
				x := request("GET", nil)
				x.ID = fmt.Appendf(nil, "client %d", i)
				if err := s.Serve(x); err != nil {
					t.Fatal(err)
				}
				x.Done()
			}
			for i, spec := range targets {
				want := float64(n) * float64(spec.Weight) / float64(total)
				got := float64(f.at(addr(i)).calls.Load())
				// Five standard deviations, and Maglev's unevenness.
				if tolerance := 5*math.Sqrt(want) + 0.02*want; math.Abs(got-want) > tolerance {
					t.Errorf("seed %d, %s: target %d of weight %d/%d got %v of %d, want %.0f±%.0f",
						seed, kind, i, spec.Weight, total, got, n, want, tolerance)
				}
			}
		}
	}
}

func TestHugeWeightsAreScaled(t *testing.T) {
	r := newRotation(make([]*Target, 3), []int64{1_000_000, 999_999, 1})
	if len(r.order) > maxOrder+3 {
		t.Errorf("the order has %d places", len(r.order))
	}
	if !slices.Contains(r.order, 2) {
		t.Error("the lightest target is never picked")
	}
}

func TestLeastRequestsAvoidsTheBusy(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(2), Balance: Balance{Kind: LeastRequests}}, Options{Open: f.open})
	var open []*exchange.Exchange
	counts := map[string]int{}
	for range 100 { // none of them ends
		x := request("GET", nil)
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		counts[x.Target]++
		open = append(open, x)
	}
	if d := counts[addr(0)] - counts[addr(1)]; d < -1 || d > 1 {
		t.Errorf("in flight: %v, want an even split", counts)
	}
	for _, x := range open {
		x.Done()
	}
	if n := s.State().InFlight; n != 0 {
		t.Errorf("%d in flight after all are done", n)
	}
}

// A target with twice the weight carries twice the requests in flight.
func TestLeastRequestsByWeight(t *testing.T) {
	f := newFleet()
	targets := urls(2)
	targets[0].Weight = 3
	s := mustOpen(t, Settings{Targets: targets, Balance: Balance{Kind: LeastRequests}}, Options{Open: f.open})
	for range 400 {
		if err := s.Serve(request("GET", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.State().Targets[0].InFlight; got < 295 || got > 305 {
		t.Errorf("the heavy target has %d of 400 in flight, want about 300", got)
	}
}

// Every picker prefers a target that was not tried, and has an answer when all were.
func TestTriedTargetsComeLast(t *testing.T) {
	for _, kind := range kinds {
		s := mustOpen(t, Settings{Targets: urls(5), Balance: Balance{Kind: kind}}, Options{Open: newFleet().open, Hash: clientKey})
		for round := range 200 {
			x := request("GET", nil)
			x.ID = fmt.Appendf(nil, "%d", round)
			var tried []*Target
			for range 5 {
				target, done, err := s.pick(x, tried...)
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains(tried, target) {
					t.Fatalf("%s: picked %s again while others were untried", kind, target.Address)
				}
				done(x, errUnused)
				tried = append(tried, target)
			}
			if _, done, err := s.pick(x, tried...); err != nil {
				t.Fatalf("%s: %v", kind, err)
			} else {
				done(x, errUnused)
			}
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, kind := range kinds {
		s := mustOpen(t, Settings{Targets: urls(10), Balance: Balance{Kind: kind}, Breaker: &Breaker{}, Retries: Retries{Attempts: 1, Budget: 0.2, Body: 64 << 10}},
			Options{Open: newFleet().open, Hash: clientKey})
		x := request("GET", nil)
		client, id := x.Client, []byte("a client that is always the same")
		x.ID = id
		x.Request.Header.Add("Cookie", "a=b; gopura_target="+s.targets[3].id)
		n := testing.AllocsPerRun(1000, func() {
			_, done, err := s.picker.Load().Pick(x)
			if err != nil {
				t.Fatal(err)
			}
			x.Response.Status = 200
			done(x, nil)
			x.Done()
			x.Reset()
			x.Client, x.ID = client, id
			x.Request.Header.Add("Cookie", "a=b; gopura_target=none")
		})
		if n != 0 {
			t.Errorf("%s: pick and done: %v allocations", kind, n)
		}
		body := exchange.BytesBody([]byte("hello"))
		for _, b := range []exchange.Body{exchange.NoBody, body} {
			n = testing.AllocsPerRun(1000, func() {
				x.Request.Method, x.Request.Body = "POST", b
				if err := s.Serve(x); err != nil {
					t.Fatal(err)
				}
				x.Done()
				x.Response.Header.Truncate()
			})
			if n != 0 {
				t.Errorf("%s: Serve, body of %d: %v allocations", kind, b.Len(), n)
			}
		}
	}
}

// Health decides nothing about the table: members that are out move their own
// keys and no others.
func TestHashMovesOnlyTheKeysOfTheEjected(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(10), Balance: Balance{Kind: Hash}}, Options{Open: f.open, Hash: clientKey})
	before := keys(t, s, 20000)
	for _, out := range []int{3, 7} {
		if err := s.Drain(addr(out)); err != nil {
			t.Fatal(err)
		}
	}
	moved := map[string]int{}
	for i, now := range keys(t, s, 20000) {
		was := before[i]
		if was == addr(3) || was == addr(7) {
			moved[now]++
		} else if now != was {
			t.Fatalf("key %d moved from %s to %s, and neither is out", i, was, now)
		}
	}
	if len(moved) != 8 {
		t.Errorf("the keys of two targets went to %d others, want all 8: %v", len(moved), moved)
	}
	s.Enable(addr(3))
	s.Enable(addr(7))
	if !slices.Equal(before, keys(t, s, 20000)) {
		t.Error("keys did not come back")
	}
}

// When a member leaves for good, its keys move, and few others.
func TestMaglevDisruption(t *testing.T) {
	for _, n := range []int{3, 10, 50, 100} {
		all := fakeMembers(n)
		before := newMaglev(all)
		for _, leaver := range []int{0, n / 2, n - 1} {
			left := slices.Delete(fakeMembers(n), leaver, leaver+1)
			after := newMaglev(left)
			moved := 0
			for i := range maglevSize {
				was, now := before.members[before.slots[i]], after.members[after.slots[i]]
				if was.key != now.key && was.key != all[leaver].key {
					moved++
				}
			}
			if share := float64(moved) / maglevSize; share > 0.05 {
				t.Errorf("%d targets: one left, and %.1f%% of the other keys moved", n, 100*share)
			}
		}
	}
}

func TestMaglevDoesNotDependOnOrder(t *testing.T) {
	list := fakeMembers(20)
	a := newMaglev(list)
	slices.Reverse(list)
	b := newMaglev(list)
	for i := range maglevSize {
		if a.members[a.slots[i]].key != b.members[b.slots[i]].key {
			t.Fatal("two gateways that list their targets in another order disagree")
		}
	}
}

func TestEmptyKeyIsSpread(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(4), Balance: Balance{Kind: Hash}}, Options{Open: f.open, Hash: clientKey})
	for range 400 {
		do(s)
	}
	for i := range 4 {
		if n := f.at(addr(i)).calls.Load(); n < 50 {
			t.Errorf("target %d got %d of 400 requests without a key", i, n)
		}
	}
}

func fakeMembers(n int) (out []*Target) {
	for i := range n {
		out = append(out, &Target{key: "http://" + addr(i), weight: 1})
	}
	return out
}

// keys returns where each of n keys goes.
func keys(t *testing.T, s *Service, n int) (out []string) {
	for i := range n {
		x := request("GET", nil)
		x.ID = fmt.Appendf(nil, "key %d", i)
		target, done, err := s.pick(x)
		if err != nil {
			t.Fatal(err)
		}
		done(x, errUnused)
		out = append(out, target.Address)
	}
	return out
}
