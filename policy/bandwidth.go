package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

const bandwidthDoc = "Slows bodies down to so many bytes a second, `download: 1MB/s`, towards the client, towards the service, or both: for each exchange by itself, " +
	"for all of a connection together, or by a key. Nothing is refused: whoever sends feels it as a slow reader. " +
	"The exchange still has to end within the timeout of its route, if it has one. Each replica counts for itself."

// Bandwidth is the settings of bandwidth.
type Bandwidth struct {
	Pos         config.Pos  `yaml:"-"`
	Download    Flow        `yaml:"download" short:"true" doc:"How fast a response body goes to the client: 1MB/s, 64KiB/s per connection, 10MB/s per client.ip."`
	DownloadPos config.Pos  `yaml:"-"`
	Upload      Flow        `yaml:"upload" doc:"How fast a request body goes to the service."`
	UploadPos   config.Pos  `yaml:"-"`
	Burst       config.Size `yaml:"burst" min:"0" max:"1GiB" doc:"How many bytes may go at once after a pause; 0: as many as come in a tenth of a second."`
	After       config.Size `yaml:"after" min:"0" doc:"How many bytes of each body pass before it is slowed down."`
}

// Flow is how many bytes a second, and what is counted together: "1MB/s",
// "64KiB/s per connection", "10MB/s per client.ip".
type Flow struct {
	Rate int64
	Key  string // an expression, or connection; empty: each exchange for itself
}

const errFlow = config.Form("bytes a second (1MB/s, 64KiB/s per connection, 10MB/s per client.ip)")

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Flow) UnmarshalText(text []byte) error {
	rate, key, keyed := strings.Cut(string(text), " ")
	size, second := strings.CutSuffix(rate, "/s")
	n, err := config.ParseSize(size)
	if err != nil || !second || n < 1 || n > maxFlow {
		return errFlow
	}
	if keyed {
		if key, keyed = strings.CutPrefix(strings.TrimSpace(key), "per "); !keyed {
			return errFlow
		}
	}
	f.Rate, f.Key = int64(n), strings.TrimSpace(key)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (f Flow) MarshalText() ([]byte, error) {
	switch {
	case f.Rate == 0:
		return nil, nil
	case f.Key == "":
		return []byte(config.Size(f.Rate).String() + "/s"), nil
	}
	return []byte(config.Size(f.Rate).String() + "/s per " + f.Key), nil
}

const (
	maxFlow  = 1 << 40 // bytes a second
	maxBurst = 1 << 30 // bytes: a span of time is counted in nanoseconds
)

// Compile implements Spec.
func (s *Bandwidth) Compile(env *Env) (exchange.Middleware, error) {
	if s.Download.Rate == 0 && s.Upload.Rate == 0 {
		return nil, &Fault{Pos: s.Pos, Err: fmt.Errorf("say how fast: download, upload or both")}
	}
	down, err1 := s.pace(env, "download", s.Download, s.DownloadPos)
	up, err2 := s.pace(env, "upload", s.Upload, s.UploadPos)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return func(next exchange.Handler) exchange.Handler { return &slowed{next, down, up} }, nil
}

func (s *Bandwidth) pace(env *Env, way string, f Flow, pos config.Pos) (*pace, error) {
	if f.Rate == 0 {
		return nil, nil
	}
	if pos == (config.Pos{}) {
		pos = s.Pos
	}
	burst := int64(s.Burst)
	if burst == 0 {
		burst = min(f.Rate/10, maxBurst)
	}
	p := newPace(f.Rate, burst, int64(s.After))
	switch f.Key {
	case "":
		return p, nil
	case "connection":
		p.connection = true
	default:
		k, err := compileKey(env, []string{f.Key}, pos)
		if err != nil {
			var fault *Fault
			if errors.As(err, &fault) {
				fault.Path = way
			}
			return nil, err
		}
		p.key = k
	}
	var err error
	p.flows, err = openFlows(env, "bandwidth "+way+" "+env.Route)
	return p, err
}

// openFlows returns the flows of a name, those of the configuration before if
// there were any.
func openFlows(env *Env, name string) (*flows, error) {
	open := func() (*flows, func(), error) { return newFlows(), func() {}, nil }
	if env.Pool == nil {
		f, _, err := open()
		return f, err
	}
	return lifetime.Hold(env.Pool, env.Scope, name, open)
}

// slowed is a handler whose bodies have a pace.
type slowed struct {
	next     exchange.Handler
	down, up *pace // nil: as fast as it goes
}

// Serve implements exchange.Handler.
func (s *slowed) Serve(x *exchange.Exchange) error {
	x.Arm() // a pump may ask for the context of x from a goroutine of its own
	if s.up != nil && x.Request.Body.Len() != 0 {
		x.Request.Body = s.up.body(x, x.Request.Body)
	}
	if err := s.next.Serve(x); err != nil {
		return err
	}
	r := &x.Response
	if r.Tunnel != nil {
		r.Tunnel = newSlowTunnel(x, r.Tunnel, s.down, s.up)
		return nil
	}
	if s.down != nil && r.Body != nil && r.Body.Len() != 0 {
		r.Body = s.down.body(x, r.Body)
	}
	return nil
}

// flowOf returns the flow that x takes part in, until it is done.
func (p *pace) flowOf(x *exchange.Exchange) *flow {
	if p.flows == nil {
		return newFlow()
	}
	k := x.Arena.Grow(64)
	if !p.connection {
		k = p.key.append(k, x)
	} else if k = appendConnection(k, x.Client); len(k) == 0 {
		return newFlow() // it can't be told from others
	}
	f := p.flows.enter(k)
	x.OnDone(func(*exchange.Exchange) { p.flows.leave(f) })
	return f
}

// appendConnection appends what tells a connection from all others that are open.
func appendConnection(dst []byte, c *exchange.Client) []byte {
	if !c.Peer.IsValid() {
		return dst
	}
	a := c.Peer.Addr().As16()
	dst = append(append(append(dst, c.Listener...), 0), a[:]...)
	return binary.BigEndian.AppendUint16(dst, c.Peer.Port())
}
