package admin

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gopura/config"
	"gopura/diagram"
	"gopura/live"
	"gopura/telemetry"
)

// values are what flows somewhere, per second.
type values struct {
	Rate        float64  `json:"rate"`
	Errors      float64  `json:"errors"`
	Refused     float64  `json:"refused"`
	Limited     float64  `json:"limited,omitempty"`
	P50         *float64 `json:"p50_ms,omitempty"`
	P95         *float64 `json:"p95_ms,omitempty"`
	P99         *float64 `json:"p99_ms,omitempty"`
	InFlight    int64    `json:"in_flight,omitempty"`
	Connections int64    `json:"connections,omitempty"`
}

// rounded keeps three decimals.
func rounded[T float32 | float64](v T) float64 { return math.Round(float64(v)*1e3) / 1e3 }

func millis(v float32) *float64 {
	ms := rounded(v)
	return &ms
}

func valuesOf(kind string, s telemetry.Sample) values {
	v := values{Rate: rounded(s.Rate), Errors: rounded(s.Errors), Refused: rounded(s.Refused), Limited: rounded(s.Limited), InFlight: int64(s.InFlight)}
	if kind == "listener" {
		v.Connections, v.InFlight = v.InFlight, 0
	} else if s.P99 > 0 {
		v.P50, v.P95, v.P99 = millis(s.P50), millis(s.P95), millis(s.P99)
	}
	return v
}

// flow is what flows along an edge.
type flow struct {
	Rate   float64 `json:"rate"`
	Errors float64 `json:"errors,omitempty"`
}

// traffic shows what flowed in the last sample, by the ids of the topology.
func (s *Server) traffic(w http.ResponseWriter, _ *http.Request) error {
	out := struct {
		At         time.Time         `json:"at,omitzero"`
		Step       float64           `json:"step_seconds"`
		Generation uint64            `json:"generation"`
		Total      values            `json:"total"`
		Nodes      map[string]values `json:"nodes"`
		Edges      map[string]flow   `json:"edges"`
	}{Nodes: map[string]values{}, Edges: map[string]flow{}, Generation: s.gateway.Info().Generation}
	calls := map[string]values{}
	at, span := s.gateway.Series().Latest(func(id, kind string, sample telemetry.Sample) {
		v := valuesOf(kind, sample)
		switch kind {
		case telemetry.TotalID:
			out.Total = v
		case "call":
			calls[id] = v
		default:
			out.Nodes[id] = v
		}
	})
	out.At, out.Step = at, rounded(span.Seconds())
	for _, service := range s.gateway.Services() {
		inFlight(out.Nodes, telemetry.ServiceID(service.Name), service.InFlight)
		for _, t := range service.Targets {
			id := telemetry.TargetID(service.Name, t.Address)
			inFlight(out.Nodes, id, t.InFlight)
			if v := out.Nodes[id]; v.Rate > 0 {
				out.Edges[diagram.EdgeID(telemetry.ServiceID(service.Name), id)] = flow{v.Rate, v.Errors}
			}
		}
	}
	for _, e := range s.ways.of(s.gateway.Document()) {
		if f := flowOf(&e, out.Nodes, calls); f.Rate > 0 {
			out.Edges[e.ID] = f
		}
	}
	return replyCompact(w, out)
}

func inFlight(nodes map[string]values, id string, n int64) {
	if v, ok := nodes[id]; ok || n > 0 {
		v.InFlight = n
		nodes[id] = v
	}
}

// flowOf is what flows along an edge: of a composed route what its calls say, of
// others their share.
func flowOf(e *diagram.Way, nodes, calls map[string]values) (f flow) {
	for _, c := range e.Calls {
		f.Rate += calls[c].Rate
		f.Errors += calls[c].Errors
	}
	if e.Share > 0 {
		end := nodes[e.From]
		if e.From == diagram.ClientID {
			end = nodes[e.To]
		}
		f.Rate, f.Errors = f.Rate+rounded(end.Rate*e.Share), f.Errors+rounded(end.Errors*e.Share)
	}
	return f
}

// ways remembers the edges of the configuration in force.
type ways struct {
	mu  sync.Mutex
	doc *config.Document
	all []diagram.Way
}

func (w *ways) of(doc *config.Document) []diagram.Way {
	if doc == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.doc != doc {
		w.doc, w.all = doc, nil
		for _, e := range diagram.TopologyOf(doc, nil).Edges {
			if e.Share > 0 || len(e.Calls) > 0 {
				w.all = append(w.all, e)
			}
		}
	}
	return w.all
}

// Bounds of what is asked for at once.
const (
	maxSeries   = 50
	maxMinutes  = 15
	maxTopCount = 200
)

// oneSeries is a series as the API shows it.
type oneSeries struct {
	ID       string     `json:"id"`
	Rate     []float64  `json:"rate"`
	Errors   []float64  `json:"errors"`
	Refused  []float64  `json:"refused"`
	Limited  []float64  `json:"limited"`
	P50      []*float64 `json:"p50_ms"`
	P95      []*float64 `json:"p95_ms"`
	P99      []*float64 `json:"p99_ms"`
	InFlight []int32    `json:"in_flight"`
}

// series shows what flowed in the last minutes.
func (s *Server) series(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	minutes, err := numberOf(q, "minutes", maxMinutes, maxMinutes)
	if err != nil {
		return err
	}
	n := int(time.Duration(minutes) * time.Minute / telemetry.Step)
	all, end := s.gateway.Series().IDs(q.Get("kind"))
	ids := q["id"]
	switch {
	case q.Has("top"):
		top, err := numberOf(q, "top", 10, maxSeries)
		if err != nil {
			return err
		}
		if ids, err = s.busiest(all, n, top, q.Get("by")); err != nil {
			return err
		}
	case len(ids) == 0:
		slices.Sort(all)
		return replyCompact(w, struct {
			IDs []string `json:"ids"`
		}{append([]string{}, all...)})
	case len(ids) > maxSeries:
		return &refusal{http.StatusBadRequest, "too_many_series", "At most 50 series are shown at once."}
	}
	out := struct {
		Step   float64     `json:"step_seconds"`
		From   time.Time   `json:"from"`
		Series []oneSeries `json:"series"`
	}{telemetry.Step.Seconds(), end.Add(-time.Duration(n) * telemetry.Step), []oneSeries{}}
	for _, id := range ids {
		kept := s.gateway.Series().Kept(id, n)
		if strings.HasPrefix(id, "client:") {
			kept = s.gateway.Room().ClientSeries(time.Now(), id, n)
		}
		if kept != nil {
			out.Series = append(out.Series, seriesOf(id, kept))
		}
	}
	if len(out.Series) == 0 && len(q["id"]) > 0 {
		return &refusal{http.StatusNotFound, "no_series", "There is no such series: nothing has flowed there lately."}
	}
	return replyCompact(w, out)
}

func seriesOf(id string, kept []telemetry.Sample) oneSeries {
	o := oneSeries{ID: id}
	for _, k := range kept {
		o.Rate, o.Errors = append(o.Rate, rounded(k.Rate)), append(o.Errors, rounded(k.Errors))
		o.Refused, o.Limited = append(o.Refused, rounded(k.Refused)), append(o.Limited, rounded(k.Limited))
		var p50, p95, p99 *float64
		if k.P99 > 0 {
			p50, p95, p99 = millis(k.P50), millis(k.P95), millis(k.P99)
		}
		o.P50, o.P95, o.P99 = append(o.P50, p50), append(o.P95, p95), append(o.P99, p99)
		o.InFlight = append(o.InFlight, k.InFlight)
	}
	return o
}

// measures are by what the busiest series are found.
var measures = map[string]func(*telemetry.Sample) float32{
	"rate":    func(s *telemetry.Sample) float32 { return s.Rate },
	"errors":  func(s *telemetry.Sample) float32 { return s.Errors },
	"refused": func(s *telemetry.Sample) float32 { return s.Refused },
	"limited": func(s *telemetry.Sample) float32 { return s.Limited },
	"p99_ms":  func(s *telemetry.Sample) float32 { return s.P99 },
}

// busiest are those of which most flowed in n steps.
func (s *Server) busiest(ids []string, n, top int, by string) ([]string, error) {
	if by == "" {
		by = "rate"
	}
	measure := measures[by]
	if measure == nil {
		return nil, &refusal{http.StatusBadRequest, "bad_by", "by is rate, errors, refused, limited or p99_ms."}
	}
	type ranked struct {
		id  string
		sum float32
	}
	var list []ranked
	for _, id := range ids {
		r := ranked{id: id}
		for _, k := range s.gateway.Series().Kept(id, n) {
			r.sum += measure(&k)
		}
		if r.sum > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.sum, a.sum), cmp.Compare(a.id, b.id)) })
	out := []string{}
	for _, r := range list[:min(top, len(list))] {
		out = append(out, r.id)
	}
	return out, nil
}

// clients shows who asks most.
func (s *Server) clients(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	top, err := numberOf(q, "top", 20, maxTopCount)
	if err != nil {
		return err
	}
	now := time.Now()
	list, since := s.gateway.Room().Clients(now)
	by := map[string]func(live.Client) uint64{
		"": func(c live.Client) uint64 { return c.Requests }, "requests": func(c live.Client) uint64 { return c.Requests },
		"errors": func(c live.Client) uint64 { return c.Errors }, "limited": func(c live.Client) uint64 { return c.Limited },
		"p99_ms": func(c live.Client) uint64 { return uint64(c.P99 * 1e3) },
	}[q.Get("by")]
	if by == nil {
		return &refusal{http.StatusBadRequest, "bad_by", "by is requests, errors, limited or p99_ms."}
	}
	slices.SortStableFunc(list, func(a, b live.Client) int { return cmp.Compare(by(b), by(a)) })
	list = list[:min(top, len(list))]
	for i := range list {
		c := &list[i]
		c.Rate, c.P50, c.P95, c.P99 = rounded(c.Rate), rounded(c.P50), rounded(c.P95), rounded(c.P99)
	}
	return reply(w, struct {
		Since   time.Time     `json:"since"`
		Seconds float64       `json:"seconds"`
		Clients []live.Client `json:"clients"`
	}{since, rounded(now.Sub(since).Seconds()), list})
}
