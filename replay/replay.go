package replay

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/gateway"
)

// Result is what a replay found.
type Result struct {
	Requests  int     `json:"requests"`  // that were asked about
	Skipped   int     `json:"skipped"`   // records of what never was a request
	Different int     `json:"different"` // requests that are answered differently
	Groups    []Group `json:"groups"`    // these, the largest first
}

// Group is requests that are answered differently in the same way.
type Group struct {
	Count   int    `json:"count"`
	Before  string `json:"before"` // 200 by service users, sent GET to users
	After   string `json:"after"`
	Example string `json:"example"` // GET shop.example.com/users/42
}

// maxGroups bounds how many ways are told apart; more are one.
const maxGroups = 200

// Run asks both configurations about every request of a recording. Time in them
// is that of the records, so that limits count as they would have; callers are
// who they were, where the records say so; services answer with an empty 200.
func Run(before, after func() (*config.Document, error), recording io.Reader) (*Result, error) {
	now, who := time.Unix(0, 0), (*exchange.Identity)(nil) // before any record: clocks of limits begin here
	play := gateway.Understudies{
		Now: func() time.Time { return now },
		Identity: func(source string, _ *exchange.Exchange) (*exchange.Identity, error, bool) {
			if who == nil || who.Name != "" && who.Name != source {
				return nil, nil, false
			}
			id := *who
			id.Name = source
			return &id, nil, true
		},
	}
	a, err := gateway.Rehearse(before, play)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, err := gateway.Rehearse(after, play)
	if err != nil {
		return nil, err
	}
	defer b.Close()

	r, groups := &Result{Groups: []Group{}}, map[[2]string]int{}
	err = Read(recording, func(e Entry) error {
		x, ok := e.exchange()
		y, _ := e.exchange()
		if !ok {
			r.Skipped++
			return nil
		}
		if now, who = x.Start, nil; e.Sub != "" || e.Identity != "" {
			who = &exchange.Identity{Name: e.Identity, Sub: e.Sub, Claims: map[string]any{"sub": e.Sub}}
		}
		r.Requests++
		old, next := outcome(a.Explain(x)), outcome(b.Explain(y))
		if old == next {
			return nil
		}
		r.Different++
		key := [2]string{old, next}
		i, ok := groups[key]
		switch {
		case ok:
		case len(r.Groups) < maxGroups:
			i = len(r.Groups)
			groups[key] = i
			r.Groups = append(r.Groups, Group{Before: old, After: next, Example: e.Method + " " + e.Host + e.Path})
		default:
			i = maxGroups - 1
		}
		r.Groups[i].Count++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	slices.SortStableFunc(r.Groups, func(a, b Group) int { return cmp.Compare(b.Count, a.Count) })
	return r, nil
}

// outcome is what a client and the services get to see of a request. The name
// of the route is told, and is no difference by itself.
func outcome(e *gateway.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", e.Answer.Status)
	if e.Answer.Code != "" {
		b.WriteString(" " + e.Answer.Code)
	}
	fmt.Fprintf(&b, " by %s", e.Answer.By)
	for i, s := range e.Sent {
		if i == 0 {
			b.WriteString(", sent")
		}
		method, _, _ := strings.Cut(s.Request, " ")
		b.WriteString(" " + method + " to " + s.Service)
	}
	return b.String()
}
