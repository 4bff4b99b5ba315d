package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gopura/gateway"
	"gopura/live"
)

// How a tail is written. A pause after each batch bounds what one costs, however
// much passes; what does not fit into the room's buffer meanwhile is dropped.
const (
	tailPause  = 50 * time.Millisecond
	tailPing   = 15 * time.Second
	tailLasts  = time.Hour
	tailBatch  = 256
	maxWhen    = 2 << 10 // bytes of an expression
	maxLatest  = 500
	someLatest = 100
)

// filterOf reads which exchanges somebody wants to see.
func filterOf(q url.Values) (*live.Filter, error) {
	f, err := live.Parse(q.Get)
	if err == nil && q.Get("when") != "" {
		if len(q.Get("when")) > maxWhen {
			err = fmt.Errorf("when: longer than %d bytes", maxWhen)
		} else if f.When, err = gateway.CompileFilter(q.Get("when")); err != nil {
			err = fmt.Errorf("when: %w", err)
		}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "bad_filter", err.Error() + "."}
	}
	return f, nil
}

// tail shows exchanges as they end, as server-sent events.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	t, err := s.gateway.Room().Open(time.Now(), f)
	if errors.Is(err, live.ErrTooMany) {
		return &refusal{http.StatusTooManyRequests, "too_many_tails", "As many tails are open as may be: close one."}
	}
	if err != nil {
		return err
	}
	defer t.Close()
	e, err := openEvents(w)
	if err != nil || r.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), tailLasts)
	defer cancel()
	s.follow(ctx, askedBy(r), t, e)
	return nil
}

// follow writes what the tail sees until somebody ends it.
func (s *Server) follow(ctx context.Context, asked asked, t *live.Tail, e *events) {
	ping := time.NewTicker(tailPing)
	defer ping.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for e.err == nil {
		select {
		case line := <-t.Records():
			e.event("exchange", line)
			for n := 1; n < tailBatch && len(t.Records()) > 0; n++ {
				e.event("exchange", <-t.Records())
			}
			e.dropped(t)
			e.flush()
			time.Sleep(tailPause)
		case <-ping.C:
			e.comment("ping")
			e.flush()
		case <-look.C:
			if !asked.mayStill() {
				e.end("who may look has changed: ask again")
				return
			}
			if e.dropped(t) {
				e.flush()
			}
		case <-asked.ending():
			e.end("the listener closes")
			return
		case <-ctx.Done():
			e.end("the time is over: ask again")
			return
		}
	}
}

// events writes server-sent events.
type events struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	err error
}

func openEvents(w http.ResponseWriter) (*events, error) {
	e := &events{w: w, c: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	e.c.SetReadDeadline(time.Time{}) // nothing more is read, and the connection must not end by that
	w.WriteHeader(http.StatusOK)
	e.comment("follows")
	e.flush()
	return e, e.err
}

func (e *events) printf(format string, args ...any) {
	if e.err == nil {
		e.c.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}

// event writes an event; data has no line breaks.
func (e *events) event(name string, data []byte) { e.printf("event: %s\ndata: %s\n\n", name, data) }

func (e *events) comment(text string) { e.printf(": %s\n\n", text) }

func (e *events) dropped(t *live.Tail) bool {
	n := t.Dropped()
	if n > 0 {
		e.event("dropped", fmt.Appendf(nil, `{"dropped":%d}`, n))
	}
	return n > 0
}

func (e *events) end(reason string) {
	text, err := json.Marshal(map[string]string{"reason": reason})
	if err == nil {
		e.event("end", text)
		e.flush()
	}
}

func (e *events) flush() {
	if e.err == nil {
		e.err = e.c.Flush()
	}
}

// exchanges shows the latest exchanges.
func (s *Server) exchanges(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	for _, name := range []string{"when", "sample"} {
		if q.Has(name) {
			return &refusal{http.StatusBadRequest, "bad_filter", name + " is for live exchanges only."}
		}
	}
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	limit, err := numberOf(q, "limit", someLatest, maxLatest)
	if err != nil {
		return err
	}
	lines, since := s.gateway.Room().Latest(time.Now(), limit, f)
	list := make([]json.RawMessage, len(lines))
	for i := range lines {
		list[i] = lines[i]
	}
	return replyCompact(w, struct {
		Since     time.Time         `json:"looking_since"`
		Exchanges []json.RawMessage `json:"exchanges"`
	}{since, list})
}

// numberOf reads a number from 1 to most.
func numberOf(q url.Values, name string, deflt, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return deflt, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, &refusal{http.StatusBadRequest, "bad_" + name, fmt.Sprintf("%s is a number from 1 to %d.", name, most)}
	}
	return n, nil
}
