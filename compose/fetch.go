package compose

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/rawjson"
)

// result is what became of a call, or of one element of for_each.
type result struct {
	value    rawjson.Value
	raw      rawjson.Value   // before it was shaped
	err      *exchange.Error // it failed
	skipped  bool            // it was not to be made
	passing  bool            // the client gets this answer as it is
	done     bool            // the service says that it has done it, though the answer is of no use
	unsure   bool            // whether the service has done it, nobody knows
	status   int
	requests int
	target   string // address of the target that answered or was tried last
	verbatim []byte // the body of an answer that is passed on, …
	kind     string // … its Content-Type
	retry    string // its Retry-After
	start    time.Duration
	took     time.Duration
	leads    *int // the twin whose result is to be taken
}

// call is the record of it.
func (c *result) call(k *call) exchange.Call {
	out := exchange.Call{Name: k.name, Service: k.ask.service, Target: c.target, Status: c.status,
		Requests: c.requests, Start: c.start, Duration: c.took}
	if c.err != nil {
		out.Code = c.err.Code
	}
	return out
}

// child is the exchange of a call.
type child struct {
	x    exchange.Exchange
	call *call
	at   int // in run.flying
}

var children = sync.Pool{New: func() any { return new(child) }}

// open returns the exchange of a request of k.
func (r *run) open(k *call, now time.Time) *child {
	ch := children.Get().(*child)
	ch.call = k
	ch.x.ChildOf(r.x, now)
	return ch
}

// shut ends it, which sets its connection free.
func (ch *child) shut() {
	ch.x.Done()
	ch.x.Reset()
	ch.call = nil
	children.Put(ch)
}

// fetch makes a call, or finds the one that is identical to it.
func (r *run) fetch(k *call, c *cell, now time.Time) {
	ch := r.open(k, now)
	defer ch.shut()
	if err := r.build(ch, &k.ask, k.name, "", r.vals); err != nil {
		r.lacks(k, &c.result, err)
		return
	}
	if k.twin && r.twin(k, c, ch) {
		return
	}
	ch.x.Deadline = r.deadline(k, now)
	r.send(k, &c.result, &c.memory, ch)
}

// twin looks for a call that has asked for the same. k's outcome is then its.
func (r *run) twin(k *call, c *cell, ch *child) bool {
	c.key = appendKey(c.key[:0], &ch.x.Request)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.cells {
		o := r.plan.calls[i]
		if l := &r.cells[i]; o != k && o.twin && o.class == k.class && l.asked && bytes.Equal(l.key, c.key) {
			c.leads = &o.index
			return true
		}
	}
	c.asked = true
	return false
}

// appendKey appends what makes a request the same as another one.
func appendKey(dst []byte, q *exchange.Request) []byte {
	dst = append(append(append(dst, q.Path...), '?'), q.Query...)
	for _, f := range q.Header.Fields() {
		dst = append(append(append(append(dst, '\n'), f.Name...), ':'), f.Value...)
	}
	return dst
}

// build writes the request of a call. What is wrong is what its parts lack.
func (r *run) build(ch *child, q *request, name, element string, vars expr.Vars) error {
	x, to := r.x, &ch.x.Request
	to.Method = q.method
	if q.rpc != "" {
		to.Path = []byte(q.rpc)
	} else {
		target, err := q.target.AppendWith(ch.x.Arena.Grow(256), x, vars)
		if err != nil {
			return err
		}
		to.Path = target
		if i := bytes.IndexByte(target, '?'); i >= 0 {
			to.Path, to.Query = target[:i:i], target[i+1:]
		}
		if exchange.DottedPath(to.Path) {
			return errDotted
		}
	}
	h := &to.Header
	if len(x.ID) > 0 {
		h.AddBytes("X-Request-Id", x.ID)
	}
	for _, f := range x.Request.Header.Fields() {
		if len(f.Name) >= 10 && f.Name[0]|0x20 == 't' && (exchange.EqualFold(f.Name, "traceparent") || exchange.EqualFold(f.Name, "tracestate")) {
			h.AddField(f)
		}
	}
	for _, name := range q.forward {
		for v := range x.Request.Header.Values(name) {
			h.AddBytes(name, v)
		}
	}
	for i := range q.headers {
		v, err := q.headers[i].value.AppendWith(ch.x.Arena.Grow(128), x, vars)
		if err != nil {
			return err
		}
		h.AddBytes(q.headers[i].name, v)
	}
	if q.accept != "" {
		h.Add("Accept", q.accept)
	}
	if q.derive {
		deriveKey(&ch.x, x, name, element)
	}
	if q.body == nil {
		return nil
	}
	body, err := q.body.JSON(nil, x, vars)
	if err != nil {
		return err
	}
	h.Add("Content-Type", "application/json")
	to.Body = exchange.BytesBody(body)
	return nil
}

var errDotted = errors.New("a value would make a segment of dots of the path, which names another resource")

// deriveKey passes a client's Idempotency-Key on. Each call gets one of its
// own, always the same: to a service that gets two of them, they are different
// requests.
func deriveKey(to, x *exchange.Exchange, name, element string) {
	key := x.Request.Header.Get("Idempotency-Key")
	if len(key) == 0 {
		return
	}
	b := append(append(append(to.Arena.Grow(len(key)+len(name)+len(element)+2), key...), '-'), name...)
	if element != "" {
		b = append(append(b, '-'), element...)
	}
	to.Request.Header.AddBytes("Idempotency-Key", b)
}

// deadline divides the time that is left: a call has its own timeout, and of
// what the whole has left all but a tenth for each step that waits for it, and
// a twentieth for the answer.
func (r *run) deadline(k *call, now time.Time) time.Time {
	by := time.Time{}
	if k.ask.timeout > 0 {
		by = now.Add(k.ask.timeout)
	}
	if whole := r.x.Deadline; !whole.IsZero() {
		left := whole.Sub(now)
		steps := time.Duration(min(k.tail, 5))
		left -= left/10*steps + left/20
		if end := now.Add(left); by.IsZero() || end.Before(by) {
			by = end
		}
	}
	return by
}

// send sends a request and reads the result into memory.
func (r *run) send(k *call, c *result, m *memory, ch *child) {
	if !r.enter(ch) {
		c.err = exchange.PartCancelled.Because(nil)
		return
	}
	left := false
	defer func() {
		if !left { // a panic: who cancels must not meet an exchange that is done
			r.leave(ch)
		}
	}()
	c.requests++
	span := r.x.BeginSpan(exchange.SpanCall, k.name, k.ask.service)
	if span != 0 {
		ch.x.Trace.Span = r.x.SpanOf(span)
	}
	err := k.ask.handler.Serve(&ch.x)
	answered := err == nil
	if answered {
		err = k.receive(c, m, &ch.x)
	}
	if span != 0 {
		ch.x.EndAttempt(time.Now(), err)
		r.x.EndSpan(span, err, 0)
	}
	c.target, c.status = ch.x.Target, ch.x.Response.Status
	r.leave(ch)
	left = true
	if err != nil {
		c.passing = false // what has not come whole is not passed on
		c.err = exchange.AsError(err)
		if cause := ch.x.Cancelled(); cause == errGivenUp {
			c.err = exchange.PartCancelled.Because(nil)
		}
		c.blur(k.conf, &ch.x, answered)
		return
	}
	c.raw, c.done = c.value, true
	if !c.passing {
		r.reshape(k, c, m)
	}
}

// blur notes what a failed call may have done. A service that answers with a
// status that is not accepted has refused; one that can't be reached, and a
// refusal of the gateway, did nothing. No answer, and 502 and 504, which say that
// somebody further on gave none, leave it open.
func (c *result) blur(conf *config.Call, x *exchange.Exchange, answered bool) {
	switch {
	case !answered:
		c.unsure = x.Reached
	case within(conf.Accept, c.status):
		c.done = true
	default:
		c.unsure = c.status == 502 || c.status == 504
	}
}

// receive reads an answer.
func (k *call) receive(c *result, m *memory, x *exchange.Exchange) error {
	a, conf := &x.Response, k.conf
	switch {
	case a.Tunnel != nil:
		return exchange.PartInvalid.Errorf("the service answered with an upgrade")
	case within(conf.Absent, a.Status):
		return nil
	case within(conf.Pass, a.Status):
		c.passing = true
		c.kind, c.retry = string(a.Header.Get("Content-Type")), string(a.Header.Get("Retry-After"))
	case !within(conf.Accept, a.Status):
		return exchange.PartFailed.Errorf("the service answered with status %d", a.Status)
	}
	if a.Body == nil || a.Body.Len() == 0 {
		return nil
	}
	var err error
	if m.body, err = readInto(m.body[:0], a.Body, int64(conf.MaxSize)); err != nil {
		return err
	}
	text := m.body
	if enc := a.Header.Get("Content-Encoding"); len(enc) > 0 {
		if m.decoded, err = rawjson.Decompress(m.decoded[:0], string(enc), m.body, int(conf.MaxSize)); err != nil {
			return exchange.PartInvalid.Because(err)
		}
		text = m.decoded
	}
	if c.passing || len(text) == 0 {
		c.verbatim = text
		return nil
	}
	v, err := k.decode(a, text)
	if err != nil {
		return exchange.PartInvalid.Because(err)
	}
	c.value = v
	return nil
}

// decode makes a value of a body.
func (k *call) decode(a *exchange.Response, text []byte) (rawjson.Value, error) {
	kind := a.Header.Get("Content-Type")
	switch k.conf.As {
	case "json":
		return rawjson.Parse(text, k.limits)
	case "auto":
		if len(kind) == 0 || exchange.EqualFold(kind, "application/json") {
			return rawjson.Parse(text, k.limits)
		}
	default:
		kind = []byte(acceptOf(k.conf.As))
	}
	return rawjson.Decode(nil, string(kind), text, k.limits)
}

// reshape gives a result the shape that the call asks for.
func (r *run) reshape(k *call, c *result, m *memory) {
	if k.shape == nil || c.value.Bytes() == nil {
		return
	}
	shaped, err := k.shape.Append(m.shaped[:0], c.value)
	if err != nil {
		c.err = exchange.PartInvalid.Because(err)
		return
	}
	m.shaped, c.value = shaped, rawjson.Checked(shaped)
}

// readInto appends a body, at most limit bytes.
func readInto(dst []byte, b exchange.Body, limit int64) ([]byte, error) {
	n := b.Len()
	if n > limit {
		return dst, tooLarge(limit)
	}
	if n > int64(cap(dst)) {
		dst = make([]byte, 0, min(n, 4*exchange.BufferSize)) // what is announced need not come
	}
	for {
		p, err := b.Next()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		if int64(len(dst)+len(p)) > limit {
			return dst, tooLarge(limit)
		}
		dst = append(dst, p...)
	}
}

func tooLarge(limit int64) error {
	return exchange.PartInvalid.Errorf("the body is larger than %s bytes", strconv.FormatInt(limit, 10))
}

func within(spans []config.StatusSpan, status int) bool {
	for _, s := range spans {
		if s.From <= status && status <= s.To {
			return true
		}
	}
	return false
}
