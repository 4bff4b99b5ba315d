package route

import (
	"bytes"

	"gopura/exchange"
)

// testQuery compares the first parameter of the name in the query of x. Names
// and values are compared decoded: "%61=1" is a parameter a, as it is for the
// service (a check that looked at raw names could be dodged).
func (v *Value) testQuery(x *exchange.Exchange) bool {
	raw, ok := queryValue(x.Request.Query, v.Name)
	if !ok || v.Kind == Absent {
		return !ok && v.Kind == Absent
	}
	switch v.Kind {
	case Exact:
		rest, ok := cutDecoded(raw, v.Text, true)
		return ok && len(rest) == 0
	case Prefix:
		_, ok := cutDecoded(raw, v.Text, true)
		return ok
	case Regexp:
		return v.Regexp.Match(decode(&x.Arena, raw, true))
	}
	return true
}

// queryValue returns the first parameter of that name, still encoded.
func queryValue(query []byte, name string) (raw []byte, ok bool) {
	for more := len(query) > 0; more; {
		var pair []byte
		pair, query, more = bytes.Cut(query, ampersand)
		key, value, _ := bytes.Cut(pair, equals)
		if rest, ok := cutDecoded(key, name, true); ok && len(rest) == 0 {
			return value, true
		}
	}
	return nil, false
}

// Never written to.
var ampersand, equals = []byte{'&'}, []byte{'='}
