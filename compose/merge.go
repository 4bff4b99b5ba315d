package compose

import (
	"bytes"

	"gopura/exchange"
	"gopura/rawjson"
)

// mergeParts puts results into one another: objects into one object, lists one
// after the other, two lists of objects by a member. What is null is left out.
func (r *run) mergeParts(m *merge) (err error) {
	if m.lists != nil {
		r.out, err = m.lists.Append(r.out[:0], r.vals[m.parts[0]], r.vals[m.parts[1]])
		if err != nil {
			return incomplete("merge", err)
		}
		r.piece(r.out)
		return nil
	}
	kind := rawjson.Null
	var parts []rawjson.Value
	for _, i := range m.parts {
		v := r.vals[i]
		if v.Bytes() == nil || v.IsNull() {
			continue
		}
		if k := v.Kind(); k != rawjson.Object && k != rawjson.Array || kind != rawjson.Null && k != kind {
			return exchange.ComposeFailed.Errorf("merge: %s is %s: only objects, or only lists, can become one", r.plan.calls[i].name, article(k))
		}
		kind = v.Kind()
		parts = append(parts, v)
	}
	switch kind {
	case rawjson.Array:
		r.out = appendLists(r.out[:0], parts)
	case rawjson.Object:
		r.out = appendObjects(r.out[:0], parts)
	default:
		r.out = append(r.out[:0], null...)
	}
	r.piece(r.out)
	return nil
}

func article(k rawjson.Kind) string {
	switch k {
	case rawjson.Array, rawjson.Object:
		return "an " + k.String()
	}
	return "a " + k.String()
}

func appendLists(dst []byte, lists []rawjson.Value) []byte {
	dst = append(dst, '[')
	for _, v := range lists {
		b := v.Bytes()
		inner := bytes.TrimSpace(b[1 : len(b)-1])
		if len(inner) == 0 {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, inner...)
	}
	return append(dst, ']')
}

// appendObjects appends one object with the members of all; of two with the
// same name the later stays, where it stands.
func appendObjects(dst []byte, objects []rawjson.Value) []byte {
	last := map[string]int{}
	for i, v := range objects {
		for n := range v.Members() {
			last[n.String()] = i
		}
	}
	var b rawjson.Builder
	b.Reset(dst)
	b.Object()
	for i, v := range objects {
		for n, member := range v.Members() {
			if last[n.String()] == i {
				b.RawName(n)
				b.Raw(member)
			}
		}
	}
	b.EndObject()
	return b.Bytes()
}
