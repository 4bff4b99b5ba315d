package semantics

import (
	"io"

	"gopura/exchange"
)

// Stream is the stream that an exchange came on, as its engine has it. Cut may be
// called by any goroutine; Upload is read by one, everything else called by another.
type Stream interface {
	// Head sends the head of the answer, whose body is that long (-1: unknown). With
	// end nothing follows.
	Head(p *exchange.Response, length int64, end bool) error
	// Data sends a piece of the body, and waits for the client's windows. What is small
	// may be kept until Flush.
	Data(p []byte) error
	// Flush sends what has been kept.
	Flush() error
	// Trailer sends the trailer section, with which the answer ends.
	Trailer(t *exchange.Header) error
	// End says that nothing follows. A client need not be told before the exchange is
	// done, except in a tunnel.
	End() error
	// Upload is what the client sends.
	Upload() exchange.Body
	// Cut breaks both directions off, whatever they wait for.
	Cut(cause error)
}

// Answer writes the answer of an exchange, or relays its tunnel. On an error it is not
// whole.
func Answer(x *exchange.Exchange, s Stream, root exchange.Root) error {
	p := &x.Response
	if p.Tunnel != nil && x.Request.Upgrade != nil && accepted(x, root) {
		return relay(x, s)
	}
	if status := p.Status; status < 200 || status > 999 || p.Tunnel != nil {
		x.DropResponse()
		root.Refuse(x, exchange.Internal.Errorf("status %d is no answer over %s", status, x.Client.Protocol))
	}
	if x.Request.Upgrade != nil && p.Status < 300 {
		// RFC 8441 §5: to an extended CONNECT any 2xx says that the tunnel is open. An
		// ordinary answer, which refuses an upgrade of HTTP/1.1, must not pass for that.
		status := p.Status
		x.DropResponse()
		root.Refuse(x, exchange.UpstreamMalformed.Errorf("status %d to who asked for a tunnel, and none is open", status))
	}
	if p.Body == nil {
		p.Body = exchange.NoBody
	}
	if err := write(x, s); err != nil {
		return err
	}
	if cause := x.Cancelled(); cause != nil && exchange.ClientGone.Is(cause) {
		return cause // nothing that was said will reach the client
	}
	return nil
}

func write(x *exchange.Exchange, s Stream) error {
	p := &x.Response
	left := p.Body.Len()
	if x.Request.Method == "HEAD" || p.Status == 204 || p.Status == 304 {
		return s.Head(p, left, true)
	}
	if left == 0 {
		// The end may still say that the body is broken, or bring trailers.
		if err := atEnd(p.Body); err != nil {
			return err
		}
		t := p.Body.Trailer()
		if err := s.Head(p, 0, t == nil); err != nil || t == nil {
			return err
		}
		return s.Trailer(t)
	}
	if err := s.Head(p, left, false); err != nil {
		return err
	}
	if err := pull(p.Body, left, s); err != nil {
		return err
	}
	if t := p.Body.Trailer(); t != nil {
		return s.Trailer(t)
	}
	return s.End()
}

// pull moves the body to the client, and flushes whenever the next piece would keep the
// client waiting for what is there.
func pull(body exchange.Body, left int64, s Stream) error {
	ready, _ := body.(exchange.Ready)
	for left != 0 {
		if ready == nil || !ready.Ready() {
			if err := s.Flush(); err != nil {
				return err
			}
		}
		p, err := body.Next()
		switch {
		case err == io.EOF && left < 0:
			return nil
		case err == io.EOF:
			return exchange.UpstreamBroken.Errorf("the body ended %d bytes short", left)
		case err != nil:
			return err
		case left > 0 && int64(len(p)) > left:
			return errTooLong()
		case left > 0:
			left -= int64(len(p))
		}
		if err := s.Data(p); err != nil {
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
		return errTooLong()
	default:
		return err
	}
}

func errTooLong() error {
	return exchange.UpstreamBroken.Errorf("the body is longer than announced")
}
