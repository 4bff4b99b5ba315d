package h2

import "gopura/exchange"

// fill makes the exchange's request of what the header block said. What it
// returns refuses the request; the exchange then holds what was understood. A
// malformed one is reset and not answered (RFC 9113 §8.1.1).
func (st *serverStream) fill() (e *exchange.Error, malformed bool) {
	if e, malformed := st.head.Request(&st.x, st.flaw, st.c.conf.MaxTarget); e != nil {
		return e, malformed
	}
	return st.framing(), false
}

// framing gives the request its body, and a tunnel its place for one.
func (st *serverStream) framing() *exchange.Error {
	q, h := &st.x.Request, &st.head
	if h.Tunnels() {
		st.body.start(-1, false)
		st.body.silent = true
		return h.Upgrade(&st.x, st.empty)
	}
	if st.empty {
		if h.Length > 0 {
			return exchange.BadFraming.Saying("The request has ended before the body that Content-Length announces.")
		}
		return nil
	}
	q.ExpectContinue = h.Expects()
	st.body.start(h.Length, q.ExpectContinue)
	// Between the messages of a stream any time may pass; PINGs tell whether the
	// client is there.
	st.body.silent = q.Method == "POST" && exchange.StreamsMessages(q.Header.Get("Content-Type"))
	q.Body = &st.body
	return nil
}
