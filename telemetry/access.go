package telemetry

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

const (
	batchSize  = 64 << 10               // bytes of one write
	flushAfter = 200 * time.Millisecond // the longest that a record waits for its batch to fill
	closeAfter = 2 * time.Second        // the longest that Close waits for a stalled sink
	lostSoon   = time.Second            // after the first loss it is reported
	lostAgain  = time.Minute            // and then at most that often
	keepFree   = 4                      // empty batches that are kept for reuse
)

// AccessConfig says where access records go and how they look.
type AccessConfig struct {
	To     string        // "stdout", "stderr" or the path of a file, which is appended to
	Format string        // "json" (also "") or "text"
	Queue  int           // bytes that may wait for the sink before records are dropped; 0: 4 MiB
	Flush  time.Duration // how long a record waits for its batch to fill; 0: 200 ms

	// Lost is told how many records were lost since it was told last, and the
	// error of the last write: a second after a loss, at most once a minute. nil:
	// nobody is told. It is called on a goroutine of its own.
	Lost func(records uint64, err error)
}

// AccessLog writes one line for each exchange. Its methods are safe for
// concurrent use.
type AccessLog struct {
	encode  func(r *record, x *exchange.Exchange, end time.Time)
	reopen  func() (*sink, error) // nil: the sink is not ours to open
	records sync.Pool             // of *record
	dropped atomic.Uint64
	losses  losses
	flush   time.Duration
	limit   int // full batches that may wait

	mu     sync.Mutex // held for a copy of one line, never while a sink is written
	open   []byte     // the batch that is being filled
	full   [][]byte   // batches that wait for the writer, oldest first
	free   [][]byte
	next   *sink // replaces the writer's sink
	err    error // of the last write
	closed bool

	some chan struct{} // there is a first record in a batch
	more chan struct{} // a batch is full, or there is a next sink
	stop chan struct{}
	done chan struct{} // the writer has ended

	current atomic.Pointer[sink] // the writer's
	torn    []byte               // rest of a line of which the sink took only the start; the writer's
}

// NewAccessLog opens the sink and starts the writer.
func NewAccessLog(c AccessConfig) (*AccessLog, error) {
	var reopen func() (*sink, error)
	var s *sink
	switch c.To {
	case "":
		return nil, errors.New("access log: no place to write to")
	case "stdout", "stderr":
		s = standard(c.To)
	default:
		reopen = func() (*sink, error) { return openFile(c.To) }
		var err error
		if s, err = reopen(); err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
	}
	l, err := newAccessLog(c, s)
	if err != nil {
		s.close()
		return nil, err
	}
	l.reopen = reopen
	return l, nil
}

func newAccessLog(c AccessConfig, s *sink) (*AccessLog, error) {
	l := &AccessLog{
		flush: c.Flush, losses: losses{tell: c.Lost},
		limit: max(c.Queue/batchSize, 1),
		some:  make(chan struct{}, 1),
		more:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	switch c.Format {
	case "", "json":
		l.encode = (*record).json
	case "text":
		l.encode = (*record).text
	default:
		return nil, fmt.Errorf("access log: unknown format %q (json or text)", c.Format)
	}
	if c.Queue == 0 {
		l.limit = 4 << 20 / batchSize
	}
	if l.flush <= 0 {
		l.flush = flushAfter
	}
	l.records.New = func() any { return new(record) }
	l.current.Store(s)
	go l.write()
	return l, nil
}

// Record writes the line of x, which ended at end. It is for the done stack: x
// and all that it borrows must still be alive. Record does not wait and does
// not allocate; when the queue is full, the record is dropped and counted.
func (l *AccessLog) Record(x *exchange.Exchange, end time.Time) {
	r := l.records.Get().(*record)
	r.line = r.line[:0]
	l.encode(r, x, end)
	l.put(r.line)
	l.records.Put(r)
}

// put copies a line into the open batch.
func (l *AccessLog) put(line []byte) {
	turned := false
	l.mu.Lock()
	if len(l.open)+len(line) > batchSize && len(l.full) < l.limit {
		l.full = append(l.full, l.open)
		l.open, turned = nil, true
	}
	if l.closed || len(l.open)+len(line) > batchSize {
		l.mu.Unlock()
		l.lose(1)
		return
	}
	first := len(l.open) == 0
	if l.open == nil {
		l.open = l.batch()
	}
	l.open = append(l.open, line...)
	l.mu.Unlock()
	if first {
		signal(l.some)
	}
	if turned {
		signal(l.more)
	}
}

// batch returns an empty batch. l.mu is held.
func (l *AccessLog) batch() []byte {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return make([]byte, 0, batchSize)
}

// Dropped returns how many records were lost, because the sink stalled or
// failed or because the log was closed.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// Err returns the error of the last write, nil when it went well.
func (l *AccessLog) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Reopen opens the file anew by its path, for log rotation. The old file is
// closed when the batch that is being written is out. When the path can't be
// opened, the old file stays in use. On stdout and stderr it does nothing.
func (l *AccessLog) Reopen() error {
	if l.reopen == nil {
		return nil
	}
	s, err := l.reopen()
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	l.mu.Lock()
	old := l.next
	if l.closed {
		old, err = s, errors.New("access log: closed")
	} else {
		l.next = s
	}
	l.mu.Unlock()
	if old != nil {
		old.close()
	}
	signal(l.more)
	return err
}

// Close writes what waits and closes the sink. A sink that stalls is given two
// seconds; then what waits is dropped. Records that come later are dropped.
func (l *AccessLog) Close() error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if !again {
		close(l.stop)
	}
	t := time.NewTimer(closeAfter)
	defer t.Stop()
	select {
	case <-l.done:
		return l.Err()
	case <-t.C:
		l.current.Load().close() // ends a write to a pipe
		return errors.New("access log: the sink is stalled")
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
