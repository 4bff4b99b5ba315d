package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// load is the clients.
type load struct {
	gateway  *gateway
	services *services
	visitors []*visitor
	clients  clients
	handing  atomic.Bool  // an upgrade is under way
	handed   atomic.Int64 // when the last one ended, in Unix nanoseconds
	http3    outage
	progress io.Writer
}

// visitor is one kind of request, made again and again.
type visitor struct {
	name     string
	share    float64 // of the rate
	workers  int
	frail    bool // it asks the service that is broken now and then
	visit    func(ctx context.Context, tag string) error
	sent     atomic.Int64
	wrong    atomic.Int64 // answers that were not right, or none
	expected atomic.Int64 // failures of the service that was broken
	moved    atomic.Int64 // of an upgrade: a WebSocket that was ended, HTTP/3 that was away
	again    atomic.Int64 // sent by the client on another connection, since the one that it had was closed
	mu       sync.Mutex
	errors   []string // the first ones
}

// deadline is when a client gives up. Nobody is to be slow because of the gateway; but a machine that others
// use may be, and that is no wrong answer.
const deadline = time.Minute

// errMoved is what an upgrade may do to a client.
var errMoved = errors.New("an upgrade ended it")

func newLoad(g *gateway, behind *services, progress io.Writer) (*load, error) {
	l := &load{gateway: g, services: behind, progress: progress}
	if err := l.clients.make(g); err != nil {
		return nil, err
	}
	l.visitors = l.kinds()
	return l, nil
}

// run asks at a rate until ctx ends; what is under way then ends by itself.
func (l *load) run(ctx context.Context, rate float64) {
	var all sync.WaitGroup
	for _, v := range l.visitors {
		every := time.Duration(float64(v.workers) / (rate * v.share) * float64(time.Second))
		for worker := range v.workers {
			all.Go(func() {
				tick := time.NewTicker(every)
				defer tick.Stop()
				for n := 0; ctx.Err() == nil; n++ {
					l.once(v, fmt.Sprintf("%s-%d-%d", v.name, worker, n))
					select {
					case <-tick.C:
					case <-ctx.Done():
					}
				}
			})
		}
	}
	all.Wait()
}

// once has a visitor make a request, and counts what came of it.
func (l *load) once(v *visitor, tag string) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err := v.visit(countAgain(ctx, &v.again), tag)
	v.sent.Add(1)
	switch {
	case err == nil:
	case errors.Is(err, errMoved) && l.movedSince(began):
		v.moved.Add(1)
	case v.frail && l.services.excuses(began):
		v.expected.Add(1)
	default:
		v.wrong.Add(1)
		v.mu.Lock()
		if len(v.errors) < 3 {
			v.errors = append(v.errors, fmt.Sprintf("%s, %s later: %s: %.300s", began.Format("15:04:05.000"), time.Since(began).Round(time.Millisecond), tag, err))
			fmt.Fprintln(l.progress, "        wrong:", v.errors[len(v.errors)-1])
		}
		v.mu.Unlock()
	}
}

// moving says that an upgrade begins, or has ended.
func (l *load) moving(now bool) {
	l.handing.Store(now)
	l.handed.Store(time.Now().UnixNano())
}

// movedSince reports whether there was an upgrade since then; HTTP/3 comes back a moment after it, which the outage measures.
func (l *load) movedSince(began time.Time) bool {
	return l.handing.Load() || began.UnixNano() < l.handed.Load()+int64(10*time.Second)
}

func (l *load) sent() int64     { return l.sum(func(v *visitor) int64 { return v.sent.Load() }) }
func (l *load) wrong() int64    { return l.sum(func(v *visitor) int64 { return v.wrong.Load() }) }
func (l *load) expected() int64 { return l.sum(func(v *visitor) int64 { return v.expected.Load() }) }

func (l *load) sum(of func(*visitor) int64) (n int64) {
	for _, v := range l.visitors {
		n += of(v)
	}
	return n
}

func (l *load) close() { l.clients.close() }

// outage measures how long something was away.
type outage struct {
	mu      sync.Mutex
	since   time.Time // zero: it is there
	times   int
	longest time.Duration
	all     time.Duration
}

func (o *outage) away() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = time.Now()
	}
}

func (o *outage) back() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return
	}
	d := time.Since(o.since)
	o.since, o.times, o.all, o.longest = time.Time{}, o.times+1, o.all+d, max(o.longest, d)
}
