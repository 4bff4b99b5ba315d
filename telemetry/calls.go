package telemetry

import (
	"strconv"
	"sync/atomic"

	"gopura/exchange"
	"gopura/lifetime"
)

// Call is the handle of a call of a composed route.
type Call struct {
	codes    *codes
	key      callKey
	outcomes []atomic.Uint64 // by class, then by code
	duration histogram
}

type callKey struct{ route, call string }

// Call returns the handle of a call of a route, held by s.
func (m *Metrics) Call(s *lifetime.Scope, route, call string) *Call {
	key := callKey{label(route), label(call)}
	return m.calls.hold(s, key, func() *Call {
		return &Call{codes: m.codes, key: key, outcomes: newOutcomes(m.codes)}
	})
}

// Observe counts a call that has ended. One that was not made is not counted.
// It allocates nothing.
func (c *Call) Observe(call *exchange.Call) {
	switch {
	case call.Code != "":
		c.outcomes[classes+c.codes.index(call.Code)].Add(1)
	case call.Requests == 0:
		return
	default:
		c.outcomes[classOf(call.Status)].Add(1)
	}
	c.duration.observe(call.Duration)
}

func (c *Call) collect(out samples) {
	for i := range c.outcomes {
		n := c.outcomes[i].Load()
		switch {
		case i >= classes && n > 0:
			out.counter(callsTotal, float64(n), c.key.route, c.key.call, c.codes.list[i-classes].Name)
		case i < classes && (n > 0 || i == 2):
			out.counter(callsTotal, float64(n), c.key.route, c.key.call, classNames[i])
		}
	}
	out.histogram(callSeconds, &c.duration, c.key.route, c.key.call)
}

// maxCalls is how many calls a record shows, maxCallName how much of a word of one.
const (
	maxCalls    = 64
	maxCallName = 64
)

// appendCalls appends the calls of a composed answer as a member of a record.
func appendCalls(b []byte, calls []exchange.Call) []byte {
	b = append(b, `,"calls":[`...)
	for i := range calls[:min(len(calls), maxCalls)] {
		c := &calls[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":"`...)
		b = appendEscaped(b, c.Name, maxCallName)
		b = append(b, `","service":"`...)
		b = appendEscaped(b, c.Service, maxCallName)
		b = append(b, `","target":"`...)
		b = appendEscaped(b, c.Target, maxCallName)
		b = append(b, `","status":`...)
		b = strconv.AppendInt(b, int64(c.Status), 10)
		b = append(b, `,"code":"`...)
		b = appendEscaped(b, c.Code, maxCallName)
		b = append(b, `","requests":`...)
		b = strconv.AppendInt(b, int64(c.Requests), 10)
		b = append(b, `,"start_ms":`...)
		b = appendMillis(b, c.Start)
		b = append(b, `,"duration_ms":`...)
		b = appendMillis(b, c.Duration)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendCallWords appends them to a text line: calls=user:200:1.204,orders:part_timeout:300.112
func appendCallWords(b []byte, calls []exchange.Call) []byte {
	b = append(b, " calls="...)
	for i := range calls[:min(len(calls), maxCalls)] {
		c := &calls[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendEscapedText(b, c.Name, maxCallName), ':')
		if c.Code != "" {
			b = appendEscapedText(b, c.Code, maxCallName)
		} else {
			b = strconv.AppendInt(b, int64(c.Status), 10)
		}
		b = appendMillis(append(b, ':'), c.Duration)
	}
	return b
}
