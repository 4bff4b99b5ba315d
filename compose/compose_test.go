package compose

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
)

// A call gets its own timeout, and never more than its share of the whole.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		given := map[string]time.Duration{}
		s := service(func(x *exchange.Exchange) error {
			if x.Deadline.IsZero() {
				t.Error("no deadline")
			}
			given[string(x.Request.Path)] = x.Deadline.Sub(start)
			return answerWith(x, 200, `{"v":1}`)
		})
		p := planOf(t, `compose:
  a: GET s/a
  b: GET s/b/{a.v}
  c: { call: "GET s/c/{b.v}", timeout: 100ms }
`, map[string]exchange.Handler{"s": s})
		x := clientRequest(time.Second)
		if err := p.Serve(x); err != nil {
			t.Fatal(err)
		}
		x.Done()
		for path, want := range map[string]time.Duration{"/a": 750 * time.Millisecond, "/b/1": 850 * time.Millisecond, "/c/1": 100 * time.Millisecond} {
			if given[path] != want {
				t.Errorf("%s: %v, want %v", path, given[path], want)
			}
		}
	})
}

// A service that panics fails its part, and nothing else: not the gateway, and
// not the next exchange.
func TestPanics(t *testing.T) {
	bad := service(func(*exchange.Exchange) error { panic("out of order") })
	p := planOf(t, "compose:\n  a: GET good/\n  b: { call: GET bad/, optional: true }\n  c: { call: GET good/x, for_each: '[1, 2]' }\n",
		map[string]exchange.Handler{"good": answering("1"), "bad": bad})
	for range 3 {
		x := clientRequest(0)
		if err := p.Serve(x); err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, x); got != `{"a":1,"b":null,"c":[1,1]}` {
			t.Error(got)
		}
		if x.Calls[1].Code != "internal" {
			t.Errorf("%+v", x.Calls)
		}
		x.Done()
	}
	needed := planOf(t, "compose:\n  a: GET good/\n  b: GET bad/\n", map[string]exchange.Handler{"good": answering("1"), "bad": bad})
	x := clientRequest(0)
	if err := needed.Serve(x); !exchange.Internal.Is(err) || exchange.AsError(err).Part != "b" {
		t.Error(err)
	}
	x.Done()
}

// A client that leaves a progressive answer cancels the calls that go on, and
// they have ended when the exchange is done.
func TestStreamLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		start := time.Now()
		slow := service(func(x *exchange.Exchange) error {
			err := wait(x, time.Hour)
			ended = time.Since(start)
			return err
		})
		p := planOf(t, "compose:\n  fast: GET fast/\n  slow: GET slow/\n", map[string]exchange.Handler{"fast": answering("1"), "slow": slow})
		x := clientRequest(0)
		x.Request.Header.Add("Accept", "application/x-ndjson")
		if err := p.Serve(x); err != nil {
			t.Fatal(err)
		}
		b, err := x.Response.Body.Next()
		if err != nil || string(b) != "{\"part\":\"fast\",\"value\":1}\n" {
			t.Fatalf("%q %v", b, err)
		}
		go func() {
			time.Sleep(time.Second)
			x.Cancel(exchange.ClientGone.Because(nil))
		}()
		if b, err = x.Response.Body.Next(); !exchange.ClientGone.Is(err) {
			t.Fatalf("%q %v", b, err)
		}
		x.Done()
		if ended != time.Second || x.Err == nil || x.Err.Code != exchange.ClientGone.Name {
			t.Errorf("ended at %v, %v", ended, x.Err)
		}
	})
}

// A call that would have to be undone is waited for when another one fails, and
// then undone.
func TestUndoneInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		s := service(func(x *exchange.Exchange) error {
			asked = append(asked, x.Request.Method)
			if x.Request.Method == "POST" {
				if err := wait(x, time.Second); err != nil {
					return err
				}
			}
			return answerWith(x, 200, `{"id":3}`)
		})
		failing := service(func(x *exchange.Exchange) error {
			if err := wait(x, time.Millisecond); err != nil { // a is under way by then
				return err
			}
			return answerWith(x, 500, "")
		})
		p := planOf(t, "compose:\n  a: { call: POST s/a, compensate: 'DELETE s/a/{a.id}' }\n  b: GET failing/\n",
			map[string]exchange.Handler{"s": s, "failing": failing})
		x := clientRequest(0)
		err := p.Serve(x)
		if !exchange.PartFailed.Is(err) || strings.Join(asked, " ") != "POST DELETE" {
			t.Error(err, asked)
		}
		x.Done()
	})
}

// TestAllocations states what a composed answer costs beside its services.
func TestAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		most float64
	}{
		"three independent calls": {"compose:\n  a: GET s/a\n  b: GET s/b\n  c: GET s/c\n", 8},
		"a chain of two":          {"compose:\n  a: GET s/a\n  b: GET s/b/{a.id}\n", 4},
	} {
		body := []byte(`{"id":7,"name":"Ann"}`)
		s := service(func(x *exchange.Exchange) error {
			x.Response.Status = 200
			x.Response.Header.Add("Content-Type", "application/json")
			x.Response.Body = exchange.BytesBody(body)
			return nil
		})
		p := planOf(t, c.text, map[string]exchange.Handler{"s": s})
		x := clientRequest(0)
		client, id := x.Client, x.ID
		serve := func() {
			x.Request.Method, x.Client, x.ID, x.Start = "GET", client, id, time.Now()
			if err := p.Serve(x); err != nil {
				t.Fatal(err)
			}
			x.Done()
			x.Reset()
		}
		serve()
		n := testing.AllocsPerRun(200, serve)
		t.Logf("%s: %.0f allocations", name, n)
		if n > c.most && !raceEnabled {
			t.Errorf("%s: %.0f allocations, want %.0f at most", name, n, c.most)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for accept, want := range map[string]*format{
		"": nil, "*/*": nil, "application/json": nil, "application/x-ndjson": ndjson, "text/event-stream": events,
		"text/event-stream, application/json;q=0.9": events, "application/json, text/event-stream;q=0.5": nil,
		"application/x-ndjson;q=0": nil, "TEXT/Event-Stream; charset=utf-8": events, "application/x-ndjson;q=oops": nil,
	} {
		var h exchange.Header
		h.Add("Accept", accept)
		if got := formatOf(&h); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

// FuzzTexts: whatever stands in a call, what is made of it leads back to where
// it stood.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{"GET users/{id}", "/a?x={ id }&y={user.id}{{id}}", `{"{id}"}`, "{id: path.id, 'b': [1, {c: 2}]}", "s a.B/C {x: {y: 'z'}}", "GET {", "{}", "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, rewrite := range []func(string) (string, []insertion){
			func(s string) (string, []insertion) {
				out, list, _ := qualify(s, []string{"id", "x"})
				return out, list
			},
			quoteKeys,
		} {
			out, list := rewrite(s)
			added := 0
			for _, in := range list {
				added += in.n
			}
			if len(out) != len(s)+added {
				t.Fatalf("%q became %q with %v", s, out, list)
			}
			for i := range out {
				if at := origin(list, i); at < 0 || at > len(s) {
					t.Fatalf("%d of %q stands at %d of %q", i, out, at, s)
				}
			}
		}
		a, at, why, _ := config.ParseAsk(s)
		if at < 0 || at > len(s) || why == "" && a.Method != "" && s[a.TargetAt:] != a.Target && a.Target != "/" {
			t.Fatalf("%q: %+v %d %s", s, a, at, why)
		}
	})
}
