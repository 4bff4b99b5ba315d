package upstream

import (
	"errors"
	"fmt"
	"time"

	"gopura/exchange"
)

// RetryHeader, with the value "no", is set on an answer that stands for
// failures which this gateway was ready to retry: a gateway in front must not
// multiply the attempts. It is also obeyed when a target sends it.
const RetryHeader = "Gopura-Retry"

// maxStale is how many times one exchange may meet a kept connection that
// the target had closed already. Such an attempt has cost the target nothing,
// so it counts neither as an attempt nor in the budget.
const maxStale = 2

// retryOn is a set of reasons to send a request again. The upper half holds the
// gRPC codes: see grpcRetry.
type retryOn uint32

const (
	onConnect retryOn = 1 << iota // nothing was sent: safe for every method
	onReset
	onTimeout
	on502
	on503
	on504
)

func parseRetryOn(words []string) (on retryOn, err error) {
	for _, w := range words {
		switch w {
		case "connect":
			on |= onConnect
		case "reset":
			on |= onReset
		case "timeout":
			on |= onTimeout
		case "502":
			on |= on502
		case "503":
			on |= on503
		case "504":
			on |= on504
		default:
			code, ok := grpcRetry(w)
			if !ok {
				return 0, fmt.Errorf("retries on %q: want connect, reset, timeout, 502, 503, 504 or a gRPC code such as unavailable", w)
			}
			on |= code
		}
	}
	return on, nil
}

// Idempotent reports whether a request may reach a target twice: its method
// says so (RFC 9110 §9.2.2), or its client has given it a key. An upgrade is
// the beginning of a conversation, and never is.
func Idempotent(r *exchange.Request) bool {
	if r.Upgrade != nil {
		return false
	}
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return len(r.Header.Get("Idempotency-Key")) > 0
}

// status reports whether an answer of that status is a reason.
func (on retryOn) status(status int) bool {
	switch status {
	case 502:
		return on&on502 != 0
	case 503:
		return on&on503 != 0
	case 504:
		return on&on504 != 0
	}
	return false
}

// asks reports whether the outcome of an attempt is a reason to try again,
// and a safe one.
func (on retryOn) asks(x *exchange.Exchange, err error) bool {
	if on >= onGRPC && isGRPC(x) {
		return on.asksGRPC(x, err)
	}
	if err == nil {
		return on.status(x.Response.Status) && Idempotent(&x.Request) && !x.Response.Header.Has(RetryHeader)
	}
	var e *exchange.Error
	if !errors.As(err, &e) {
		return false
	}
	switch {
	case e.Retry:
		return on&onConnect != 0
	case e.Code == exchange.UpstreamReset.Name:
		return on&onReset != 0 && Idempotent(&x.Request)
	case e.Code == exchange.UpstreamTimeout.Name:
		return on&onTimeout != 0 && Idempotent(&x.Request)
	}
	return false
}

// attempt is one try: a target, what to tell it, and how it went.
type attempt struct {
	target *Target
	done   Done
	err    error
}

// send makes one attempt.
func (s *Service) send(x *exchange.Exchange, t *Target, done Done) (err error) {
	x.Target = t.Address
	x.Attempts++
	x.Upload = 0
	begin := time.Now()
	x.BeginAttempt(begin, t.scheme)
	returned := false
	defer func() {
		if !returned { // a panic passes through, but the target is free again
			done(x, errPanic)
		}
	}()
	err = t.transport.Serve(x)
	x.Reached = x.Reached || err == nil || !exchange.AsError(err).Retry
	x.Upstream = time.Since(begin)
	x.HeadAttempt(begin.Add(x.Upstream), err)
	returned = true
	return err
}

var errPanic = errors.New("the transport panicked")

// again decides about an attempt that may not be the last, and makes more.
func (s *Service) again(x *exchange.Exchange, a attempt, body *recorder) error {
	var tried []*Target
	for extra, stale := 0, 0; ; {
		free := stale < maxStale && staleAndSafe(x, a.err)
		pause, pushed := pushback(x, a.err)
		if !free && (extra >= s.set.Retries.Attempts || !s.retryOn.asks(x, a.err)) {
			break
		}
		sending := a.err == nil // a transport that has failed has stopped sending
		if over(x) || pushed && pause < 0 || !body.canRewind(sending) {
			break
		}
		if free {
			stale++
		} else {
			if !s.budget.take(s.now()) {
				s.denied.Add(1)
				break
			}
			extra++
			tried = append(tried, a.target)
		}
		if pushed && !sleepFor(x, pause) {
			break
		}
		t, done, err := s.pick(x, tried...)
		if err != nil {
			break
		}
		if !body.rewind(x, sending) {
			done(x, errUnused)
			break
		}
		if sending {
			a.err = errDiscarded
		}
		a.done(x, a.err)
		x.DropResponse()
		s.retries.Add(1)
		if isGRPC(x) && !free {
			countAttempt(x)
		}
		a = attempt{target: t, done: done}
		a.err = s.send(x, t, done)
	}
	body.stop()
	if a.err == nil && s.set.Retries.Attempts > 0 {
		switch {
		case s.retryOn.status(x.Response.Status):
			x.Response.Header.Set(RetryHeader, "no")
		case s.retryOn.trailersOnly(x):
			x.Response.Header.Set(pushbackHeader, "-1")
		}
	}
	a.done(x, a.err)
	return a.err
}

// staleAndSafe reports whether the attempt met a kept connection that the
// target had closed, and may be repeated: nothing was sent, or it may arrive
// twice.
func staleAndSafe(x *exchange.Exchange, err error) bool {
	var e *exchange.Error
	return errors.As(err, &e) && e.Code == exchange.UpstreamStale.Name && (e.Retry || Idempotent(&x.Request))
}

// over reports whether there is nobody, or no time, to try again for.
func over(x *exchange.Exchange) bool {
	return x.Cancelled() != nil || !x.Deadline.IsZero() && !time.Now().Before(x.Deadline)
}
