package transcode

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"gopura/exchange"
)

// answer turns what the service says into the end of the call.
func (c *restCall) answer() error {
	r := &c.x.Response
	if r.Status < 200 || r.Status > 299 {
		return c.failed()
	}
	kind := mediaType(r.Header.Get("Content-Type"))
	if coding := r.Header.Get("Content-Encoding"); len(coding) > 0 && !exchange.EqualFold(coding, "identity") {
		return c.malformed(errors.New("the answer is compressed, though that was not asked for"))
	}
	if c.b.method.ServerStreams && isLines(kind) {
		c.stream = frameStream{c: c, lines: lineReader{inner: r.Body, buf: c.stream.lines.buf[:0], max: c.t.codec.limits.line()}}
		c.begin(&c.stream)
		return nil
	}
	if r.Body == nil {
		r.Body = exchange.NoBody
	}
	body, err := c.readAnswer(c.t.codec.limits.line())
	if err != nil {
		return err
	}
	c.wire = c.wire[:0]
	switch {
	case c.b.rawReply:
		c.wrap(body)
	case len(body) > 0 && !isJSON(kind):
		return c.malformed(errors.New("the answer is not JSON"))
	case c.b.method.ServerStreams && len(bytes.TrimSpace(body)) > 0:
		err = c.array(body)
	default:
		err = c.frame(body)
	}
	if err != nil {
		return err
	}
	c.reply = frameBody{b: c.wire}
	c.reply.tail.Add("Grpc-Status", "0")
	c.begin(&c.reply)
	return nil
}

// begin makes the response one of gRPC whose messages are in body.
func (c *restCall) begin(body exchange.Body) {
	r := &c.x.Response
	responseHeader(&r.Header)
	r.Header.Set("Content-Type", "application/grpc")
	r.Status, r.Body = 200, body
}

// malformed is the error of an answer that can't be translated.
func (c *restCall) malformed(err error) error {
	if errors.Is(err, errMessageTooLarge) || errors.Is(err, errLongLine) {
		return exchange.MessageTooLarge.Because(err)
	}
	e := exchange.UpstreamMalformed.Errorf("%s: %w", c.b.method.Path, err)
	e.Detail = "The service's answer is not what the method returns."
	return e
}

// readAnswer returns the body of the answer. One that is a single piece is not
// copied.
func (c *restCall) readAnswer(limit int) ([]byte, error) {
	body := c.x.Response.Body
	n := body.Len()
	if n > int64(limit) {
		return nil, c.malformed(errMessageTooLarge)
	}
	c.in = c.in[:0]
	for {
		p, err := body.Next()
		if err == io.EOF {
			return c.in, nil
		}
		if err != nil {
			return nil, err
		}
		if n >= 0 && int64(len(p)) == n && len(c.in) == 0 {
			return p, nil
		}
		if len(c.in)+len(p) > limit {
			return nil, c.malformed(errMessageTooLarge)
		}
		c.in = append(c.in, p...)
	}
}

// frame appends the message that a JSON value of the answer is to c.wire, behind
// its prefix. Nothing is an empty message.
func (c *restCall) frame(json []byte) error {
	d := c.t.codec.newDecoder(c.wire, json)
	defer d.release()
	d.out = append(d.out, 0, 0, 0, 0, 0)
	if json = bytes.TrimSpace(json); len(json) > 0 {
		if err := d.whole(func() *FieldError { return c.value(d) }); err != nil {
			return c.malformed(err)
		}
	}
	return c.seal(d)
}

// seal writes the prefix of the last message in d.out, and keeps it.
func (c *restCall) seal(d *decoder) error {
	start := len(c.wire)
	if len(d.out)-start-prefixSize > c.t.codec.limits.Message {
		return c.malformed(errMessageTooLarge)
	}
	sealFrame(d.out[start:])
	c.wire = d.out
	return nil
}

// value decodes a message of the method, or the field of it that answers show.
func (c *restCall) value(d *decoder) *FieldError {
	f := c.b.response
	switch {
	case f == nil:
		return d.message(c.b.method.Output.shape)
	case !f.nullable && d.word("null"):
		return nil
	case f.entry != nil:
		return d.mapping(f)
	case f.list:
		return d.list(f)
	}
	return d.singular(f)
}

// array appends a message for each element of a JSON array, or one for another
// value.
func (c *restCall) array(json []byte) error {
	d := c.t.codec.newDecoder(c.wire, json)
	defer d.release()
	if !d.eat('[') {
		return c.frame(json)
	}
	for n := 0; !d.eat(']'); n++ {
		if n > 0 && !d.eat(',') || n >= c.t.codec.limits.Items {
			return c.malformed(errors.New("the answer is not an array, or longer than allowed"))
		}
		d.out = append(d.out, 0, 0, 0, 0, 0)
		if err := c.value(d); err != nil {
			return c.malformed(err.within("[" + strconv.Itoa(n) + "]"))
		}
		if err := c.seal(d); err != nil {
			return err
		}
	}
	if d.space(); d.at < len(d.in) {
		return c.malformed(errors.New("there is something behind the array"))
	}
	return nil
}

// wrap appends a body as the google.api.HttpBody that it is.
func (c *restCall) wrap(body []byte) {
	kind := c.x.Response.Header.Get("Content-Type")
	inner := protowire.SizeBytes(len(body)) + 1
	if len(kind) > 0 {
		inner += protowire.SizeBytes(len(kind)) + 1
	}
	out := append(c.wire, 0, 0, 0, 0, 0)
	if f := c.b.response; f != nil {
		out = protowire.AppendVarint(append(out, f.one...), uint64(inner))
	}
	if len(kind) > 0 {
		out = protowire.AppendBytes(append(out, 1<<3|2), kind)
	}
	out = protowire.AppendBytes(append(out, 2<<3|2), body)
	sealFrame(out[len(c.wire):])
	c.wire = out
}

// mediaType is a Content-Type without its parameters.
func mediaType(kind []byte) []byte {
	kind, _, _ = bytes.Cut(kind, []byte(";"))
	return bytes.TrimSpace(kind)
}

func isLines(kind []byte) bool {
	return exchange.EqualFold(kind, "application/x-ndjson") || exchange.EqualFold(kind, "application/jsonl") || exchange.EqualFold(kind, "application/x-jsonlines")
}

func isJSON(kind []byte) bool {
	n := len(kind) - len("+json")
	return len(kind) == 0 || exchange.EqualFold(kind, "application/json") || exchange.EqualFold(kind, "text/json") || n > 0 && exchange.EqualFold(kind[n:], "+json")
}

// frameBody is the messages of an answer that is there as a whole, and the end
// of the call.
type frameBody struct {
	b    []byte
	tail exchange.Header
}

// Next implements exchange.Body.
func (f *frameBody) Next() ([]byte, error) {
	if len(f.b) == 0 {
		return nil, io.EOF
	}
	b := f.b
	f.b = nil
	return b, nil
}

// Len implements exchange.Body: only the end tells, because it has trailers.
func (f *frameBody) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (f *frameBody) Trailer() *exchange.Header { return &f.tail }

// Close implements exchange.Body.
func (f *frameBody) Close() error { f.b = nil; return nil }

// Ready implements exchange.Ready.
func (f *frameBody) Ready() bool { return true }

// frameStream is a stream of lines as messages. Each goes out as it comes.
type frameStream struct {
	c     *restCall
	lines lineReader
	tail  exchange.Header
	ended bool
}

// Next implements exchange.Body.
func (f *frameStream) Next() ([]byte, error) {
	c := f.c
	if f.ended {
		return nil, io.EOF
	}
	line, err := f.lines.line()
	if err == io.EOF {
		f.ended = true
		f.tail.Add("Grpc-Status", "0")
		return nil, err
	}
	if err == errLongLine {
		err = c.malformed(err)
	}
	if err != nil {
		f.ended = true
		return nil, err
	}
	if problem, ok := lastWords(line); ok {
		f.ended = true
		s := problem.status(c.x.Response.Status)
		s.append(&f.tail)
		f.lines.inner.Close()
		return nil, io.EOF
	}
	c.wire = c.wire[:0]
	if err := c.frame(line); err != nil {
		f.ended = true
		return nil, err
	}
	return c.wire, nil
}

// Len implements exchange.Body.
func (f *frameStream) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (f *frameStream) Trailer() *exchange.Header { return &f.tail }

// Close implements exchange.Body.
func (f *frameStream) Close() error { return f.lines.inner.Close() }

// Ready implements exchange.Ready.
func (f *frameStream) Ready() bool { return f.ended || f.lines.Ready() }
