package h2

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// pump sends the part of a request body that was not at hand when the request
// began, on a goroutine of its own, so that the response can be read meanwhile.
// It ends before the exchange is done.
type pump struct {
	running  bool // the owner's: it was started, and not waited for
	body     exchange.Body
	rest     []byte        // a piece that the windows had no room for
	finished chan struct{} // has room for one
	begun    time.Time     // with a monotonic clock, which does not jump
	sent     atomic.Int64  // nanoseconds from then until it ended; 0: it runs
	moved    atomic.Int64  // pieces
}

// pumpGrace is how long a request body may stand still after the response has
// ended.
const pumpGrace = time.Second

func (p *pump) start(k *call, rest []byte) {
	if p.finished == nil {
		p.finished = make(chan struct{}, 1)
	}
	p.running, p.body, p.rest = true, k.x.Request.Body, rest
	p.begun = time.Now()
	p.sent.Store(0)
	go p.run(k)
}

// ended tells when the whole body was out, and whether it still is not.
func (p *pump) ended() (at time.Time, sending bool) {
	if !p.running {
		return at, false
	}
	n := p.sent.Load()
	if n == 0 {
		return at, true
	}
	return p.begun.Add(time.Duration(n)), false
}

// uploaded is how long of the wait for the answer the request body was on its
// way. One that still is, was so all the time when the wait was in vain; an answer
// that comes before its end has waited for the target alone.
func (k *call) uploaded(start time.Time, waited time.Duration, err error) time.Duration {
	at, sending := k.pump.ended()
	switch {
	case sending && err != nil:
		return waited
	case at.IsZero():
		return 0
	}
	return min(at.Sub(start), waited)
}

func (p *pump) run(k *call) {
	err := p.send(k)
	p.sent.Store(max(int64(time.Since(p.begun)), 1))
	if err != nil {
		k.in.fail(err)
	}
	k.in.signal() // the wait for the answer begins now
	p.finished <- struct{}{}
}

// send sends the body to its end. A failure that the stream knows of already
// makes no difference.
func (p *pump) send(k *call) (err error) {
	defer func() {
		if v := recover(); v != nil { // nobody else would make an error of it
			err = exchange.Internal.Errorf("panic while the request body was sent: %v\n%s", v, debug.Stack())
		}
	}()
	timeout := k.t.c.ResponseTimeout
	if k.grpc {
		timeout = 0 // a stream may stand still for as long as both want
	}
	ready, _ := p.body.(exchange.Ready)
	piece := p.rest
	for {
		if len(piece) > 0 {
			if piece, err = k.out.push(piece); err == nil && len(piece) > 0 {
				err = k.out.send(piece, timeout)
			} else if err == nil && (ready == nil || !ready.Ready()) {
				k.c.flush()
			}
			if err != nil {
				return err
			}
			p.moved.Add(1)
		}
		if piece, err = p.body.Next(); err != nil {
			err = k.ended(p.body, err)
			k.c.flush()
			return err
		}
	}
}

// stop waits for the pump while it makes progress after a whole response: that
// may end before its request. Else it gives up what is not sent.
func (p *pump) stop(k *call, x *exchange.Exchange) {
	if !p.running {
		return
	}
	p.running = false
	defer func() { p.body, p.rest = nil, nil }()
	if _, last := k.in.left(); (last || k.body.whole()) && !k.grpc && x.Cancelled() == nil {
		timer := time.NewTimer(pumpGrace)
		defer timer.Stop()
		for moved := p.moved.Load(); ; moved = p.moved.Load() {
			select {
			case <-p.finished:
				return
			case now := <-timer.C:
				if moved != p.moved.Load() && (x.Deadline.IsZero() || now.Before(x.Deadline)) {
					timer.Reset(pumpGrace)
					continue
				}
			}
			break
		}
	}
	k.out.stop(errReleased)
	p.body.Close()
	<-p.finished
}
