package route

import (
	"strings"

	"gopura/exchange"
)

// test compares the first value of the name; nil is none.
func (v *Value) test(b []byte) bool {
	if b == nil || v.Kind == Absent {
		return b == nil && v.Kind == Absent
	}
	switch v.Kind {
	case Exact:
		return string(b) == v.Text
	case Prefix:
		return len(b) >= len(v.Text) && string(b[:len(v.Text)]) == v.Text
	case Regexp:
		return v.Regexp.Match(b)
	}
	return true
}

// Header names compare without case, query names with it.
func foldName(a, b string) bool { return strings.EqualFold(a, b) }
func sameName(a, b string) bool { return a == b }

// contradiction names two conditions of r that exclude each other.
func (m *meeting) contradiction(r *rule) string {
	for i := range r.headers {
		if !m.valuesMeet(r.headers[:i], r.headers[i:i+1], foldName) {
			return "header " + r.headers[i].Name
		}
	}
	for i := range r.query {
		if !m.valuesMeet(r.query[:i], r.query[i:i+1], sameName) {
			return "query " + r.query[i].Name
		}
	}
	return ""
}

// valuesMeet reports whether some request may satisfy both lists.
func (m *meeting) valuesMeet(a, b []Value, same func(a, b string) bool) bool {
	for i := range a {
		for j := range b {
			if same(a[i].Name, b[j].Name) && !m.valueMeets(&a[i], &b[j]) {
				return false
			}
		}
	}
	return true
}

// valueMeets reports whether some value of one name may satisfy both.
func (m *meeting) valueMeets(a, b *Value) bool {
	if a.Kind > b.Kind {
		a, b = b, a
	}
	switch {
	case a.Kind == Absent || b.Kind == Absent:
		return a.Kind == b.Kind
	case a.Kind == Present:
		return true
	case a.Kind == Exact:
		return b.test([]byte(a.Text))
	case b.Kind == Prefix:
		return strings.HasPrefix(a.Text, b.Text) || strings.HasPrefix(b.Text, a.Text)
	}
	p, q := a.program(), b.program()
	return p == nil || q == nil || m.possible(p, q)
}

// valuesImply reports whether what satisfies a surely satisfies b.
func valuesImply(a, b []Value, same func(a, b string) bool) bool {
	for j := range b {
		implied := false
		for i := range a {
			implied = implied || same(a[i].Name, b[j].Name) && a[i].implies(&b[j])
		}
		if !implied {
			return false
		}
	}
	return true
}

func (v *Value) implies(o *Value) bool {
	switch {
	case v.Kind == Absent || o.Kind == Absent:
		return v.Kind == o.Kind
	case o.Kind == Present:
		return true
	case v.Kind == Exact:
		return o.test([]byte(v.Text))
	case v.Kind == Prefix:
		return o.Kind == Prefix && strings.HasPrefix(v.Text, o.Text)
	}
	return v.Kind == Regexp && o.Kind == Regexp && v.Regexp.String() == o.Regexp.String()
}

// testHeader compares the first field of the name.
func (v *Value) testHeader(x *exchange.Exchange) bool { return v.test(x.Request.Header.Get(v.Name)) }
