package gateway

import (
	"sync"
	"time"

	"gopura/exchange"
)

// maxAudits is how many refusals are logged in a second. The access record has
// every one of them, with its code; the audit line adds why, and must not be a
// way to fill a disk.
const maxAudits = 100

// audits bounds the audit lines.
type audits struct {
	mu      sync.Mutex
	second  int64
	logged  int
	skipped int
}

// pass reports whether a refusal at now is logged, and how many were not since
// the last one that was.
func (a *audits) pass(now time.Time) (ok bool, skipped int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := now.Unix(); s != a.second {
		a.second, a.logged = s, 0
	}
	if a.logged == maxAudits {
		a.skipped++
		return false, 0
	}
	a.logged++
	skipped, a.skipped = a.skipped, 0
	return true, skipped
}

// refused is the audit record of a refusal: who was refused by what, and why.
// The cause names no credential.
func (g *Gateway) refused(x *exchange.Exchange, policy, part string, e *exchange.Error) {
	ok, skipped := g.audits.pass(x.Now)
	if !ok {
		return
	}
	cause := ""
	if e.Err != nil {
		cause = e.Err.Error()
	}
	g.log.Info("refused", "code", e.Code, "policy", policy, "by", part, "cause", cause,
		"client", x.Client.Addr.Addr().String(), "route", x.Route, "id", string(x.ID), "skipped", skipped)
}
