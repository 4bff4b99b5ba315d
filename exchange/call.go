package exchange

import "time"

// Call is what the gateway asked a service for on behalf of an exchange: one
// part of a composed answer.
type Call struct {
	Name     string // of the part
	Service  string
	Target   string        // address of the target that was tried last
	Status   int           // of its answer; 0: there was none
	Code     string        // why it failed; empty when it did not
	Requests int           // how many were made for it: none when it was not needed, or when an identical one was there
	Start    time.Duration // from the start of the exchange
	Duration time.Duration
}

// ChildOf makes c, which is new or reset, the exchange of a call that the
// gateway makes on behalf of x, as Child does, for owners that keep exchanges.
// Nothing links the two: who owns c cancels it when x is cancelled, and calls
// Done before x is done.
func (c *Exchange) ChildOf(x *Exchange, now time.Time) {
	c.Client, c.Identity, c.ID, c.Route, c.Importance = x.Client, x.Identity, x.ID, x.Route, x.Importance
	c.Start, c.Now = now, now
	c.Request.Scheme, c.Request.Authority, c.Request.Host = x.Request.Scheme, x.Request.Authority, x.Request.Host
	c.Request.Body, c.Watched = NoBody, x.Watched
	if c.Trace = x.Trace; c.Trace.ID != (TraceID{}) {
		c.Trace.open, c.Trace.attempt = 0, 0
	}
	c.Arm()
}
