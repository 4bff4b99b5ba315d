package compose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

// graph is a random plan: who refers to whom, and how long each call takes.
type graph struct {
	needs [][]int
	takes []time.Duration
	order []int // of the calls in the file
	fails int   // this one fails; -1: none
}

func randomGraph(r *rand.Rand) *graph {
	n := 1 + r.IntN(14)
	g := &graph{needs: make([][]int, n), takes: make([]time.Duration, n), order: r.Perm(n), fails: -1}
	for i := range n {
		g.takes[i] = time.Duration(r.IntN(50)) * time.Millisecond
		for j := range i {
			if r.IntN(3) == 0 {
				g.needs[i] = append(g.needs[i], j)
			}
		}
	}
	return g
}

// text is the plan as it is written: some references in the path, some in a
// condition, some by after.
func (g *graph) text(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("compose:\n")
	for _, i := range g.order {
		var query, when, after []string
		for _, j := range g.needs[i] {
			switch r.IntN(3) {
			case 0:
				query = append(query, fmt.Sprintf("q%d={c%d.v}", j, j))
			case 1:
				when = append(when, fmt.Sprintf("c%d.v == %d", j, j))
			default:
				after = append(after, fmt.Sprintf("c%d", j))
			}
		}
		fmt.Fprintf(&b, "  c%d: { call: \"GET s/%d?%s\"", i, i, strings.Join(query, "&"))
		if when != nil {
			fmt.Fprintf(&b, ", when: '%s'", strings.Join(when, " && "))
		}
		if after != nil {
			fmt.Fprintf(&b, ", after: [%s]", strings.Join(after, ", "))
		}
		b.WriteString(" }\n")
	}
	return b.String()
}

// visit is when a call was made.
type visit struct{ begin, end time.Duration }

// recorder is a service whose calls take their time.
type recorder struct {
	mu     sync.Mutex
	start  time.Time
	g      *graph
	visits map[int][]visit
	most   int // at a time
	now    int
}

func (s *recorder) Serve(x *exchange.Exchange) error {
	var i int
	fmt.Sscanf(string(x.Request.Path), "/%d", &i)
	s.mu.Lock()
	at := len(s.visits[i])
	s.visits[i] = append(s.visits[i], visit{begin: time.Since(s.start), end: -1})
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	err := wait(x, s.g.takes[i])
	s.mu.Lock()
	s.visits[i][at].end = time.Since(s.start)
	s.now--
	s.mu.Unlock()
	switch {
	case err != nil:
		return err
	case i == s.g.fails:
		return answerWith(x, 500, "{}")
	}
	return answerWith(x, 200, fmt.Sprintf(`{"v":%d}`, i))
}

// TestRandomGraphs: every call is made once, after its inputs, and not a moment
// later than necessary.
func TestRandomGraphs(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := randomGraph(r)
		text := g.text(r)
		synctest.Test(t, func(t *testing.T) {
			s := &recorder{g: g, visits: map[int][]visit{}}
			p := planOf(t, text, map[string]exchange.Handler{"s": s})
			for range 2 { // the second time with the memory of the first
				s.start, s.visits = time.Now(), map[int][]visit{}
				x := clientRequest(0)
				if err := p.Serve(x); err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, text)
				}
				bodyOf(t, x)
				x.Done()
				g.check(t, s, text)
			}
		})
	}
}

func (g *graph) check(t *testing.T, s *recorder, text string) {
	t.Helper()
	last := time.Duration(0)
	for i := range g.needs {
		v := s.visits[i]
		if len(v) != 1 {
			t.Fatalf("call %d was made %d times\n%s", i, len(v), text)
		}
		ready := time.Duration(0)
		for _, j := range g.needs[i] {
			ready = max(ready, s.visits[j][0].end)
		}
		if v[0].begin != ready {
			t.Fatalf("call %d began at %v, could at %v\n%s", i, v[0].begin, ready, text)
		}
		last = max(last, v[0].end)
	}
	if now := time.Since(s.start); now != last {
		t.Fatalf("the answer came at %v, the last part at %v", now, last)
	}
}

// TestRandomFailures: a call that fails ends the whole at once. What had not
// begun never does, what goes on is broken off.
func TestRandomFailures(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := randomGraph(r)
		g.fails = r.IntN(len(g.needs))
		text := g.text(r)
		synctest.Test(t, func(t *testing.T) {
			s := &recorder{g: g, visits: map[int][]visit{}, start: time.Now()}
			p := planOf(t, text, map[string]exchange.Handler{"s": s})
			x := clientRequest(0)
			err := p.Serve(x)
			if !exchange.PartFailed.Is(err) || exchange.AsError(err).Part != fmt.Sprintf("c%d", g.fails) {
				t.Fatalf("seed %d: %v\n%s", seed, err, text)
			}
			failed := s.visits[g.fails][0].end
			for i, visits := range s.visits {
				if len(visits) != 1 || visits[0].begin > failed || visits[0].end > failed {
					t.Fatalf("call %d: %v, after the failure at %v\n%s", i, visits, failed, text)
				}
			}
			if now := time.Since(s.start); now != failed {
				t.Fatalf("the failure came at %v, the answer at %v", failed, now)
			}
			x.Done()
		})
	}
}

// TestRandomDepartures: a client that leaves cancels whatever goes on.
func TestRandomDepartures(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := randomGraph(r)
		text := g.text(r)
		leaves := time.Duration(r.IntN(80)) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			s := &recorder{g: g, visits: map[int][]visit{}, start: time.Now()}
			p := planOf(t, text, map[string]exchange.Handler{"s": s})
			x := clientRequest(0)
			go func() {
				time.Sleep(leaves)
				x.Cancel(exchange.ClientGone.Because(nil))
			}()
			err := p.Serve(x)
			now := time.Since(s.start)
			synctest.Wait()
			if err != nil && (!exchange.ClientGone.Is(err) || now > leaves) {
				t.Fatalf("seed %d: %v at %v", seed, err, now)
			}
			time.Sleep(leaves)
			x.Done()
		})
	}
}

// TestIdenticalCalls: what is asked for twice is asked for once.
func TestIdenticalCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		s := service(func(x *exchange.Exchange) error {
			mu.Lock()
			seen = append(seen, string(x.Request.Path)+"?"+string(x.Request.Query))
			mu.Unlock()
			if err := wait(x, 10*time.Millisecond); err != nil {
				return err
			}
			return answerWith(x, 200, `{"id": 7, "name": "Ann"}`)
		})
		p := planOf(t, `compose:
  a: GET s/users/7
  b: { call: GET s/users/7, pick: name }
  c: { call: "GET s/users/{a.id}", take: id }
  d: { call: GET s/users/7, headers: { X-Other: "1" } }
  e: { call: POST s/users/7 }
`, map[string]exchange.Handler{"s": s})
		x := clientRequest(0)
		if err := p.Serve(x); err != nil {
			t.Fatal(err)
		}
		const want = `{"a":{"id": 7, "name": "Ann"},"b":{"name": "Ann"},"c":7,"d":{"id": 7, "name": "Ann"},"e":{"id": 7, "name": "Ann"}}`
		if got := strings.ReplaceAll(bodyOf(t, x), `{"name":"Ann"}`, `{"name": "Ann"}`); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		slices.Sort(seen)
		if len(seen) != 3 {
			t.Errorf("made %v", seen)
		}
		for _, c := range x.Calls {
			if want := map[string]int{"a": 1, "b": 0, "c": 0, "d": 1, "e": 1}[c.Name]; c.Requests != want && c.Name != "a" && c.Name != "b" {
				t.Errorf("%s: %d requests", c.Name, c.Requests)
			}
		}
		x.Done()
	})
}
