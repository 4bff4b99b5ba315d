package compose

import (
	"io"
	"strconv"
	"sync"

	"gopura/exchange"
	"gopura/rawjson"
)

// stream is an answer whose parts are sent as they arrive. It is the body: the
// front end asks it for the next part, and meanwhile the calls go on on
// goroutines of their own, until the exchange is done.
type stream struct {
	r      *run
	format *format

	mu      sync.Mutex
	arrive  sync.Cond
	order   []int // parts that have arrived
	sent    int   // of them
	over    bool  // all have, or the rest won't
	ended   bool  // the last line was sent
	running sync.WaitGroup

	line []byte
}

// format is how parts are framed.
type format struct {
	mediaType string
	part      func(dst []byte, name string, value []byte) []byte
	failure   func(dst, text []byte) []byte
	end       func(dst, text []byte) []byte
}

var ndjson = &format{
	mediaType: "application/x-ndjson",
	part: func(dst []byte, name string, value []byte) []byte {
		dst = rawjson.AppendString(append(dst, `{"part":`...), name)
		return append(appendOneLine(append(dst, `,"value":`...), value), "}\n"...)
	},
	failure: func(dst, text []byte) []byte { return append(append(dst, text...), '\n') },
	end:     func(dst, text []byte) []byte { return append(append(dst, text...), '\n') },
}

var events = &format{
	mediaType: "text/event-stream",
	part: func(dst []byte, name string, value []byte) []byte {
		dst = append(append(dst, "event: "...), name...)
		return append(appendOneLine(append(dst, "\ndata: "...), value), "\n\n"...)
	},
	failure: func(dst, text []byte) []byte {
		return append(append(append(dst, "event: _error\ndata: "...), text...), "\n\n"...)
	},
	end: func(dst, text []byte) []byte {
		return append(append(append(dst, "event: _done\ndata: "...), text...), "\n\n"...)
	},
}

// appendOneLine appends JSON without line breaks: between tokens a space is as
// good, and within them there is none.
func appendOneLine(dst, value []byte) []byte {
	n := len(dst)
	dst = append(dst, value...)
	for i := n; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}

// serveStream answers with the parts as they arrive.
func (r *run) serveStream(f *format) error {
	s := &stream{r: r, format: f}
	s.arrive.L = &s.mu
	r.stream = s
	if cause := r.x.Interruptible(r); cause != nil {
		return cancelled(cause)
	}
	a := &r.x.Response
	a.Status = 200
	a.Header.Add("Content-Type", f.mediaType)
	a.Header.Add("Cache-Control", "no-store")
	a.Header.Add("X-Accel-Buffering", "no")
	a.Header.Add("Vary", "Accept")
	a.Body = s
	s.running.Go(func() {
		r.drive()
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		s.arrive.Broadcast()
	})
	return nil
}

// arrived notes that a part is there. It is called with r.mu held.
func (s *stream) arrived(i int) {
	s.mu.Lock()
	s.order = append(s.order, i)
	s.mu.Unlock()
	s.arrive.Broadcast()
}

// end breaks off what goes on, waits for it, and undoes what must not stay.
func (s *stream) end() {
	r := s.r
	r.x.Release()
	r.Interrupt()
	s.running.Wait()
	if len(r.x.Calls) == 0 {
		s.conclude()
	}
}

// conclude records the calls, and undoes what was done when the answer failed.
func (s *stream) conclude() *exchange.Error {
	r := s.r
	e := r.outcome()
	if e == nil && r.passed >= 0 {
		e = exchange.PartFailed.Errorf("%s: the service answered with status %d", r.plan.calls[r.passed].name, r.cells[r.passed].status)
		e.Part, e.Detail = r.plan.calls[r.passed].name, sentenceOf(r.plan.calls[r.passed].name, exchange.PartFailed, &r.cells[r.passed].result)
	}
	r.record()
	if e != nil {
		e = r.undoAll(e)
		r.x.Err = e
	}
	return e
}

// Next implements exchange.Body.
func (s *stream) Next() ([]byte, error) {
	for {
		i, over := s.next()
		if i >= 0 {
			if line := s.partLine(i); len(line) > 0 {
				return line, nil
			}
			continue
		}
		if !over || s.ended {
			break
		}
		s.ended = true
		s.running.Wait()
		e := s.conclude()
		if cause := s.r.x.Cancelled(); cause != nil {
			return nil, cancelled(cause)
		}
		return s.lastLine(e), nil
	}
	if s.ended {
		return nil, io.EOF
	}
	return nil, cancelled(s.r.x.Cancelled())
}

// next waits for a part: -1 when there is no more, or nobody to send it to.
func (s *stream) next() (part int, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sent == len(s.order) && !s.over {
		s.arrive.Wait()
	}
	if s.sent < len(s.order) {
		s.sent++
		return s.order[s.sent-1], false
	}
	return -1, s.over
}

// partLine is the line of a part; none when it isn't shown.
func (s *stream) partLine(i int) []byte {
	r := s.r
	k, c := r.plan.calls[i], &r.cells[i]
	s.line = s.line[:0]
	shown := r.plan.answer.shows(i)
	if c.err != nil {
		r.mu.Lock()
		given := k.required && i != r.failed || c.err.Code == exchange.PartCancelled.Name
		r.mu.Unlock()
		if given {
			return nil // given up because of another
		}
		s.line = s.format.failure(s.line, appendFailure(nil, k.name, kindOrInternal(c.err), c.err.Code))
		if k.required || !shown {
			return s.line
		}
	}
	if shown && !c.passing {
		s.line = s.format.part(s.line, k.name, orNull(r.vals[i]))
	}
	return s.line
}

func kindOrInternal(e *exchange.Error) int {
	if code := kindOf(e); code != nil {
		return code.Status
	}
	return e.Status
}

// appendFailure appends what is said about a part that failed.
func appendFailure(dst []byte, name string, status int, code string) []byte {
	dst = rawjson.AppendString(append(dst, `{"part":`...), name)
	dst = strconv.AppendInt(append(dst, `,"error":{"status":`...), int64(status), 10)
	dst = rawjson.AppendString(append(dst, `,"code":`...), code)
	return append(dst, "}}"...)
}

// lastLine says that nothing more comes, and how it went: a stream without it
// broke off.
func (s *stream) lastLine(e *exchange.Error) []byte {
	r := s.r
	b := append([]byte(nil), `{"done":`...)
	b = strconv.AppendBool(b, e == nil)
	b = append(b, `,"partial":[`...)
	for n, i := range r.partial() {
		if n > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendString(b, r.plan.calls[i].name)
	}
	b = append(b, ']')
	if e != nil {
		b = strconv.AppendInt(append(b, `,"error":{"status":`...), int64(e.Status), 10)
		b = rawjson.AppendString(append(b, `,"code":`...), e.Code)
		if e.Part != "" {
			b = rawjson.AppendString(append(b, `,"part":`...), e.Part)
		}
		b = append(b, '}')
	}
	if r.plan.answer.meta == metaOn || r.plan.answer.meta == metaAsked && r.asksMeta() {
		b = r.appendMeta(append(b, `,"_meta":`...), len(r.partial()) > 0)
	}
	s.line = s.format.end(s.line[:0], append(b, '}'))
	return s.line
}

// Ready implements exchange.Ready.
func (s *stream) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent < len(s.order) || s.over
}

// Len implements exchange.Body.
func (s *stream) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (s *stream) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body: nobody wants the rest.
func (s *stream) Close() error {
	s.r.Interrupt()
	return nil
}
