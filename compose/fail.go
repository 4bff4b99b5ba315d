package compose

import (
	"errors"
	"fmt"
	"time"

	"gopura/exchange"
)

// failure is the error of an answer that failed with a call: which part, and
// how. Why in detail is for records.
func (r *run) failure(i int) *exchange.Error {
	k, c := r.plan.calls[i], &r.cells[i]
	if e := k.askedInVain(c.err); e != nil {
		return e
	}
	code := kindOf(c.err)
	var e *exchange.Error
	switch code {
	case nil: // a refusal of the gateway's own, which the client can act upon
		e = c.err.With()
	default:
		e = code.Because(fmt.Errorf("%s: %w", k.name, c.err))
		e.Detail = sentenceOf(k.name, code, &c.result)
		if c.unsure && k.undo != nil && !k.undoBlind {
			e.Detail += " Whether it has changed anything is not known."
		}
	}
	e.Part = k.name
	return e
}

// kindOf says which code stands for a failed call. Nil: the error is to be
// passed on as it is.
func kindOf(e *exchange.Error) *exchange.Code {
	switch e.Code {
	case exchange.PartFailed.Name, exchange.PartCancelled.Name:
		return exchange.PartFailed
	case exchange.PartTimeout.Name:
		return exchange.PartTimeout
	case exchange.PartInvalid.Name:
		return exchange.PartInvalid
	case exchange.PartInput.Name:
		return exchange.PartInput
	case exchange.RateLimited.Name, exchange.QuotaExceeded.Name, exchange.ConcurrencyLimited.Name, exchange.Overloaded.Name,
		exchange.LimitUnavailable.Name, exchange.Draining.Name, exchange.Internal.Name:
		return nil
	}
	if e.Status == 504 {
		return exchange.PartTimeout
	}
	return exchange.PartFailed
}

func sentenceOf(name string, code *exchange.Code, c *result) string {
	switch {
	case code == exchange.PartTimeout:
		return fmt.Sprintf("The part %q did not come in time.", name)
	case code == exchange.PartInvalid:
		return fmt.Sprintf("The part %q came in a form that is not valid or not allowed.", name)
	case code == exchange.PartInput:
		return fmt.Sprintf("The part %q could not be asked for, because what to ask with is missing.", name)
	case c.status != 0:
		return fmt.Sprintf("The part %q failed: its service answered with status %d.", name, c.status)
	}
	return fmt.Sprintf("The part %q failed: %s.", name, c.err.Code)
}

// cancelled is the error of an exchange that was ended early.
func cancelled(cause error) *exchange.Error {
	var e *exchange.Error
	if errors.As(cause, &e) {
		return e
	}
	return exchange.ClientGone.Because(cause)
}

// undoAll makes the calls that undo what was done, the latest first. They are
// made to their end, also for a client that has left.
func (r *run) undoAll(e *exchange.Error) *exchange.Error {
	failed := ""
	for n := len(r.undo) - 1; n >= 0; n-- {
		i := r.undo[n]
		if err := r.undoOne(r.plan.calls[i]); err != nil && failed == "" {
			failed = r.plan.calls[i].name
			e2 := exchange.UndoFailed.Because(fmt.Errorf("%s: %w; the answer failed with %w", failed, err, e))
			e2.Part, e2.Detail = failed, fmt.Sprintf("The answer failed (%s), and the part %q could not be undone.", e.Code, failed)
			e = e2
		}
	}
	r.undo = r.undo[:0]
	return e
}

// errUnread: a default in the place of the result must not say what is undone.
var errUnread error = exchange.PartInput.Errorf("what to undo stands in an answer that could not be read")

func (r *run) undoOne(k *call) error {
	now := time.Now()
	ch := r.open(k, now)
	defer ch.shut()
	call := exchange.Call{Name: k.name + ".compensate", Service: k.undo.service, Requests: 1, Start: now.Sub(r.x.Start)}
	span := r.x.BeginSpan(exchange.SpanCall, call.Name, k.undo.service)
	if span != 0 {
		ch.x.Trace.Span = r.x.SpanOf(span)
	}
	var err error = errUnread
	if k.undoBlind || r.cells[k.index].err == nil {
		err = r.build(ch, k.undo, k.name, "undo", r.vals)
	}
	if err == nil {
		ch.x.Deadline = now.Add(k.undo.timeout)
		err = k.undo.handler.Serve(&ch.x)
	}
	if err == nil {
		call.Status = ch.x.Response.Status
		// What is not there any more needs no undoing.
		if s := call.Status; s < 200 || s > 299 && s != 404 && s != 410 {
			err = exchange.PartFailed.Errorf("the service answered with status %d", s)
		}
	}
	if err != nil {
		call.Code = exchange.AsError(err).Code
	}
	if span != 0 {
		ch.x.EndAttempt(time.Now(), err)
		r.x.EndSpan(span, err, 0)
	}
	call.Target, call.Duration = ch.x.Target, time.Since(now)
	r.x.Calls = append(r.x.Calls, call)
	return err
}
