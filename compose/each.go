package compose

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
	"gopura/expr"
	"gopura/rawjson"
)

// maxTogether bounds the results of for_each: each of them may be as large as
// the call's max_size, but not all of them.
const maxTogether = 64 << 20

// fan is a call in the course of being made for each element of a list.
type fan struct {
	r        *run
	k        *call
	items    []rawjson.Value
	lead     []int // the element whose request is the same; its own index when it is the first
	results  []result
	deadline time.Time
	next     atomic.Int64
	size     atomic.Int64 // bytes of the results so far
	failed   atomic.Bool
	all      sync.WaitGroup
}

// performEach makes a call for each element of a list, some at a time. The
// results keep the order of the elements.
func (r *run) performEach(k *call, c *cell, now time.Time) {
	items, err := r.elements(k, c)
	if err != nil || c.skipped {
		return
	}
	f := &fan{r: r, k: k, items: items, results: make([]result, len(items)), deadline: r.deadline(k, now)}
	if err := f.identify(now); err != nil {
		r.lacks(k, &c.result, err)
		return
	}
	for range min(k.each.max, len(items)) - 1 {
		if !r.plan.alone {
			f.all.Go(f.work)
		}
	}
	f.work()
	f.all.Wait()
	f.gather(c)
}

// elements returns the list. What has no result is an empty one.
func (r *run) elements(k *call, c *cell) ([]rawjson.Value, error) {
	list, err := k.each.in.Raw(r.x, r.vals)
	switch {
	case err != nil:
		r.lacks(k, &c.result, err)
		return nil, err
	case list.Bytes() == nil || list.IsNull():
		return nil, nil
	case list.Kind() != rawjson.Array:
		c.err = exchange.PartInput.Errorf("for_each: not a list but a %s", list.Kind())
		return nil, c.err
	}
	var items []rawjson.Value
	for v := range list.Elements() {
		if len(items) == k.each.limit {
			c.err = exchange.PartInvalid.Errorf("for_each: the list has more than %d elements", k.each.limit)
			return nil, c.err
		}
		items = append(items, v)
	}
	return items, nil
}

// identify finds out which elements lead to the same request.
func (f *fan) identify(now time.Time) error {
	f.lead = make([]int, len(f.items))
	for i := range f.lead {
		f.lead[i] = i
	}
	if !f.k.each.unique || f.k.ask.method != "GET" && f.k.ask.method != "HEAD" || f.k.ask.body != nil || len(f.items) < 2 {
		return nil
	}
	seen := make(map[string]int, len(f.items))
	vars := f.vars()
	var key []byte
	for i := range f.items {
		ch := f.r.open(f.k, now)
		vars[f.r.plan.itemVar()] = f.items[i]
		err := f.r.build(ch, &f.k.ask, f.k.name, "", vars)
		if err == nil {
			key = appendKey(key[:0], &ch.x.Request)
		}
		ch.shut()
		if err != nil {
			continue // found again, and told, when it is to be made
		}
		if first, twice := seen[string(key)]; twice {
			f.lead[i] = first
		} else {
			seen[string(key)] = i
		}
	}
	return nil
}

// vars are the values that the call refers to, with room for an element.
func (f *fan) vars() expr.Vars {
	vars := make(expr.Vars, f.r.plan.itemVar()+1)
	for _, i := range f.k.needs { // the others are being written by those whose they are
		vars[i] = f.r.vals[i]
	}
	body := f.r.plan.bodyVar()
	vars[body] = f.r.vals[body]
	return vars
}

func (f *fan) work() {
	vars := f.vars()
	for !f.failed.Load() {
		i := int(f.next.Add(1)) - 1
		if i >= len(f.items) {
			return
		}
		if f.lead[i] == i {
			f.one(i, vars)
		}
	}
}

// one makes the call for one element.
func (f *fan) one(i int, vars expr.Vars) {
	c, now := &f.results[i], time.Now()
	ch := f.r.open(f.k, now)
	defer ch.shut()
	defer func() {
		if p := recover(); p != nil {
			c.err = exchange.Internal.Errorf("panic in the call %q: %v\n%s", f.k.name, p, debug.Stack())
		}
		if c.err != nil && (f.k.required || f.k.conf.HasDefault) || c.passing {
			f.giveUp()
		}
	}()
	vars[f.r.plan.itemVar()] = f.items[i]
	if err := f.r.build(ch, &f.k.ask, f.k.name, strconv.Itoa(i), vars); err != nil {
		f.r.lacks(f.k, c, err)
		return
	}
	ch.x.Deadline = f.deadline
	f.r.send(f.k, c, new(memory), ch)
	if f.size.Add(int64(len(c.raw.Bytes()))) > maxTogether && c.err == nil {
		*c = result{status: c.status, requests: c.requests, target: c.target,
			err: exchange.PartInvalid.Errorf("for_each: the results are larger than %d bytes together", maxTogether)}
	}
}

// giveUp breaks the other elements off.
func (f *fan) giveUp() {
	if f.failed.Swap(true) {
		return
	}
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.cells[f.k.index].givenUp = true
	for _, ch := range f.r.flying {
		if ch.call == f.k {
			ch.x.Cancel(errGivenUp)
		}
	}
}

// gather makes one result of those of the elements.
func (f *fan) gather(c *cell) {
	out := append(c.shaped[:0], '[')
	for i := range f.results {
		one := &f.results[f.lead[i]]
		if f.lead[i] == i {
			c.requests += one.requests
		}
		if one.target != "" {
			c.target = one.target
		}
		switch {
		case one.passing:
			c.passing, c.status, c.verbatim, c.kind, c.retry = true, one.status, one.verbatim, one.kind, one.retry
		case one.err != nil && (c.err == nil || c.err.Code == exchange.PartCancelled.Name):
			c.err, c.status = f.placed(one.err, i), one.status
		case c.err == nil:
			c.status = one.status
		}
		if i > 0 {
			out = append(out, ',')
		}
		if b := one.value.Bytes(); b != nil && one.err == nil {
			out = append(out, b...)
		} else {
			out = append(out, "null"...)
		}
	}
	c.shaped = append(out, ']')
	if c.err != nil && (f.k.required || f.k.conf.HasDefault) {
		return
	}
	c.value = rawjson.Checked(c.shaped)
}

// placed says which element an error is about.
func (f *fan) placed(e *exchange.Error, i int) *exchange.Error {
	c := *e
	c.Err = fmt.Errorf("element %d: %w", i, e)
	if e.Err != nil {
		c.Err = fmt.Errorf("element %d: %w", i, e.Err)
	}
	return &c
}
