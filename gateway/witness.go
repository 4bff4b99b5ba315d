package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/telemetry"
)

// Bounds of live explanations.
const (
	keptExplanations = 64
	maxWitnesses     = 16 // requests that are being explained at a time
)

// LiveExplanation is what really happened to a request.
type LiveExplanation struct {
	ID       string    `json:"id"` // of the request
	Time     time.Time `json:"time"`
	Live     bool      `json:"live"`
	Duration float64   `json:"duration_ms"`
	*Explanation
	Attempts []Attempt `json:"attempts"`
}

// Attempt is one request that a target was sent.
type Attempt struct {
	Service  string  `json:"service"`
	Target   string  `json:"target"`
	Status   int     `json:"status,omitempty"`
	Code     string  `json:"code,omitempty"`
	Cause    string  `json:"cause,omitempty"`
	Duration float64 `json:"duration_ms"` // to the response head
}

// explanations are the latest, by the ids of their requests.
type explanations struct {
	open atomic.Int64 // witnesses at work

	mu   sync.Mutex
	list []*LiveExplanation // oldest first
}

func (e *explanations) add(one *LiveExplanation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) == keptExplanations {
		copy(e.list, e.list[1:])
		e.list = e.list[:keptExplanations-1]
	}
	e.list = append(e.list, one)
}

// Explanations returns the latest explanations of real requests, the newest first.
func (g *Gateway) Explanations() []*LiveExplanation {
	g.explanations.mu.Lock()
	defer g.explanations.mu.Unlock()
	list := []*LiveExplanation{}
	for i := len(g.explanations.list) - 1; i >= 0; i-- {
		list = append(list, g.explanations.list[i])
	}
	return list
}

// twin is a snapshot compiled a second time, with everything watched. Its policies
// share their state with those of the first: limits, services, caches, sources of
// identity are found by what they are, as the next configuration finds them. It is
// made with the first request that has to be explained, so nobody else pays for it.
type twin struct {
	once  sync.Once
	cast  cast
	snap  *snapshot // nil: it could not be made
	nodes map[*node]*node
}

func (g *Gateway) twinOf(s *snapshot) *twin {
	t := &s.twin
	t.once.Do(func() {
		doc, err := s.doc.Origin().Copy()
		if err == nil {
			t.cast.live, t.cast.traces = g, &g.witnessed
			var second *snapshot
			if second, err = g.compileWith(doc, false, &t.cast); err == nil {
				s.scope.Add(second.scope.Close)
				t.snap, t.nodes = second, map[*node]*node{}
				for i, n := range s.nodes {
					if n.route != nil && i < len(second.nodes) {
						t.nodes[n] = second.nodes[i]
					}
				}
			}
		}
		if err != nil {
			g.log.Error("requests can't be explained live", "error", err)
		}
	})
	return t
}

// witness watches one exchange.
type witness struct {
	g     *Gateway
	twin  *twin
	trace *trace
	doc   *config.Document
	n     *node
	e     *LiveExplanation
}

// witness begins to watch x if its token allows that; else it returns nil. The path
// has been normalised.
func (g *Gateway) witness(s *snapshot, x *exchange.Exchange, token []byte) *witness {
	if !g.mayDebug(s, x, token, time.Now()) {
		return nil
	}
	if g.explanations.open.Add(1) > maxWitnesses {
		g.explanations.open.Add(-1)
		return nil
	}
	t := g.twinOf(s)
	if t.snap == nil {
		g.explanations.open.Add(-1)
		return nil
	}
	tr := g.witnessed.begin(x)
	if tr == nil { // another request with the same id is being explained
		g.explanations.open.Add(-1)
		return nil
	}
	x.Watched = true
	w := &witness{g: g, twin: t, trace: tr, doc: s.doc, e: &LiveExplanation{ID: string(x.ID), Time: x.Start, Live: true, Explanation: newExplanation(x)}}
	w.e.candidates(t.snap.table, s.doc, x)
	w.e.Conditions = tr.takeSaw()
	x.OnDone(w.done)
	return w
}

// serve is the way of x through the second chain of its route.
func (w *witness) serve(x *exchange.Exchange, n *node) error {
	w.n = n
	w.e.matched(x, n)
	if second := w.twin.nodes[n]; second != nil {
		return second.handler.Serve(x)
	}
	return n.handler.Serve(x)
}

// answered describes the answer, before its body flows.
func (w *witness) answered(x *exchange.Exchange) {
	w.trace.fill(w.e.Explanation)
	w.e.calls(x)
	w.e.idle(w.doc, w.n)
	w.e.services(w.doc)
	w.e.load(w.g.Services())
	w.e.conclude(x)
	x.Response.Header.SetBytes(ExplanationHeader, x.ID)
}

// done is after everything else.
func (w *witness) done(x *exchange.Exchange) {
	w.g.explanations.open.Add(-1)
	w.g.witnessed.end(x)
	w.e.Duration = float64(time.Since(x.Start).Microseconds()) / 1e3
	w.e.Attempts = w.trace.takeAttempts()
	if x.Err != nil && w.e.Answer.Code == "" { // it broke off after its head
		w.e.conclude(x)
	}
	w.g.explanations.add(w.e)
}

// attempted notes an attempt of an exchange that is watched.
func (m *measured) attempted(x *exchange.Exchange, err error) {
	a := Attempt{Service: m.service, Target: m.address, Status: x.Response.Status, Duration: float64(x.Upstream.Microseconds()) / 1e3}
	if err != nil {
		e := exchange.AsError(err)
		a.Status, a.Code = 0, e.Code
		if e.Err != nil {
			a.Cause = telemetry.Masked([]byte(e.Err.Error()))
		}
	}
	if tr := m.g.witnessed.of(x); tr != nil {
		tr.attempt(a)
	}
}
