package compose

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"gopura/exchange"
	"gopura/rawjson"
)

// respond makes the answer of the results.
func (r *run) respond() error {
	a, out := &r.plan.answer, &r.x.Response
	r.forgive()
	status, err := r.statusOf()
	if err != nil {
		return err
	}
	for i := range a.headers {
		v, err := a.headers[i].value.AppendWith(r.x.Arena.Grow(128), r.x, r.vals)
		if err != nil {
			out.Header.Truncate()
			return incomplete("header "+a.headers[i].name, err)
		}
		out.Header.AddBytes(a.headers[i].name, v)
	}
	if err := r.compose(); err != nil {
		out.Header.Truncate()
		return err
	}
	partial := r.markPartial()
	if a.meta == metaOn || a.meta == metaAsked && r.asksMeta() {
		r.addMeta(partial)
	}
	if !out.Header.Has("Content-Type") {
		out.Header.Add("Content-Type", "application/json")
	}
	if a.stream {
		out.Header.Add("Vary", "Accept")
	}
	out.Status = status
	out.Body = (*pieces)(r)
	return nil
}

func (r *run) statusOf() (int, error) {
	a := &r.plan.answer
	if a.choose == nil {
		return a.status, nil
	}
	b, err := a.choose.JSON(nil, r.x, r.vals)
	if err != nil {
		return 0, incomplete("status", err)
	}
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 200 || n > 599 {
		return 0, exchange.ComposeFailed.Errorf("status: %q is no status from 200 to 599", b)
	}
	return n, nil
}

// compose puts the answer's pieces together. Parts that no expression touches
// are not copied.
func (r *run) compose() (err error) {
	a := &r.plan.answer
	switch {
	case a.body != nil:
		if r.out, err = a.body.JSON(r.out[:0], r.x, r.vals); err != nil {
			return incomplete("respond", err)
		}
		r.piece(r.out)
	case a.merge != nil:
		return r.mergeParts(a.merge)
	case len(a.members) == 0:
		r.piece(emptyObject)
	default:
		for _, m := range a.members {
			r.piece(m.lead)
			r.piece(orNull(r.vals[m.call]))
		}
		r.piece(closeObject)
	}
	return nil
}

var (
	emptyObject = []byte("{}")
	closeObject = []byte("}")
	null        = []byte("null")
)

func orNull(v rawjson.Value) []byte {
	if b := v.Bytes(); b != nil {
		return b
	}
	return null
}

func (r *run) piece(b []byte) {
	if len(b) > 0 {
		r.pieces = append(r.pieces, b)
		r.size += int64(len(b))
	}
}

// asksMeta reports whether the client asks for _meta.
func (r *run) asksMeta() bool {
	v := r.x.Request.Header.Get("Gopura-Meta")
	return exchange.EqualFold(v, "on") || exchange.EqualFold(v, "true") || exchange.EqualFold(v, "1")
}

// addMeta adds a last member, _meta, when the answer is an object.
func (r *run) addMeta(partial bool) {
	first, end := r.pieces[0], len(r.pieces)-1
	last := bytes.TrimRight(r.pieces[end], " \t\r\n")
	if first[0] != '{' || len(last) == 0 {
		return
	}
	r.size -= int64(len(r.pieces[end]) - (len(last) - 1))
	if r.pieces[end] = last[:len(last)-1]; len(last) == 1 {
		r.pieces = r.pieces[:end]
	}
	empty := len(r.pieces) == 1 && len(bytes.TrimSpace(r.pieces[0])) == 1
	b := make([]byte, 0, 64+64*len(r.cells))
	if !empty {
		b = append(b, ',')
	}
	b = append(b, `"_meta":`...)
	b = r.appendMeta(b, partial)
	r.piece(append(b, '}'))
}

// appendMeta appends what became of each part.
func (r *run) appendMeta(b []byte, partial bool) []byte {
	b = strconv.AppendBool(append(b, `{"partial":`...), partial)
	b = append(b, `,"parts":{`...)
	for i, k := range r.plan.calls {
		c := &r.cells[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(rawjson.AppendString(b, k.name), ':')
		b = append(b, `{"status":`...)
		b = strconv.AppendInt(b, int64(c.status), 10)
		b = append(b, `,"ms":`...)
		b = appendMillis(b, c.took)
		if c.skipped {
			b = append(b, `,"skipped":true`...)
		}
		if c.err != nil {
			b = rawjson.AppendString(append(b, `,"code":`...), c.err.Code)
		}
		b = append(b, '}')
	}
	return append(b, "}}"...)
}

// appendMillis appends d in milliseconds, with one decimal.
func appendMillis(b []byte, d time.Duration) []byte {
	tenths := max(d, 0) / (100 * time.Microsecond)
	b = strconv.AppendInt(b, int64(tenths/10), 10)
	return append(b, '.', '0'+byte(tenths%10))
}

// pieces is the answer's body: what the parts were read into, in order.
type pieces run

// Next implements exchange.Body.
func (p *pieces) Next() ([]byte, error) {
	if p.at == len(p.pieces) {
		return nil, io.EOF
	}
	b := p.pieces[p.at]
	p.at++
	p.size -= int64(len(b))
	return b, nil
}

// Len implements exchange.Body.
func (p *pieces) Len() int64 { return p.size }

// Trailer implements exchange.Body.
func (p *pieces) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (p *pieces) Close() error {
	p.at, p.size = len(p.pieces), 0
	return nil
}

// Ready implements exchange.Ready.
func (p *pieces) Ready() bool { return true }
