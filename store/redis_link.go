package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// link carries script calls to Redis. Calls wait in one bounded queue; a few
// senders take what is there, many at a time, and send it in one write: under
// load the batches grow by themselves. Nobody who submits work ever waits for
// the network here.
type link struct {
	options rueidis.ClientOption
	timeout time.Duration

	prefix     string
	clientTime bool

	client  atomic.Pointer[rueidis.Client]
	queue   chan work
	breaker *breaker
	offset  atomic.Int64 // the server's clock less ours, nanoseconds
	stop    context.CancelFunc
	stopped context.Context
	done    sync.WaitGroup
	count   linkCount
}

type linkCount struct {
	calls, failures, timeouts, reloads, full, connects atomic.Uint64
	trips, waited                                      atomic.Uint64 // round trips, and the nanoseconds that they took
	decided, degraded                                  atomic.Uint64 // decisions; see also leaseShard
}

// work is a script call that is waiting to be made. Its arguments are made
// when it is sent: so that what happened while it waited is in them.
type work interface {
	prepare() (s *script, key string, args []string)
	// finish takes what came of it, and returns what is wrong with that.
	finish(values []int64, err error) error
}

const (
	senders   = 4
	batchMost = 128
	queueMost = 4096
	probeMin  = 50 * time.Millisecond
	probeMax  = time.Second
	rebuild   = 5 // failed probes after which all connections are made anew
)

var (
	errOpen      = errors.New("the breaker is open")
	errNoClient  = errors.New("no connection yet")
	errTimeout   = errors.New("no answer in time")
	errCancelled = errors.New("the store is closed")
)

func newLink(o rueidis.ClientOption, timeout time.Duration) *link {
	l := &link{options: o, timeout: timeout, queue: make(chan work, queueMost), breaker: newBreaker()}
	l.stopped, l.stop = context.WithCancel(context.Background())
	return l
}

// start connects, for at most wait, and goes on trying after that.
func (l *link) start(wait time.Duration) {
	first := make(chan struct{})
	l.done.Go(func() {
		err := l.connect()
		if err != nil {
			l.breaker.mu.Lock()
			l.breaker.cause = err
			l.breaker.open()
			l.breaker.mu.Unlock()
		}
		close(first)
		l.guard()
	})
	for range senders {
		l.done.Go(l.send)
	}
	select {
	case <-first:
	case <-time.After(wait):
		l.breaker.mu.Lock()
		if l.client.Load() == nil {
			l.breaker.cause = errNoClient
			l.breaker.open()
		}
		l.breaker.mu.Unlock()
	}
}

func (l *link) close() {
	l.stop()
	if c := l.client.Swap(nil); c != nil {
		(*c).Close()
	}
	l.done.Wait()
	if c := l.client.Swap(nil); c != nil { // made meanwhile
		(*c).Close()
	}
	for {
		select {
		case w := <-l.queue:
			w.finish(nil, errCancelled)
		default:
			return
		}
	}
}

func (l *link) submit(w work) bool {
	select {
	case l.queue <- w:
		return true
	default:
		l.count.full.Add(1)
		return false
	}
}

func (l *link) open() bool { return l.breaker.isOpen.Load() }

// now is the time by the server's clock, as far as it is known.
func (l *link) now() time.Time { return time.Now().Add(time.Duration(l.offset.Load())) }

func (l *link) send() {
	batch := make([]work, 0, batchMost)
	for {
		select {
		case <-l.stopped.Done():
			return
		case w := <-l.queue:
			batch = append(batch[:0], w)
		}
	more:
		for len(batch) < batchMost {
			select {
			case w := <-l.queue:
				batch = append(batch, w)
			default:
				break more
			}
		}
		l.run(batch)
		clear(batch)
	}
}

// result is what came of one call.
type result struct {
	values []int64
	err    error
}

func (l *link) run(batch []work) {
	if l.open() {
		for _, w := range batch {
			w.finish(nil, errOpen)
		}
		return
	}
	calls := make([]call, len(batch))
	for i, w := range batch {
		calls[i].script, calls[i].key, calls[i].args = w.prepare()
	}
	ctx, cancel := context.WithTimeout(l.stopped, l.timeout)
	began := time.Now()
	results := l.exchange(ctx, calls)
	l.count.trips.Add(1)
	l.count.waited.Add(uint64(time.Since(began)))
	cancel()
	for i, w := range batch {
		l.note(w.finish(results[i].values, results[i].err))
	}
}

func (l *link) note(err error) {
	l.count.calls.Add(1)
	if err == nil {
		l.breaker.success()
		return
	}
	l.count.failures.Add(1)
	l.breaker.failure(err)
}

type call struct {
	script *script
	key    string
	args   []string
}

// exchange makes the calls, and those again whose script the server had lost.
func (l *link) exchange(ctx context.Context, calls []call) (results []result) {
	results = make([]result, len(calls))
	defer func() {
		if r := recover(); r != nil { // a client that met bytes which are not Redis'
			for i := range results {
				if results[i].values == nil {
					results[i].err = fmt.Errorf("%w: %v", errGarbage, r)
				}
			}
		}
	}()
	client := l.client.Load()
	if client == nil {
		for i := range results {
			results[i].err = errNoClient
		}
		return results
	}
	c := *client
	commands := make(rueidis.Commands, len(calls))
	for i, k := range calls {
		commands[i] = c.B().Arbitrary("EVALSHA", k.script.sha, "1").Keys(k.key).Args(k.args...).Build()
	}
	var lost []int
	for i, r := range c.DoMulti(ctx, commands...) {
		results[i].values, results[i].err = r.AsIntSlice()
		if e, ok := rueidis.IsRedisErr(results[i].err); ok && e.IsNoScript() {
			lost = append(lost, i)
		}
	}
	if len(lost) == 0 {
		return results
	}
	l.count.reloads.Add(1)
	commands = commands[:0]
	for _, i := range lost {
		k := calls[i]
		commands = append(commands, c.B().Arbitrary("EVAL", k.script.source, "1").Keys(k.key).Args(k.args...).Build())
	}
	for j, r := range c.DoMulti(ctx, commands...) {
		results[lost[j]].values, results[lost[j]].err = r.AsIntSlice()
	}
	return results
}

// connect makes a client. It takes as long as dialling does.
func (l *link) connect() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errGarbage, r)
		}
	}()
	c, err := rueidis.NewClient(l.options)
	if err != nil {
		return err
	}
	l.count.connects.Add(1)
	if old := l.client.Swap(&c); old != nil {
		(*old).Close()
	}
	return nil
}

// guard waits for the breaker to open and then probes, less and less often,
// with a call that writes: a server that is full, or a replica, answers PING.
func (l *link) guard() {
	for {
		select {
		case <-l.stopped.Done():
			return
		case <-l.breaker.trip:
		}
		pause := probeMin
		for failed := 1; ; failed++ {
			if !l.sleep(time.Duration(float64(pause) * (0.75 + rand.Float64()/2))) {
				return
			}
			if l.client.Load() == nil || failed%rebuild == 0 {
				if l.connect() != nil {
					pause = min(2*pause, probeMax)
					continue
				}
			}
			err := l.probe()
			if err == nil {
				l.breaker.close()
				break
			}
			l.breaker.mu.Lock()
			l.breaker.cause = err
			l.breaker.mu.Unlock()
			if replaced(err) {
				failed = rebuild - 1
			}
			pause = min(2*pause, probeMax)
		}
	}
}

// replaced says whether the server is no longer the one to talk to, so that a
// new connection may find another behind the same name.
func replaced(err error) bool { return strings.HasPrefix(err.Error(), "READONLY") }

func (l *link) sleep(d time.Duration) bool {
	select {
	case <-l.stopped.Done():
		return false
	case <-time.After(d):
		return true
	}
}

var probeShape = newRateShape(Rate{Count: 1000, Per: time.Second, Burst: 1000})

// probe makes one call as the others are made, and learns the server's time.
func (l *link) probe() error {
	ctx, cancel := context.WithTimeout(l.stopped, l.timeout)
	defer cancel()
	r := l.exchange(ctx, []call{{rateScript, l.prefix + ":probe", probeShape.args(ask{want: 1}, time.Now(), l.clientTime)}})[0]
	if r.err == nil && len(r.values) != 3 {
		r.err = errGarbage
	}
	return r.err
}

// learn keeps how far the server's clock is from ours; micros is its time.
func (l *link) learn(micros int64) {
	off := micros*1000 - time.Now().UnixNano()
	if old := l.offset.Load(); max(off-old, old-off) > int64(50*time.Millisecond) {
		l.offset.Store(off)
	}
}
