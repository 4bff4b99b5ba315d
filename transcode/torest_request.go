package transcode

import (
	"bytes"
	"errors"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gopura/exchange"
)

// translate makes path, query, body and header of the request. Of the bindings
// it takes the first whose path the message can fill.
func (c *restCall) translate(list []*binding, message []byte) error {
	e := c.t.codec.newEncoder(c.json[:0])
	defer func() {
		c.json = e.out
		e.release()
	}()
	var first *FieldError
	for _, b := range list {
		fault, err := c.fillPath(e, b, message)
		if err != nil {
			return badMessage(err)
		}
		if fault == nil {
			c.b, first = b, nil
			break
		}
		if first == nil {
			first = fault
		}
	}
	if first != nil {
		return first.refusal()
	}
	if err := c.fill(e, message); err != nil {
		var fault *FieldError
		if errors.As(err, &fault) {
			return fault.refusal()
		}
		return badMessage(err)
	}
	c.fillHeader()
	return nil
}

// badMessage is the refusal of a message that can't be translated.
func badMessage(err error) error {
	if errors.Is(err, errMessageTooLarge) {
		return exchange.MessageTooLarge.Because(err)
	}
	text := err.Error()
	return exchange.RequestInvalid.Saying(strings.ToUpper(text[:1]) + text[1:] + ".")
}

// fillPath makes the path by the template of b.
func (c *restCall) fillPath(e *encoder, b *binding, message []byte) (*FieldError, error) {
	c.path = c.path[:0]
	t := b.template
	for i := 0; i < len(t.segments); {
		c.path = append(c.path, '/')
		v := varAt(b, i)
		if v == nil {
			c.path = appendEscapedPath(c.path, bytesOf(t.segments[i]), false)
			i++
			continue
		}
		start := len(e.out)
		set, err := e.textAt(b.method.Input.shape, message, v.path)
		if err != nil {
			return nil, err
		}
		text := e.out[start:]
		e.out = e.out[:start] // what stands behind lives until the next append
		if !set || len(text) == 0 {
			return flaw("is part of the path and must be set").within(v.field), nil
		}
		if !fits(text, t.segments[v.from:end(v, t)], v.multi) {
			return flaw("does not have the form that the path needs").within(v.field), nil
		}
		from := len(c.path)
		if c.path = appendEscapedPath(c.path, text, v.multi); exchange.DottedPath(c.path[from:]) {
			return flaw("does not have the form that the path needs").within(v.field), nil
		}
		i = end(v, t)
	}
	if len(t.segments) == 0 {
		c.path = append(c.path, '/')
	}
	if t.verb != "" {
		c.path = append(append(c.path, ':'), t.verb...)
	}
	return nil, nil
}

func varAt(b *binding, segment int) *boundVar {
	for i := range b.vars {
		if b.vars[i].from == segment {
			return &b.vars[i]
		}
	}
	return nil
}

// end is the segment behind those of a variable.
func end(v *boundVar, t *template) int {
	if v.to < 0 {
		return len(t.segments)
	}
	return v.to
}

// fits reports whether a value has the segments that its variable has. None may
// be empty.
func fits(text []byte, segments []string, multi bool) bool {
	if !multi {
		return true // an escaped slash is no slash
	}
	n := 0
	for part := range bytes.SplitSeq(text, []byte("/")) {
		if len(part) == 0 {
			return false
		}
		if n >= len(segments) {
			return false
		}
		switch segments[n] {
		case rest:
			continue // it takes all that follow
		case star:
		default:
			if segments[n] != string(part) {
				return false
			}
		}
		n++
	}
	return n == len(segments) || n == len(segments)-1 && segments[n] == rest
}

// appendEscapedPath appends a value for a path: what is not unreserved (RFC 3986
// §2.3) is escaped, but for the slashes of a value of several segments.
func appendEscapedPath(dst, s []byte, slash bool) []byte {
	for _, b := range s {
		if unreserved(b) || b == '/' && slash {
			dst = append(dst, b)
			continue
		}
		dst = append(dst, '%', upperHex[b>>4], upperHex[b&15])
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func unreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '.' || b == '_' || b == '~'
}

// fill makes the query and the body.
func (c *restCall) fill(e *encoder, message []byte) error {
	c.query, c.kind = c.query[:0], c.kind[:0]
	b, m := c.b, c.b.method.Input.shape
	at := len(e.found)
	if m.form != foreign {
		if err := e.index(m, message, at, len(e.oneofs)); err != nil {
			return err
		}
	}
	switch {
	case b.whole && b.raw:
		e.out = c.raw(e.out, message)
	case b.whole && m.form == plain:
		for i := range b.vars { // what the path says is not said again
			if p := b.vars[i].path; len(p) == 1 {
				e.found[at+int(p[0].index)] = span{first: -1}
			}
		}
		if err := e.object(m, at); err != nil {
			return err
		}
	case b.whole:
		if err := e.message(m, message); err != nil {
			return err
		}
	case b.body != nil:
		if err := c.fieldBody(e, b.body, e.found[at+int(b.body.index)]); err != nil {
			return err
		}
	}
	c.request.b = e.out
	if b.whole || m.form != plain {
		return nil
	}
	// The texts of the query stand behind the body for a moment.
	body := len(e.out)
	err := c.fillQuery(e, m, at, nil)
	e.out = e.out[:body]
	c.request.b = e.out
	return err
}

// fieldBody writes the field that is the body.
func (c *restCall) fieldBody(e *encoder, f *field, s span) error {
	switch {
	case c.b.raw:
		for i := s.first; i != 0; i = e.values[i-1].next {
			e.out = c.raw(e.out, e.values[i-1].bytes)
		}
		return nil
	case s.last == 0 && f.message != nil && !f.list && f.entry == nil:
		if f.message.form == plain {
			e.out = append(e.out, "{}"...)
		} else {
			e.out = append(e.out, "null"...)
		}
		return nil
	}
	return e.field(f, s)
}

// raw appends the data of a google.api.HttpBody, and keeps its type.
func (c *restCall) raw(dst, message []byte) []byte {
	_ = eachBytes(message, func(n protowire.Number, v []byte) error {
		switch n {
		case 1:
			if exchange.ValidValue(v) {
				c.kind = append(c.kind[:0], v...)
			}
		case 2:
			dst = append(dst, v...)
		}
		return nil
	})
	return dst
}

// fillQuery appends the fields of a message that neither path nor body have.
func (c *restCall) fillQuery(e *encoder, m *shape, found int, outer fieldPath) error {
	if len(outer) >= maxPath {
		return flaw("is nested too deeply for a query")
	}
	for i := range m.fields {
		f, s := &m.fields[i], e.found[found+i]
		if s.last == 0 || f.implicit(&e.values[s.last-1]) || len(outer) == 0 && f == c.b.body {
			continue
		}
		p := append(outer[:len(outer):len(outer)], f)
		if inPath(c.b, p) {
			continue
		}
		var err error
		switch {
		case textual(f):
			err = c.parameters(e, p, s)
		case f.entry == nil && !f.list && f.message.form == plain:
			at, values, oneofs := len(e.found), len(e.values), len(e.oneofs)
			if err = e.index(f.message, e.joined(s), at, oneofs); err == nil {
				err = c.fillQuery(e, f.message, at, p)
			}
			e.found, e.values, e.oneofs = e.found[:at], e.values[:values], e.oneofs[:oneofs]
		default:
			err = flaw("can't be said in a query, which is where the annotation puts it")
		}
		var fault *FieldError
		if errors.As(err, &fault) {
			return fault.within(f.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inPath reports whether the path says a field.
func inPath(b *binding, p fieldPath) bool {
next:
	for i := range b.vars {
		v := b.vars[i].path
		if len(v) != len(p) {
			continue
		}
		for j := range v {
			if v[j] != p[j] {
				continue next
			}
		}
		return true
	}
	return false
}

// parameters appends a parameter of the query for each value of a field.
func (c *restCall) parameters(e *encoder, p fieldPath, s span) error {
	f := p[len(p)-1]
	first := s.first
	if !f.list {
		first = s.last
	}
	for i, n := first, 0; i != 0; {
		v := e.values[i-1]
		i = v.next
		if f.message != nil && !f.list && s.first != s.last {
			v.bytes = e.joined(s)
		}
		if !v.packed {
			if n++; n > c.t.codec.limits.Items {
				return flaw("has more elements than allowed")
			}
			if err := c.parameter(e, p, &v); err != nil {
				return err
			}
			continue
		}
		for rest := v.bytes; len(rest) > 0; {
			one := value{}
			size := 0
			if one.number, size = number(f.wire, rest); size < 0 {
				return errWire
			}
			rest = rest[size:]
			if n++; n > c.t.codec.limits.Items {
				return flaw("has more elements than allowed")
			}
			if err := c.parameter(e, p, &one); err != nil {
				return err
			}
		}
	}
	return nil
}

// number reads a number of a packed list.
func number(wire protowire.Type, b []byte) (v uint64, n int) {
	switch wire {
	case protowire.VarintType:
		return protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		w, n := protowire.ConsumeFixed32(b)
		return uint64(w), n
	}
	return protowire.ConsumeFixed64(b)
}

func (c *restCall) parameter(e *encoder, p fieldPath, v *value) error {
	if len(c.query) > 0 {
		c.query = append(c.query, '&')
	}
	for i, f := range p {
		if i > 0 {
			c.query = append(c.query, '.')
		}
		name := f.name
		if c.t.codec.options.ProtoNames {
			name = string(f.protoKey[1 : len(f.protoKey)-2])
		}
		c.query = append(c.query, name...)
	}
	c.query = append(c.query, '=')
	start := len(e.out)
	err := e.bare(p[len(p)-1], v)
	c.query = appendEscapedPath(c.query, e.out[start:], false)
	e.out = e.out[:start]
	if len(c.query) > maxQuery {
		return flaw("makes the query longer than a URL can be")
	}
	return err
}

// maxQuery is what a query may have, in bytes: servers take hardly more.
const maxQuery = 64 << 10

// textAt appends the value of a field as text; false when it has none.
func (e *encoder) textAt(m *shape, wire []byte, p fieldPath) (set bool, err error) {
	found, values, oneofs := len(e.found), len(e.values), len(e.oneofs)
	defer func() { e.found, e.values, e.oneofs = e.found[:found], e.values[:values], e.oneofs[:oneofs] }()
	if err := e.index(m, wire, found, oneofs); err != nil {
		return false, err
	}
	f := p[0]
	s := e.found[found+int(f.index)]
	if len(p) > 1 {
		return e.textAt(f.message, e.joined(s), p[1:])
	}
	if s.last == 0 {
		if f.message != nil || f.presence {
			return false, nil
		}
		return true, e.bare(f, &value{}) // zero is not written on the wire
	}
	v := e.values[s.last-1]
	if f.message != nil {
		v.bytes = e.joined(s)
	}
	return true, e.bare(f, &v)
}

// joined returns the message of a field: parts of it one behind the other.
func (e *encoder) joined(s span) []byte {
	if s.last == 0 {
		return nil
	}
	if s.first == s.last {
		return e.values[s.last-1].bytes
	}
	var all []byte
	for i := s.first; i != 0; i = e.values[i-1].next {
		all = append(all, e.values[i-1].bytes...)
	}
	return all
}

// bare appends a value as JSON has it, without the quotes.
func (e *encoder) bare(f *field, v *value) error {
	if f.kind == protoreflect.StringKind {
		e.out = append(e.out, v.bytes...)
		return nil
	}
	if f.message != nil && f.message.form == wrapper {
		found, values, oneofs := len(e.found), len(e.values), len(e.oneofs)
		defer func() { e.found, e.values, e.oneofs = e.found[:found], e.values[:values], e.oneofs[:oneofs] }()
		if err := e.index(f.message, v.bytes, found, oneofs); err != nil {
			return err
		}
		inner := value{}
		if s := e.found[found]; s.last != 0 {
			inner = e.values[s.last-1]
		}
		return e.bare(&f.message.fields[0], &inner)
	}
	start := len(e.out)
	var err error
	if f.message != nil {
		err = e.message(f.message, v.bytes)
	} else {
		err = e.scalar(f, v.number, v.bytes)
	}
	if n := len(e.out); err == nil && n >= start+2 && e.out[start] == '"' { // none of these has an escape in it
		copy(e.out[start:], e.out[start+1:n-1])
		e.out = e.out[:n-2]
	}
	return err
}

// fillHeader makes the header: metadata are fields under their own names, by the
// rule of metadata.go.
func (c *restCall) fillHeader() {
	c.header.Truncate()
	for _, f := range c.x.Request.Header.Fields() {
		if !about(f.Name) {
			c.header.AddField(f)
		}
	}
	accept := "application/json"
	switch {
	case c.b.rawReply:
		accept = "*/*"
	case c.b.method.ServerStreams:
		accept = "application/x-ndjson, application/json;q=0.5"
	}
	c.header.Add("Accept", accept)
	if !c.b.whole && c.b.body == nil {
		return
	}
	kind := bytesOf("application/json")
	if c.b.raw {
		if kind = c.kind; len(kind) == 0 {
			kind = bytesOf("application/octet-stream")
		}
	}
	c.header.AddBytes("Content-Type", kind)
}
