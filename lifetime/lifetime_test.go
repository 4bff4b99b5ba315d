package lifetime_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"gopura/lifetime"
)

func TestScopeClosesLastFirstAndOnce(t *testing.T) {
	var s lifetime.Scope
	var order []int
	for i := range 3 {
		s.Add(func() { order = append(order, i) })
	}
	s.Close()
	s.Close()
	if !slices.Equal(order, []int{2, 1, 0}) {
		t.Error(order)
	}
	s.Add(func() { order = append(order, 9) })
	if order[len(order)-1] != 9 {
		t.Error("what comes to a closed scope is cleaned up at once")
	}
}

func TestHoldAdoptsByKey(t *testing.T) {
	var p lifetime.Pool
	var first, second lifetime.Scope
	opened, closed := 0, 0
	open := func() (*int, func(), error) { opened++; return new(int), func() { closed++ }, nil }
	a, _ := lifetime.Hold(&p, &first, "k", open)
	b, _ := lifetime.Hold(&p, &second, "k", open)
	if a != b || opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	first.Close()
	if closed != 0 {
		t.Error("closed while the second scope holds it")
	}
	second.Close()
	if closed != 1 || p.Len() != 0 {
		t.Errorf("closed %d times, %d held", closed, p.Len())
	}
	var third lifetime.Scope
	if c, _ := lifetime.Hold(&p, &third, "k", open); c == a || opened != 2 {
		t.Error("a released value came back")
	}
}

func TestHoldForgetsFailures(t *testing.T) {
	var p lifetime.Pool
	var s lifetime.Scope
	boom := errors.New("boom")
	if _, err := lifetime.Hold(&p, &s, "k", func() (int, func(), error) { return 0, nil, boom }); err != boom {
		t.Fatal(err)
	}
	if v, err := lifetime.Hold(&p, &s, "k", func() (int, func(), error) { return 7, func() {}, nil }); v != 7 || err != nil {
		t.Error(v, err)
	}
}

func TestHoldRefusesAnotherType(t *testing.T) {
	var p lifetime.Pool
	var s lifetime.Scope
	lifetime.Hold(&p, &s, "k", func() (int, func(), error) { return 7, func() {}, nil })
	if _, err := lifetime.Hold(&p, &s, "k", func() (string, func(), error) { return "", nil, nil }); err == nil {
		t.Error("an int passed for a string")
	}
	s.Close()
	if p.Len() != 0 {
		t.Error("the refusal kept a reference")
	}
}

// A snapshot retires exactly once, after its last user, and nobody gets one
// that has.
func TestCurrentRetiresAfterTheLastUser(t *testing.T) {
	type conf struct{ retired atomic.Bool }
	var c lifetime.Current[*conf]
	if c.Enter() != nil {
		t.Fatal("nothing is current yet")
	}
	var retired atomic.Int64
	swap := func() {
		v := new(conf)
		c.Swap(v, func() {
			if v.retired.Swap(true) {
				t.Error("retired twice")
			}
			retired.Add(1)
		}, nil)
	}
	swap()
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := c.Enter()
				if s.Value.retired.Load() {
					t.Error("entered a retired snapshot")
				}
				s.Leave()
			}
		})
	}
	const swaps = 2000
	for range swaps {
		swap()
	}
	close(stop)
	all.Wait()
	if n := retired.Load(); n != swaps {
		t.Errorf("%d of %d retired", n, swaps)
	}
	c.Get().Leave()
	if c.Enter() != nil {
		t.Error("the last snapshot has been let go")
	}
}
