package upstream

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

const (
	grpcStatus     = "Grpc-Status"
	pushbackHeader = "Grpc-Retry-Pushback-Ms"
	attemptsHeader = "Grpc-Previous-Rpc-Attempts"
)

// isGRPC reports whether the request is a gRPC call.
func isGRPC(x *exchange.Exchange) bool {
	return exchange.IsGRPC(x.Request.Header.Get("Content-Type"))
}

// badGRPC reports whether a grpc-status is a failure of the target: UNAVAILABLE.
// INTERNAL is none, as 500 is none: it says that the target is alive, and a
// client may know a request that leads to it. DEADLINE_EXCEEDED is none: the
// deadline is the client's.
func badGRPC(status []byte) bool {
	return status != nil && exchange.ParseGRPCStatus(status) == exchange.GRPCUnavailable
}

func badTrailer(t *exchange.Header) bool { return t != nil && badGRPC(t.Get(grpcStatus)) }

// onGRPC is the least of the reasons that are gRPC codes: one bit for each.
const onGRPC retryOn = 1 << 8

// grpcRetryable are the codes after which a call may be made again.
var grpcRetryable = [...]exchange.GRPCCode{
	exchange.GRPCUnavailable, exchange.GRPCResourceExhausted, exchange.GRPCAborted, exchange.GRPCInternal,
	exchange.GRPCCancelled, exchange.GRPCDeadlineExceeded, exchange.GRPCUnknown, exchange.GRPCDataLoss,
}

// grpcRetry returns the reason that a word such as unavailable stands for.
func grpcRetry(word string) (retryOn, bool) {
	for i, c := range grpcRetryable {
		if strings.ToLower(c.String()) == word {
			return onGRPC << i, true
		}
	}
	return 0, false
}

// code reports whether a gRPC code is a reason.
func (on retryOn) code(c exchange.GRPCCode) bool {
	for rest := on / onGRPC; rest != 0; rest &= rest - 1 {
		if grpcRetryable[bits.TrailingZeros32(uint32(rest))] == c {
			return true
		}
	}
	return false
}

// trailersOnly reports whether the response is a status and nothing else, and
// that status is a reason to try again. Once response headers stand before the
// trailers the call is committed (gRFC A6): the client may have seen messages.
func (on retryOn) trailersOnly(x *exchange.Exchange) bool {
	if on < onGRPC || x.Response.Status != 200 {
		return false
	}
	status := x.Response.Header.Get(grpcStatus)
	return status != nil && on.code(exchange.ParseGRPCStatus(status))
}

// asksGRPC is asks for a call of a service that names codes. Which methods may be
// repeated gRPC leaves to the configuration; a call that got no answer at all
// counts as UNAVAILABLE, as gRPC's own clients have it.
func (on retryOn) asksGRPC(x *exchange.Exchange, err error) bool {
	if err == nil {
		return on.trailersOnly(x)
	}
	e := exchange.AsError(err)
	switch e.Code {
	case exchange.UpstreamReset.Name, exchange.UpstreamStale.Name:
		return on.code(exchange.GRPCUnavailable) || e.Retry && on&onConnect != 0
	case exchange.UpstreamTimeout.Name:
		return on.code(exchange.GRPCDeadlineExceeded) || on&onTimeout != 0 && Idempotent(&x.Request)
	}
	return e.Retry && (on&onConnect != 0 || on.code(exchange.GRPCUnavailable))
}

// maxPushback is the longest pause that a target may ask for.
const maxPushback = 10 * time.Second

// pushback returns how long the target wants a retry to wait; below zero means
// that there shall be none, and so does what can't be read (gRFC A6).
func pushback(x *exchange.Exchange, err error) (pause time.Duration, given bool) {
	if err != nil {
		return 0, false
	}
	v := x.Response.Header.Get(pushbackHeader)
	if v == nil {
		return 0, false
	}
	ms, perr := strconv.ParseInt(string(v), 10, 32)
	if pause = time.Duration(ms) * time.Millisecond; perr != nil || pause > maxPushback {
		return -1, true
	}
	return pause, true
}

// sleepFor waits, and reports false when x ends before.
func sleepFor(x *exchange.Exchange, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	if !x.Deadline.IsZero() && time.Until(x.Deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.Context().Done():
		return false
	}
}

// countAttempt tells the target how many attempts there have been, those of the
// client included.
func countAttempt(x *exchange.Exchange) {
	n, err := strconv.ParseUint(string(x.Request.Header.Get(attemptsHeader)), 10, 16)
	if err != nil {
		n = 0
	}
	x.Request.Header.SetBytes(attemptsHeader, strconv.AppendUint(x.Arena.Grow(8), n+1, 10))
}
