package telemetry

import (
	"bytes"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// sink is where batches go.
type sink struct {
	w     io.Writer
	close func() error // may be called twice
}

func standard(name string) *sink {
	w := os.Stdout
	if name == "stderr" {
		w = os.Stderr
	}
	return &sink{w, func() error { return nil }}
}

// openFile opens the file for appending. O_NONBLOCK has no meaning for a file
// on disk; it keeps a named pipe without a reader from stopping the gateway.
func openFile(path string) (*sink, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, err
	}
	return &sink{f, sync.OnceValue(f.Close)}, nil
}

// write is the writer goroutine. It sleeps while there are no records, writes
// full batches at once and the open one when its first record has waited for
// the flush time.
func (l *AccessLog) write() {
	defer close(l.done)
	t := time.NewTimer(l.flush)
	t.Stop()
	waiting := false // t runs
	for {
		select {
		case <-l.some:
			if !waiting {
				t.Reset(l.flush)
				waiting = true
			}
		case <-l.more:
			l.drain(false)
		case <-t.C:
			waiting = false
			l.drain(true)
		case <-l.stop:
			t.Stop()
			l.drain(true)
			l.current.Load().close()
			return
		}
	}
}

// drain writes the full batches and, when all is set, the open one.
func (l *AccessLog) drain(all bool) {
	for {
		b, next := l.take(all)
		if next != nil {
			l.current.Swap(next).close()
			if l.torn != nil {
				l.torn = nil
				l.lose(1)
			}
		}
		if b == nil {
			return
		}
		err := l.send(b)
		l.mu.Lock()
		l.err = err
		if len(l.free) < keepFree {
			l.free = append(l.free, b[:0])
		}
		l.mu.Unlock()
	}
}

// take returns the oldest batch, nil when there is none, and the sink that it
// has to go to when that changes.
func (l *AccessLog) take(all bool) (b []byte, next *sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, l.next = l.next, nil
	switch {
	case len(l.full) > 0:
		b = l.full[0]
		n := copy(l.full, l.full[1:])
		l.full[n] = nil
		l.full = l.full[:n]
	case all && len(l.open) > 0:
		b, l.open = l.open, nil
	}
	return b, next
}

// send writes a batch, or drops it: a sink that fails now is not asked again
// before the next batch. When it took half a line, the other half is what it
// gets first, so that a line is never torn.
func (l *AccessLog) send(b []byte) error {
	w := l.current.Load().w
	if l.torn != nil {
		n, err := w.Write(l.torn)
		if l.torn = l.torn[n:]; err != nil {
			l.lose(lines(b))
			return err
		}
		l.torn = nil
	}
	n, err := w.Write(b)
	if err == nil {
		return nil
	}
	rest := b[n:]
	if n > 0 && b[n-1] != '\n' {
		end := bytes.IndexByte(rest, '\n') + 1
		l.torn = bytes.Clone(rest[:end])
		rest = rest[end:]
	}
	l.lose(lines(rest))
	return err
}

func lines(b []byte) uint64 { return uint64(bytes.Count(b, []byte{'\n'})) }
