package exchange

import (
	"strings"
	"testing"
	"testing/synctest"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A traceparent is taken as the specification has it, or not at all.
func TestParseTraceparent(t *testing.T) {
	for _, c := range []struct {
		name, value string
		ok, sampled bool
	}{
		{"sampled", traceparent, true, true},
		{"not sampled", traceparent[:54] + "0", true, false},
		{"random", traceparent[:54] + "3", true, true},
		{"unknown flags", traceparent[:53] + "ff", true, true},
		{"a later version", "cc" + traceparent[2:], true, true},
		{"a later version with more", "cc" + traceparent[2:] + "-what-comes", true, true},
		{"a later version with a tail", "cc" + traceparent[2:] + "x", false, false},
		{"version 00 with more", traceparent + "-more", false, false},
		{"version ff", "ff" + traceparent[2:], false, false},
		{"upper case", strings.ToUpper(traceparent), false, false},
		{"no trace", "00-" + strings.Repeat("0", 32) + traceparent[35:], false, false},
		{"no parent", traceparent[:36] + strings.Repeat("0", 16) + "-01", false, false},
		{"short", traceparent[:54], false, false},
		{"empty", "", false, false},
		{"other separators", strings.ReplaceAll(traceparent, "-", "_"), false, false},
		{"no hexadecimal", strings.Replace(traceparent, "0af7", "0ag7", 1), false, false},
	} {
		got, ok := ParseTraceparent([]byte(c.value))
		if ok != c.ok || got.Sampled != c.sampled {
			t.Errorf("%s: ok %v, sampled %v", c.name, ok, got.Sampled)
		}
		if ok && (got.ID.String() != traceparent[3:35] || got.Parent.String() != traceparent[36:52]) {
			t.Errorf("%s: %v %v", c.name, got.ID, got.Parent)
		}
	}
}

func TestValidTracestate(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("a=1,", 32), ",")
	for value, want := range map[string]bool{
		"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE": true,
		" rojo=1 ,\tcongo=2":                      true,
		"fw529a3039@dt=FfD;=":                     false,
		"tenant@sys=x":                            true,
		"a@b@c=x":                                 false,
		"=x":                                      false,
		"a=":                                      false,
		"A=x":                                     false,
		"a":                                       false,
		"":                                        true,
		",,a=1,,":                                 true,
		many:                                      true,
		many + ",b=2":                             false,
		"a=" + strings.Repeat("x", 256):           true,
		"a=" + strings.Repeat("x", 257):           false,
		strings.Repeat("k", 256) + "=1":           true,
		strings.Repeat("k", 257) + "=1":           false,
		strings.Repeat("t", 241) + "@" + strings.Repeat("s", 14) + "=1": true,
		strings.Repeat("t", 242) + "@s=1":                               false,
		"a=" + "x\x7f":                                                  false,
	} {
		var h Header
		h.Add("tracestate", value)
		if got := ValidTracestate(&h); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	var h Header // the fields together are one list
	h.Add("Tracestate", many)
	h.Add("tracestate", "b=1")
	if ValidTracestate(&h) {
		t.Error("33 members in two fields")
	}
}

// What is accepted is told on as the same place in the same trace.
func FuzzTraceparent(f *testing.F) {
	f.Add([]byte(traceparent), []byte("a=1,b@c=2"))
	f.Add([]byte("cc"+traceparent[2:]+"-x"), []byte(" ,="))
	f.Add([]byte("ff"+traceparent[2:]), []byte("a=\x00"))
	f.Fuzz(func(t *testing.T, parent, state []byte) {
		var h Header
		h.AddBytes("tracestate", state)
		if ValidTracestate(&h) && !ValidValue(state) {
			t.Errorf("tracestate %q is valid and no field value", state)
		}
		tr, ok := ParseTraceparent(parent)
		if !ok {
			return
		}
		if tr.ID == (TraceID{}) || tr.Parent == (SpanID{}) {
			t.Fatalf("%q names nothing", parent)
		}
		told := tr.appendTraceparent(nil, tr.Parent)
		again, ok := ParseTraceparent(told)
		if !ok || again != tr || len(told) != TraceparentLen {
			t.Fatalf("%q was told on as %q", parent, told)
		}
		if string(told[2:53]) != string(parent[2:53]) {
			t.Fatalf("%q became %q", parent, told)
		}
	})
}

// Of an exchange that is not recorded nothing is kept, and nothing is allocated.
func TestUnrecordedExchangesAllocateNothing(t *testing.T) {
	var x Exchange
	if n := testing.AllocsPerRun(100, func() {
		x.BeginPolicy("limit")
		x.EndPolicy(nil)
		x.EndSpan(x.BeginSpan(SpanCall, "user", "users"), nil, 0)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Policies that took no time, and more spans than can be told, are left out.
func TestSpansAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where nothing takes time
		var x Exchange
		x.Trace.ID, x.Trace.Span, x.Trace.Spans = NewTraceID(), NewSpanID(), new(Spans)
		x.BeginPolicy("limit")
		x.EndPolicy(nil)
		x.BeginPolicy("opa")
		x.EndPolicy(Forbidden.Because(nil))
		if list := x.Trace.Spans.All(); len(list) != 1 || list[0].Name != "opa" || list[0].Code != Forbidden.Name || list[0].Parent != x.Trace.Span {
			t.Errorf("%+v", list)
		}
		for range maxSpans + 4 {
			x.EndSpan(x.BeginSpan(SpanCall, "user", "users"), nil, 0)
		}
		if s := x.Trace.Spans; len(s.All()) != maxSpans || s.Lost != 5 {
			t.Errorf("%d spans, %d lost", len(s.All()), s.Lost)
		}
	})
}
