package h2

import (
	"io"
	"strconv"
	"time"

	"gopura/exchange"
)

// respond writes the answer. On an error it is not whole.
func (st *serverStream) respond() error {
	x := &st.x
	if x.Response.Tunnel != nil && x.Request.Upgrade != nil && st.acceptable() {
		return st.relay()
	}
	if status := x.Response.Status; status < 200 || status > 999 || x.Response.Tunnel != nil {
		x.DropResponse()
		st.c.conf.Root.Refuse(x, exchange.Internal.Errorf("status %d is no answer over HTTP/2", status))
	}
	p := &x.Response
	if p.Body == nil {
		p.Body = exchange.NoBody
	}
	left := p.Body.Len()
	if x.Request.Method == "HEAD" || p.Status == 204 || p.Status == 304 {
		return st.sendHead(p, left, true)
	}
	if left == 0 {
		// The end may still say that the body is broken, or bring trailers.
		if err := atEnd(p.Body); err != nil {
			return err
		}
		t := p.Body.Trailer()
		if err := st.sendHead(p, 0, t == nil); err != nil || t == nil {
			return err
		}
		return st.sendTrailer(t)
	}
	if err := st.sendHead(p, left, false); err != nil {
		return err
	}
	if err := st.sendBody(p.Body, left); err != nil {
		return err
	}
	if t := p.Body.Trailer(); t != nil {
		return st.sendTrailer(t)
	}
	st.end()
	return st.gone()
}

// end appends END_STREAM.
func (st *serverStream) end() {
	st.c.mu.Lock()
	st.out.endLocked()
	st.said()
	st.c.mu.Unlock()
}

// gone returns why nothing that was said will reach the client.
func (st *serverStream) gone() error {
	if cause := st.x.Cancelled(); cause != nil && exchange.ClientGone.Is(cause) {
		return cause
	}
	return nil
}

// sendHead appends the head of the response; end says that nothing follows.
func (st *serverStream) sendHead(p *exchange.Response, length int64, end bool) error {
	st.heading.Lock()
	st.headed = true
	st.heading.Unlock()
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.out.failure(); err != nil {
		return exchange.ClientGone.Because(err)
	}
	c.field(":status", statusText(p.Status))
	dated := false
	for _, f := range p.Header.Fields() {
		name := st.lower(f.Name)
		if forbidden(name) {
			continue
		}
		dated = dated || name == "date"
		c.field(name, stringOf(f.Value))
	}
	// RFC 9110 §8.6: never with 204. With 304 it would be that of the 200, and
	// is optional; Go's own client takes it for the length of a missing body.
	if length >= 0 && p.Status != 204 && p.Status != 304 {
		st.names = strconv.AppendInt(st.names[:0], length, 10)
		c.field("content-length", stringOf(st.names))
	}
	if !dated {
		c.field("date", c.s.date.at(time.Now()))
	}
	c.head(st.id, end)
	if end {
		st.said()
	}
	return nil
}

// sendTrailer appends the trailer section, and with it the end.
func (st *serverStream) sendTrailer(t *exchange.Header) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.out.failure(); err != nil {
		return exchange.ClientGone.Because(err)
	}
	n := 0
	for _, f := range t.Fields() {
		if name := st.lower(f.Name); !forbidden(name) {
			c.field(name, stringOf(f.Value))
			n++
		}
	}
	if n == 0 {
		st.out.endLocked()
	} else {
		c.head(st.id, true)
	}
	st.said()
	return nil
}

// sendBody pulls the body and flushes whenever the next piece would keep the
// client waiting for what is there.
func (st *serverStream) sendBody(body exchange.Body, left int64) error {
	ready, _ := body.(exchange.Ready)
	for held := true; left != 0; held = true {
		if held && (ready == nil || !ready.Ready()) {
			st.c.flush()
		}
		p, err := body.Next()
		if err == io.EOF && left < 0 {
			return nil
		}
		if err == io.EOF {
			return exchange.UpstreamBroken.Errorf("the body ended %d bytes short", left)
		}
		if err != nil {
			return err
		}
		if left > 0 {
			if int64(len(p)) > left {
				return exchange.UpstreamBroken.Errorf("the body is longer than announced")
			}
			left -= int64(len(p))
		}
		if err := st.send(p, st.c.conf.WriteTimeout); err != nil {
			return err
		}
	}
	return atEnd(body)
}

// atEnd reads the end of a body whose announced bytes have all come.
func atEnd(body exchange.Body) error {
	switch _, err := body.Next(); err {
	case io.EOF:
		return nil
	case nil:
		return exchange.UpstreamBroken.Errorf("the body is longer than announced")
	default:
		return err
	}
}

// send appends a piece of the body, and waits for the client's windows, each time
// at most for timeout (0: for ever).
func (st *serverStream) send(p []byte, timeout time.Duration) error {
	rest, err := st.out.push(p)
	if err == nil && len(rest) > 0 {
		err = st.out.send(rest, timeout)
	}
	switch {
	case err == nil:
		st.x.Sent += int64(len(p))
		st.c.calm.earn(earnData + len(p)/earnPer)
		return nil
	case err == errSendTimeout:
		gone := exchange.ClientGone.Errorf("the client took nothing within %s", timeout)
		st.x.Cancel(gone)
		return gone
	case st.x.Cancelled() != nil:
		return st.x.Cancelled()
	}
	return exchange.ClientGone.Because(err)
}

// sendInform passes an interim answer on.
func (st *serverStream) sendInform(status int, fields *exchange.Header) error {
	if status <= 101 || status > 199 {
		return nil // 100 is said when the body is wanted
	}
	st.interim(status, fields)
	return nil
}

// sendContinue tells the client that its body is wanted (RFC 9110 §10.1.1).
func (st *serverStream) sendContinue() { st.interim(100, nil) }

func (st *serverStream) interim(status int, fields *exchange.Header) {
	st.heading.Lock()
	defer st.heading.Unlock()
	if st.headed {
		return
	}
	c := st.c
	c.mu.Lock()
	if st.out.failure() != nil {
		c.mu.Unlock()
		return
	}
	c.field(":status", statusText(status))
	if fields != nil {
		for _, f := range fields.Fields() {
			if name := st.lower(f.Name); !forbidden(name) {
				c.field(name, stringOf(f.Value))
			}
		}
	}
	c.head(st.id, false)
	c.mu.Unlock()
	c.flush()
}

// lower returns a field name as HTTP/2 has them; it is valid until the next call.
func (st *serverStream) lower(name []byte) string {
	for i, c := range name {
		if upper(c) {
			st.names = append(st.names[:0], name...)
			for ; i < len(name); i++ {
				if c := st.names[i]; upper(c) {
					st.names[i] = c | 0x20
				}
			}
			return stringOf(st.names)
		}
	}
	return stringOf(name)
}

// statusText is the value of :status.
func statusText(status int) string {
	const known = "200204206301302304400401403404429500502503504"
	for i := 0; i < len(known); i += 3 {
		if s := known[i : i+3]; status == int(s[0]-'0')*100+int(s[1]-'0')*10+int(s[2]-'0') {
			return s
		}
	}
	return strconv.Itoa(status)
}

// forbidden says which fields are not sent: those that RFC 9113 §8.2.2 forbids,
// and what belongs to the wire.
func forbidden(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "te", "http2-settings":
		return true
	}
	return !exchange.ValidName(name)
}
