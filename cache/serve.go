package cache

import (
	"io"
	"time"

	"gopura/exchange"
)

// Serve implements exchange.Handler.
func (h *handler) Serve(x *exchange.Exchange) error {
	c := h.cache
	switch x.Request.Method {
	case "GET", "HEAD":
	case "OPTIONS", "TRACE":
		return h.next.Serve(x)
	default:
		return h.change(x)
	}
	var q request
	if !h.examine(x, &q) {
		c.counts.bypassed.Add(1)
		return h.pass(x, "bypass")
	}
	for tries := 0; ; tries++ {
		now := time.Now()
		e, key := h.find(x, &q)
		if e != nil && e.answer != nil && q.credentials&^(e.answer.shared|c.covered(varyOf(e))) != 0 {
			e = nil // not for this client
		}
		if e != nil && e.answer != nil {
			switch left := e.answer.left(now); {
			case left > 0:
				if tries > 0 {
					c.counts.collapsed.Add(1)
				} else {
					c.counts.hits.Add(1)
				}
				h.give(x, e.answer, now, tries > 0)
				return nil
			case -left < e.answer.whileStale && !e.answer.changed():
				if f, first := c.storage.flights.join(key); first {
					h.refresh(x, key, f, e)
				}
				c.counts.stale.Add(1)
				h.give(x, e.answer, now, false)
				return nil
			}
		}
		why := "uri-miss"
		switch {
		case e == nil && len(key) > len(q.key):
			why = "vary-miss"
		case e != nil && e.answer != nil:
			why = "stale"
		}
		if x.Request.Method == "HEAD" {
			c.counts.misses.Add(1)
			return h.pass(x, why)
		}
		own := q
		own.key, own.mark = key, key
		if q.credentials != 0 { // its answer may be for it alone: others don't wait for that
			own.mark = append(key[:len(key):len(key)], 'C')
			if m := c.storage.get(own.mark); m != nil && e == nil {
				e = m
			}
		}
		switch {
		case e != nil && now.Before(e.passes):
			return h.ask(x, &own, nil, nil, why)
		case c.rules.Wait <= 0 || tries == 3:
			own.whole = true
			return h.ask(x, &own, nil, onlyAnswer(e), why)
		}
		f, first := c.storage.flights.join(own.mark)
		if first {
			own.whole = true
			return h.ask(x, &own, f, onlyAnswer(e), why)
		}
		o, err := f.wait(x, c.rules.Wait)
		switch {
		case err != nil:
			return err
		case o == failed:
			c.counts.collapsed.Add(1)
			return f.err.With()
		case o == given && q.credentials&^f.stale.answer.shared == 0:
			c.counts.stale.Add(1)
			h.give(x, f.stale.answer, time.Now(), true)
			return nil
		case o == alone:
			return h.ask(x, &own, nil, onlyAnswer(e), why)
		}
	}
}

func onlyAnswer(e *entry) *entry {
	if e == nil || e.answer == nil {
		return nil
	}
	return e
}

// find returns what is kept for a request, and under which key. An answer that
// must not be used any longer is not there.
func (h *handler) find(x *exchange.Exchange, q *request) (*entry, []byte) {
	st := h.cache.storage
	key := q.key
	e := st.get(key)
	if e != nil && e.answer == nil && e.varies != nil {
		key = appendVariant(x, q.key, e.varies.names)
		e = st.get(key)
	}
	if e != nil && e.answer != nil && e.answer.changed() {
		return nil, key
	}
	return e, key
}

// pass sends a request on for which the cache does nothing.
func (h *handler) pass(x *exchange.Exchange, why string) error {
	err := h.next.Serve(x)
	if err == nil && x.Response.Tunnel == nil {
		h.mark(x, why, false, false)
	}
	return err
}

// change sends a request on that may change the resource: what is kept of it is
// old when that has succeeded (RFC 9111 §4.4), also what is being fetched now.
// It counts for every query of the path.
func (h *handler) change(x *exchange.Exchange) error {
	slot := h.cache.storage.set.slot(x.Request.Authority, x.Request.Path)
	err := h.next.Serve(x)
	if err == nil && x.Response.Status >= 200 && x.Response.Status < 400 {
		slot.Add(1)
	}
	return err
}

// ask asks the service. f are those who wait, nil: nobody; old is what was kept.
func (h *handler) ask(x *exchange.Exchange, q *request, f *flight, old *entry, why string) error {
	c := h.cache
	defer f.end(again) // also when next panics
	purges := c.storage.set.purges.Load()
	if q.whole {
		q.conditions.take(&x.Request.Header)
		if old != nil && old.answer.validators() {
			offer(&x.Request.Header, old.answer)
		}
	}
	err := h.next.Serve(x)
	if q.whole {
		q.conditions.give(&x.Request.Header)
	}
	now := time.Now()
	if old != nil && failing(x, err) && !old.answer.changed() && -old.answer.left(now) < old.answer.ifError {
		x.DropResponse()
		c.counts.stale.Add(1)
		h.give(x, old.answer, now, false)
		if f != nil {
			f.stale = old
			f.end(given)
		}
		return nil
	}
	if err != nil {
		h.fail(f, err)
		return err
	}
	if q.whole && old != nil && x.Response.Status == 304 {
		return h.confirmed(x, q, f, old, purges, now)
	}
	c.counts.misses.Add(1)
	stored, whole, err := h.store(x, q, f, purges, now)
	if err != nil {
		h.fail(f, err)
		return err
	}
	f.end(after(stored, now))
	if whole && stored != nil && q.whole && has(&x.Request.Header, stored) {
		x.DropResponse()
		h.give(x, stored, now, false)
		return nil
	}
	h.mark(x, why, stored != nil, false)
	return nil
}

// after is what those do who have waited for an answer.
func after(a *answer, now time.Time) outcome {
	if a == nil || a.left(now) <= 0 {
		return alone
	}
	return again
}

// offer asks the service whether a still holds.
func offer(h *exchange.Header, a *answer) {
	if a.etag != nil {
		h.AddBytes("If-None-Match", a.etag)
	}
	if a.dated != nil {
		h.AddBytes("If-Modified-Since", a.dated)
	}
}

// failing reports whether an old answer is better than this one.
func failing(x *exchange.Exchange, err error) bool {
	if err != nil {
		return x.Cancelled() == nil && exchange.AsError(err).Side == exchange.ByUpstream
	}
	switch x.Response.Status {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// fail tells those who wait. What is the service's failure is theirs too; any
// other may be this client's own, and somebody else asks.
func (h *handler) fail(f *flight, err error) {
	if f == nil {
		return
	}
	if e := exchange.AsError(err); e.Side == exchange.ByUpstream {
		f.err = e.With()
		f.end(failed)
		return
	}
	f.end(again)
}

// confirmed is what becomes of a 304 to a question of ours.
func (h *handler) confirmed(x *exchange.Exchange, q *request, f *flight, old *entry, purges uint64, now time.Time) error {
	r := &x.Response
	if !old.answer.same(r.Header.Get("Etag")) { // it speaks of another one: ask for the whole
		x.DropResponse()
		h.cache.storage.entries.Invalidate(string(q.key))
		return h.ask(x, q, f, nil, "stale")
	}
	h.cache.counts.confirmed.Add(1)
	a := old.answer
	var cookies []exchange.Field
	for _, f := range r.Header.Fields() {
		if exchange.EqualFold(f.Name, "set-cookie") {
			cookies = append(cookies, f)
		}
	}
	r.Header.Del("Set-Cookie") // for this client, who gets it, and for no other
	if r.Body != nil {
		r.Body.Close()
	}
	a.merge(&r.Header)
	r.Status, r.Made, r.Body = a.status, a.made, exchange.NoBody // what is judged is the answer, not how it was confirmed
	by, vary, ok := h.judge(x, q, now)
	if !ok {
		by = &answer{since: now, slot: q.slot, generation: q.generation}
		h.cache.storage.entries.Invalidate(string(q.key))
	}
	by.status, by.made = a.status, a.made
	by.keep(&r.Header, a.body, now)
	if ok {
		h.keep(x, by, vary, purges)
	}
	f.end(after(by, now))
	x.DropResponse()
	h.give(x, by, now, false)
	for _, f := range cookies {
		r.Header.AddField(f)
	}
	r.Header.SetBytes("Cache-Status", h.appendStatus(x, "stale", ok, false, 304))
	return nil
}

func varyOf(e *entry) []string {
	if e.varies == nil {
		return nil
	}
	return e.varies.names
}

// store keeps the response of x when it may be kept. Its body is then in
// memory; whole is false when it is not, and goes on from where it comes.
func (h *handler) store(x *exchange.Exchange, q *request, f *flight, purges uint64, now time.Time) (a *answer, whole bool, err error) {
	c := h.cache
	a, vary, ok := h.judge(x, q, now)
	if !ok {
		if q.whole && f != nil {
			c.storage.put(q.mark, &entry{passes: now.Add(passTime), owner: c.rules.Owner}, purges)
		}
		return nil, false, nil
	}
	body, whole, err := gather(x, c.rules.MaxBody)
	if err != nil || !whole {
		return nil, false, err
	}
	a.keep(&x.Response.Header, body, now)
	h.keep(x, a, vary, purges)
	c.counts.stored.Add(1)
	return a, true, nil
}

// passTime is how long requests for what is not kept don't wait for one another.
const passTime = 10 * time.Second

// maxVariants is how many answers of a resource are kept that differ by request fields.
const maxVariants = 64

// keep puts an answer under its key.
func (h *handler) keep(x *exchange.Exchange, a *answer, vary []string, purges uint64) {
	st := h.cache.storage
	var whole request
	h.appendKey(x, &whole)
	url := x.Request.Scheme + "://" + string(x.Request.Authority) + string(x.Request.Path)
	if x.Request.Query != nil {
		url += "?" + string(x.Request.Query)
	}
	e := &entry{answer: a, url: url, owner: h.cache.rules.Owner}
	if len(vary) == 0 || h.cache.rules.Everything {
		st.put(whole.key, e, purges)
		return
	}
	at := st.get(whole.key)
	if at == nil || at.varies == nil || at.answer != nil || !sameNames(at.varies.names, vary) {
		at = &entry{varies: &variants{names: vary}, url: url, owner: e.owner}
		st.put(whole.key, at, purges)
	}
	key := appendVariant(x, whole.key, vary)
	if st.get(key) == nil && at.varies.count.Add(1) > maxVariants {
		return // more than a resource has: somebody makes them up
	}
	e.varies = at.varies
	st.put(key, e, purges)
}

func sameNames(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// gather reads the body of a response into memory, and puts it in its place. One
// that is larger than limit, or has trailers, is not whole: it goes on as it is.
func gather(x *exchange.Exchange, limit int64) (text []byte, whole bool, err error) {
	body := x.Response.Body
	if n := body.Len(); n > 0 {
		text = make([]byte, 0, min(n, limit))
	}
	for int64(len(text)) <= limit {
		var p []byte
		p, err = body.Next()
		text = append(text, p...)
		if err == io.EOF {
			if t := body.Trailer(); t != nil && t.Len() > 0 {
				x.Response.Body = &begun{text, body, true}
				return nil, false, nil
			}
			body.Close()
			if cap(text) > len(text)+len(text)/4 {
				text = append(make([]byte, 0, len(text)), text...)
			}
			x.Response.Body = exchange.BytesBody(text)
			return text, true, nil
		}
		if err != nil {
			x.DropResponse()
			return nil, false, err
		}
	}
	x.Response.Body = &begun{text, body, false}
	return nil, false, nil
}

// begun is a body of which the beginning has been read.
type begun struct {
	text  []byte
	body  exchange.Body
	whole bool
}

func (b *begun) Next() ([]byte, error) {
	if len(b.text) > 0 {
		p := b.text
		b.text = nil
		return p, nil
	}
	if b.whole {
		return nil, io.EOF
	}
	return b.body.Next()
}

func (b *begun) Len() int64 {
	if b.whole {
		return -1 // there are trailers
	}
	n := b.body.Len()
	if n < 0 {
		return -1
	}
	return n + int64(len(b.text))
}

func (b *begun) Trailer() *exchange.Header { return b.body.Trailer() }
func (b *begun) Close() error              { b.text = nil; return b.body.Close() }
