package compose

import (
	"errors"
	"fmt"

	"gopura/exchange"
	"gopura/rawjson"
)

// maxRequest is how much of a client's body expressions may be given.
const maxRequest = 1 << 20

// Serve implements exchange.Handler.
func (p *Plan) Serve(x *exchange.Exchange) error {
	r := p.begin(x)
	if p.readBody {
		if err := r.readRequest(); err != nil {
			return err
		}
	}
	if p.answer.stream && x.Request.Method != "HEAD" {
		if f := formatOf(&x.Request.Header); f != nil {
			return r.serveStream(f)
		}
	}
	if cause := x.Interruptible(r); cause != nil {
		return cancelled(cause)
	}
	r.drive()
	x.Release()
	e := r.outcome()
	r.record()
	switch {
	case e != nil:
		return r.undoAll(e)
	case r.passed >= 0:
		if e := r.undoAll(exchange.PartFailed.Because(nil)); e.Code == exchange.UndoFailed.Name {
			return e
		}
		return r.passOn()
	}
	if err := r.respond(); err != nil {
		return r.undoAll(exchange.AsError(err))
	}
	return nil
}

// readRequest reads the client's body as JSON, for expressions.
func (r *run) readRequest() error {
	x := r.x
	if x.Request.Body.Len() == 0 {
		return nil
	}
	var err error
	if r.request, err = readInto(r.request[:0], x.Request.Body, maxRequest); err != nil {
		if exchange.PartInvalid.Is(err) {
			return exchange.ErrBodyTooLarge
		}
		return err
	}
	if len(r.request) == 0 {
		return nil
	}
	text := r.request
	if enc := x.Request.Header.Get("Content-Encoding"); len(enc) > 0 {
		if text, err = rawjson.Decompress(nil, string(enc), text, maxRequest); err != nil {
			return exchange.MediaTypeUnsupported.Because(err)
		}
	}
	kind := string(x.Request.Header.Get("Content-Type"))
	if !r.plan.anyBody && !rawjson.IsJSON(kind) {
		return exchange.MediaTypeUnsupported.Saying("The body must be JSON.")
	}
	v, err := rawjson.Decode(nil, kind, text, rawjson.Limits{Bytes: maxRequest, Depth: 64})
	if err != nil {
		e := exchange.RequestInvalid.Because(err)
		e.Flaws = []exchange.Flaw{{Pointer: "#", Detail: err.Error()}}
		if errors.Is(err, rawjson.ErrMediaType) || errors.Is(err, rawjson.ErrCharset) {
			e = exchange.MediaTypeUnsupported.Because(err)
		}
		return e
	}
	r.vals[r.plan.bodyVar()] = v
	return nil
}

// outcome is the error that the calls have ended with. Nil: there is an answer.
func (r *run) outcome() *exchange.Error {
	if cause := r.x.Cancelled(); cause != nil {
		return cancelled(cause)
	}
	switch {
	case r.passed >= 0:
		return nil
	case r.failed >= 0:
		return r.failure(r.failed)
	case r.left > 0: // interrupted between two looks
		return exchange.ClientGone.Because(nil)
	}
	if r.plan.answer.refuse {
		for i := range r.cells {
			if r.cells[i].err != nil {
				return r.failure(i)
			}
		}
	}
	return nil
}

// record tells the exchange what was asked for it.
func (r *run) record() {
	for i, k := range r.plan.calls {
		c := &r.cells[i]
		call := c.call(k)
		if !c.ended {
			call.Code, call.Start = exchange.PartCancelled.Name, 0
		}
		r.x.Calls = append(r.x.Calls, call)
	}
}

// passOn answers with what a service said.
func (r *run) passOn() error {
	c, a := &r.cells[r.passed], &r.x.Response
	a.Status = c.status
	if c.kind != "" {
		a.Header.Add("Content-Type", c.kind)
	}
	if c.retry != "" {
		a.Header.Add("Retry-After", c.retry)
	}
	r.piece(c.verbatim)
	a.Body = (*pieces)(r)
	return nil
}

// partial returns the calls in whose place something else stands.
func (r *run) partial() (list []int) {
	for i := range r.cells {
		if e := r.cells[i].err; e != nil && e.Code != exchange.PartCancelled.Name {
			list = append(list, i)
		}
	}
	return list
}

// partialHeader is on answers in which something optional is missing: the
// parts, each with the code of its failure.
const partialHeader = "Gopura-Partial"

func (r *run) markPartial() bool {
	list := r.partial()
	if len(list) == 0 {
		return false
	}
	b := r.x.Arena.Grow(64)
	for n, i := range list {
		if n > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, r.plan.calls[i].name...), '='), r.cells[i].err.Code...)
	}
	r.x.Response.Header.AddBytes(partialHeader, b)
	r.x.Response.Header.Add("Cache-Control", "no-store")
	return true
}

// incomplete is the error of an answer that can't be made of its parts.
func incomplete(what string, err error) error {
	return exchange.ComposeFailed.Because(fmt.Errorf("%s: %w", what, err))
}
