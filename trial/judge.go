package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

// none is how an expectation says that there must be nothing.
const none = "none"

// judge compares the answer, and what services were sent, with what was
// expected.
func (r *run) judge(x *exchange.Exchange, body []byte) {
	e := &r.test.Expect
	if e.Status != 0 && x.Response.Status != e.Status {
		r.fail("status", fmt.Sprint(e.Status), fmt.Sprint(x.Response.Status))
	}
	code := none
	if x.Err != nil {
		code = x.Err.Code
	}
	r.word("code", e.Code, code)
	r.word("route", e.Route, x.Route)
	asked := ""
	for _, s := range r.sent {
		if asked == "" || s.service == e.Service {
			asked = s.service
		}
	}
	r.word("service", e.Service, asked)
	r.fields("", e.Headers, e.Without, &x.Response.Header)
	r.content("body", e.Body, e.JSON, body)
	for _, text := range e.Contains {
		if !bytes.Contains(body, []byte(text)) {
			r.fail("body", fmt.Sprintf("to contain %q", text), shown(body))
		}
	}
	if e.Sent != nil {
		r.judgeSent(e.Sent)
	}
}

func (r *run) judgeSent(want []config.TestSent) {
	if len(want) != len(r.sent) {
		var got []string
		for _, s := range r.sent {
			got = append(got, s.service+" "+s.request)
		}
		r.fail("sent", fmt.Sprintf("%d requests to services", len(want)), fmt.Sprintf("%d: %s", len(got), strings.Join(got, ", ")))
		return
	}
	for i := range want {
		w, s, at := &want[i], &r.sent[i], ""
		if len(want) > 1 {
			at = fmt.Sprintf("[%d]", i)
		}
		r.word("sent"+at, w.Request, s.request)
		r.word("sent"+at+" service", w.Service, s.service)
		r.word("sent"+at+" host", w.Host, s.host)
		r.fields("sent"+at+" ", w.Headers, w.Without, &s.header)
		r.content("sent"+at+" body", w.Body, w.JSON, s.body)
	}
}

// word compares a word; an empty one may be anything.
func (r *run) word(what, want, got string) {
	if got == "" {
		got = none
	}
	if want != "" && want != got {
		r.fail(what, want, got)
	}
}

// fields compares header fields: one of that name must have the value.
func (r *run) fields(prefix string, want []config.Pair, without []string, h *exchange.Header) {
	for _, w := range want {
		var got []string
		found := false
		for v := range h.Values(w.Name) {
			found = found || string(v) == w.Value
			got = append(got, string(v))
		}
		switch {
		case found:
		case len(got) == 0:
			r.fail(prefix+"header "+w.Name, fmt.Sprintf("%q", w.Value), "no such field")
		default:
			r.fail(prefix+"header "+w.Name, fmt.Sprintf("%q", w.Value), fmt.Sprintf("%q", strings.Join(got, ", ")))
		}
	}
	for _, name := range without {
		if v := h.Get(name); v != nil {
			r.fail(prefix+"header "+name, "no such field", fmt.Sprintf("%q", v))
		}
	}
}

// content compares a body, as text or as JSON.
func (r *run) content(what string, text *string, value any, got []byte) {
	if text != nil && *text != string(got) {
		r.fail(what, fmt.Sprintf("%q", *text), shown(got))
	}
	if value == nil {
		return
	}
	want, err := json.Marshal(value)
	if err != nil {
		r.fail(what, "", err.Error())
		return
	}
	a, b := decode(want), decode(got)
	if b == nil {
		r.fail(what, string(want), shown(got)+", which is no JSON")
		return
	}
	r.compare(what, *a, *b)
}

func decode(b []byte) *any {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return &v
}

// compare names the places where two values differ.
func (r *run) compare(at string, want, got any) {
	w, ok1 := want.(map[string]any)
	g, ok2 := got.(map[string]any)
	if ok1 && ok2 {
		for _, name := range union(w, g) {
			a, inWant := w[name]
			b, inGot := g[name]
			switch {
			case !inGot:
				r.fail(at+"."+name, text(a), "no such member")
			case !inWant:
				r.fail(at+"."+name, "no such member", text(b))
			default:
				r.compare(at+"."+name, a, b)
			}
		}
		return
	}
	wl, ok1 := want.([]any)
	gl, ok2 := got.([]any)
	if ok1 && ok2 && len(wl) == len(gl) {
		for i := range wl {
			r.compare(fmt.Sprintf("%s[%d]", at, i), wl[i], gl[i])
		}
		return
	}
	if !equal(want, got) {
		r.fail(at, text(want), text(got))
	}
}

// equal compares what is no object; 1, 1.0 and 1e0 are one number.
func equal(a, b any) bool {
	x, ok1 := a.(json.Number)
	y, ok2 := b.(json.Number)
	if ok1 && ok2 && x != y {
		f, err1 := x.Float64()
		g, err2 := y.Float64()
		return err1 == nil && err2 == nil && f == g && len(x) < 16 && len(y) < 16
	}
	return reflect.DeepEqual(a, b)
}

func union(a, b map[string]any) (names []string) {
	for n := range a {
		names = append(names, n)
	}
	for n := range b {
		if _, both := a[n]; !both {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return shownText(string(b))
}

func shown(b []byte) string { return fmt.Sprintf("%q", shownText(string(b))) }

func shownText(s string) string {
	const most = 400
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
