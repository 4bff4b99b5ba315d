package transcode

import (
	"bytes"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// textual reports whether one piece of text can be a value of f.
func textual(f *field) bool {
	if f.entry != nil {
		return false
	}
	if f.message == nil {
		return true
	}
	switch f.message.form {
	case timestamp, duration, wrapper, fieldMask:
		return true
	}
	return false
}

// set appends a field that a path, a query or a template gives as text. What
// comes later on the wire takes the place of what came before, and of a repeated
// field it is one more element: so nothing has to be looked for.
func (d *decoder) set(p fieldPath, text []byte) *FieldError {
	f := p[0]
	if len(p) > 1 {
		d.out = append(d.out, f.one...)
		start := d.open()
		if err := d.set(p[1:], text); err != nil {
			return err
		}
		d.close(start)
		return nil
	}
	d.out = append(d.out, f.one...)
	if f.message == nil {
		return d.textScalar(f, text)
	}
	start := d.open()
	var detail string
	switch f.message.form {
	case timestamp:
		d.out, detail = appendTimestamp(append(d.out, noTime...), string(text))
	case duration:
		d.out, detail = appendDuration(append(d.out, noTime...), text)
	case fieldMask:
		if bytes.IndexByte(text, '_') >= 0 { // as in the .proto file
			for path := range bytes.SplitSeq(text, []byte(",")) {
				if !validPath(path) {
					return flaw("a list of fields such as name,price.amount is expected")
				}
				d.out = protowire.AppendBytes(append(d.out, 1<<3|2), path)
			}
			break
		}
		d.out, detail = appendFieldMask(d.out, text)
	case wrapper:
		v := &f.message.fields[0]
		d.out = append(d.out, v.one...)
		if err := d.textScalar(v, text); err != nil {
			return err
		}
	default:
		return flaw("is a message: only its fields can be set")
	}
	if detail != "" {
		return flaw(detail)
	}
	d.close(start)
	return nil
}

// noTime is seconds and nanoseconds of zero: a part that is zero is not written,
// and would leave what came before.
var noTime = []byte{1 << 3, 0, 2 << 3, 0}

// textScalar appends a value written as text, without the quotes of JSON.
func (d *decoder) textScalar(f *field, text []byte) *FieldError {
	switch f.kind {
	case protoreflect.StringKind:
		if !utf8.Valid(text) {
			return flaw("is not valid UTF-8")
		}
		d.out = protowire.AppendBytes(d.out, text)
		return nil
	case protoreflect.BytesKind:
		return d.base64(text)
	case protoreflect.BoolKind:
		switch string(text) {
		case "true", "1":
			d.out = append(d.out, 1)
		case "false", "0":
			d.out = append(d.out, 0)
		default:
			return flaw("true or false is expected")
		}
		return nil
	case protoreflect.EnumKind:
		v, ok := f.enum.numbers[string(text)]
		if !ok {
			n, number := parseInt(text, 32)
			if !number || numberEnd(text) != len(text) || len(text) == 0 {
				return flaw("the enum has no such name")
			}
			v = int32(n)
		}
		d.out = protowire.AppendVarint(d.out, uint64(int64(v)))
		return nil
	}
	var ok bool
	if len(text) > 0 && numberEnd(text) == len(text) || f.kind == protoreflect.FloatKind || f.kind == protoreflect.DoubleKind {
		d.out, ok = appendNumber(d.out, f.kind, text, true)
	}
	if !ok {
		return expected(f.kind)
	}
	return nil
}

// query sets the fields that the parameters of a query name, each once: a policy
// that looks at the first of two must not have looked at what doesn't count.
func (d *decoder) query(b *binding, query []byte, ignore bool) *FieldError {
	var room [16]fieldPath
	told := room[:0]
	for i := range b.vars {
		told = append(told, b.vars[i].path)
	}
	for n := 0; len(query) > 0; n++ {
		var part []byte
		part, query, _ = bytes.Cut(query, []byte("&"))
		if len(part) == 0 {
			continue
		}
		name, text, _ := bytes.Cut(part, []byte("="))
		name, ok1 := unplus(name)
		text, ok2 := unplus(text)
		if !ok1 || !ok2 {
			return inQuery(flaw("has an invalid escape"), name)
		}
		if n >= d.codec.limits.Items {
			return inQuery(flaw("there are more parameters than allowed"), name)
		}
		p, err := d.parameter(b, name)
		if err != nil {
			if ignore {
				continue
			}
			return inQuery(err, name)
		}
		for _, other := range told {
			if detail := clash(other, p); detail != "" {
				return inQuery(flaw(detail), name)
			}
		}
		if !p[len(p)-1].list {
			told = append(told, p)
		}
		if err := d.set(p, text); err != nil {
			return inQuery(err, name)
		}
	}
	return nil
}

// clash is why two paths can't both be set; empty: they can.
func clash(a, b fieldPath) string {
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x.oneof >= 0 && x.oneof == y.oneof:
			return "only one of its group may be set"
		default:
			return ""
		}
	}
	if len(a) != len(b) {
		return ""
	}
	return "is there twice"
}

func inQuery(e *FieldError, name []byte) *FieldError {
	e.Where, e.steps = "query", []string{clip(name)}
	return e
}

// parameter finds the field that a parameter sets: none that the path or the
// body sets.
func (d *decoder) parameter(b *binding, name []byte) (fieldPath, *FieldError) {
	if b.whole {
		return nil, flaw("there is no such parameter: the body has all fields")
	}
	var room [maxPath]*field
	p := room[:0]
	m := b.method.Input.shape
	for rest, more := name, true; more; {
		var step []byte
		step, rest, more = bytes.Cut(rest, []byte("."))
		if m == nil || m.form != plain || len(p) == maxPath {
			return nil, flaw("there is no such parameter")
		}
		f := m.named(step)
		if f == nil || f.list && more {
			return nil, flaw("there is no such parameter")
		}
		p, m = append(p, f), f.message
	}
	last := p[len(p)-1]
	switch {
	case b.body == p[0]:
		return nil, flaw("is set by the body")
	case !textual(last):
		return nil, flaw("is a message or a map: a parameter can't set it")
	}
	for i := range b.vars {
		if v := b.vars[i].path; len(v) == len(p) && v[len(v)-1] == last && v[0] == p[0] {
			return nil, flaw("is set by the path")
		}
	}
	return append(fieldPath(nil), p...), nil
}

// unplus decodes a part of a query. Without an escape it is the part itself.
func unplus(s []byte) ([]byte, bool) {
	if bytes.IndexByte(s, '%') < 0 && bytes.IndexByte(s, '+') < 0 {
		return s, true
	}
	plus := make([]byte, len(s))
	for i, c := range s {
		if c == '+' {
			c = ' '
		}
		plus[i] = c
	}
	return unescape(plus[:0], plus, false)
}
