package transcode

import (
	"errors"
	"io"

	"gopura/exchange"
)

// lined complains about a rule that gives the messages of a client's stream no
// form: lines of JSON are the body, so nothing of them may stand in the path.
func (b *binding) lined() error {
	if !b.whole || b.raw || len(b.vars) > 0 {
		return errors.New(`its client sends a stream, which has a form in REST only by a rule with body: "*" and a path without variables`)
	}
	return nil
}

// messageLines is the client's stream of messages as lines of JSON. The transport
// pulls it, perhaps while the answer is being read.
type messageLines struct{ c *restCall }

// openLines makes the request of a call whose client sends a stream.
func (c *restCall) openLines() error {
	if err := c.openFrames(); err != nil {
		return err
	}
	if fault, err := c.fillPath(nil, c.b, nil); fault != nil || err != nil {
		return exchange.Internal.Errorf("%s has a path with variables", c.b.method.Path) // lined has looked
	}
	c.query = c.query[:0]
	c.fillHeader()
	c.header.Set("Content-Type", "application/x-ndjson")
	c.lines.c = c
	return nil
}

// Next implements exchange.Body.
func (l *messageLines) Next() ([]byte, error) {
	c := l.c
	message, err := c.frames.Next()
	if err == io.EOF {
		return nil, err
	}
	if err != nil {
		return nil, c.refuse(badFrame(err))
	}
	e := c.t.codec.newEncoder(c.json[:0])
	err = e.message(c.b.method.Input.shape, message)
	c.json = append(e.out, '\n')
	e.release()
	if err != nil {
		return nil, c.refuse(badMessage(err))
	}
	return c.json, nil
}

// refuse remembers why the call can't go on: whatever becomes of it, this is why.
func (c *restCall) refuse(err error) error {
	c.flaw.CompareAndSwap(nil, exchange.AsError(err))
	return err
}

// Len implements exchange.Body.
func (l *messageLines) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (l *messageLines) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (l *messageLines) Close() error { return l.c.frames.Close() }

// Ready implements exchange.Ready.
func (l *messageLines) Ready() bool { return l.c.frames.Ready() }
