package h2

import (
	"golang.org/x/net/http2"

	"gopura/exchange"
	"gopura/semantics"
)

// What the connection's reader does with the frames of a call. An error that it
// returns ends the connection, or as http2.StreamError the stream.

// gotHeaders reads a header block: an interim answer, the response head or the
// trailers.
func (k *call) gotHeaders(c *upConn, f *http2.HeadersFrame, end bool) error {
	h := &k.tail
	switch {
	case k.closed:
		h = &c.waste
		h.Truncate()
	case k.status == 0:
		h = &k.header
		h.Truncate()
	}
	if err := c.block.read(&c.link, f, h); err != nil {
		return err
	}
	head := &c.block.Head
	switch {
	case k.closed:
		return c.charge(1)
	case c.block.Flaw != nil:
		return k.malformed(c.block.Flaw.Error())
	case k.status != 0:
		return k.gotTrailers(head, end)
	}
	status, ok := head.AnswerStatus()
	if !ok {
		return k.malformed(":status is missing or no status, or stands beside another pseudo-header")
	}
	if status < 200 {
		return k.gotInterim(status, end)
	}
	return k.gotHead(status, head.Length, end)
}

func (k *call) gotInterim(status int, end bool) error {
	if end || status == 101 { // RFC 9113 §8.1, §8.6
		return k.malformed("an interim answer ends the stream or switches protocols")
	}
	if k.interims++; k.interims > maxInterim {
		return k.malformed("too many interim answers")
	}
	k.in.mu.Lock()
	k.interim = append(k.interim, interim{status, k.header})
	k.header = exchange.Header{}
	k.in.signal()
	k.in.mu.Unlock()
	return nil
}

func (k *call) gotHead(status int, length int64, end bool) error {
	bodiless := k.head || status == 204 || status == 304
	if end && length > 0 && !bodiless {
		return k.malformed("the response ended before the body that content-length announces")
	}
	k.in.mu.Lock()
	k.status, k.length, k.bodiless = status, length, bodiless
	k.closed, k.in.ended = end, end
	k.in.signal()
	k.in.mu.Unlock()
	return nil
}

func (k *call) gotTrailers(head *semantics.Head, end bool) error {
	switch {
	case !end: // RFC 9113 §8.1
		return k.malformed("a header block after the head does not end the stream")
	case head.Pseudo != 0 || head.Length >= 0:
		return k.malformed("the trailers have a pseudo-header or a content-length")
	case k.short():
		return k.malformed("the body is shorter than content-length announces")
	}
	k.finish()
	return nil
}

func (k *call) gotData(p []byte, flow int, end bool) error {
	switch {
	case k.closed:
		return k.c.charge(1)
	case k.status == 0:
		return k.malformed("DATA comes before the response head")
	case k.bodiless && len(p) > 0:
		return k.malformed("a response without a body has one")
	}
	k.received += int64(len(p))
	switch {
	case k.length >= 0 && k.received > k.length && !k.bodiless:
		return k.malformed("the body is longer than content-length announces")
	case end && k.short():
		return k.malformed("the body is shorter than content-length announces")
	}
	if err := k.in.put(p, flow, false); err != nil {
		k.refuse(http2.ErrCodeFlowControl, malformed("more DATA than the window allows"))
		return nil
	}
	if end {
		k.finish()
	}
	return nil
}

// short reports whether bytes are missing that content-length has announced.
func (k *call) short() bool { return k.length >= 0 && k.received < k.length && !k.bodiless }

// finish notes that the response is whole.
func (k *call) finish() {
	k.in.mu.Lock()
	k.closed, k.in.ended = true, true
	k.in.signal()
	k.in.mu.Unlock()
}

// gotReset notes that the target has reset the stream.
func (k *call) gotReset(why error) {
	k.in.mu.Lock()
	k.closed, k.reset = true, true
	k.in.mu.Unlock()
	k.in.fail(why)
	k.out.stop(why)
}

// malformed resets the stream, because what came on it is not valid HTTP/2.
func (k *call) malformed(why string) error {
	k.refuse(http2.ErrCodeProtocol, malformed("%s", why))
	return nil
}

// refuse resets the stream.
func (k *call) refuse(code http2.ErrCode, why error) {
	k.in.mu.Lock()
	if k.reset {
		k.in.mu.Unlock()
		return
	}
	k.closed, k.reset = true, true
	k.in.mu.Unlock()
	k.c.mu.Lock()
	k.c.framer.WriteRSTStream(k.id, code)
	k.out.stopLocked(why)
	k.c.mu.Unlock()
	k.in.fail(why)
}
