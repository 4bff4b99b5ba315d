package cache

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

// kit is a cache in front of a service that answers as a func says.
type kit struct {
	set     *Set
	storage *Storage
	cache   *Cache
	serve   exchange.Handler
	calls   atomic.Int32
}

func newKit(t testing.TB, change func(*Rules), service func(k *kit, x *exchange.Exchange) error) *kit {
	t.Helper()
	k := &kit{set: NewSet()}
	r := Rules{Owner: "r", TTL: time.Minute, Respect: true, Wait: 5 * time.Second, MaxBody: 1 << 10, Get: true, Head: true,
		Statuses: func(s int) bool { return s == 200 || s == 404 }}
	if change != nil {
		change(&r)
	}
	var err error
	if k.storage, err = k.set.Open("shared", 1<<20); err != nil {
		t.Fatal(err)
	}
	counts, _ := k.set.Counts("r")
	k.cache = k.storage.New(r, counts)
	k.serve = k.cache.Middleware(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		k.calls.Add(1)
		return service(k, x)
	}))
	t.Cleanup(func() { k.cache.Close(); k.storage.Close() })
	return k
}

func says(body string, fields ...string) func(*kit, *exchange.Exchange) error {
	return func(_ *kit, x *exchange.Exchange) error {
		x.Response.Status = 200
		for i := 0; i < len(fields); i += 2 {
			x.Response.Header.Add(fields[i], fields[i+1])
		}
		x.Response.Body = exchange.BytesBody([]byte(body))
		return nil
	}
}

func get(target string, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Client: &exchange.Client{Addr: netip.MustParseAddrPort("10.1.2.3:4711")}, Start: time.Now()}
	path, query, found := strings.Cut(target, "?")
	x.Request = exchange.Request{Method: "GET", Scheme: "https", Host: []byte("a.example"), Authority: []byte("a.example"), Path: []byte(path), Body: exchange.NoBody}
	if found {
		x.Request.Query = []byte(query)
	}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Header.Add(fields[i], fields[i+1])
	}
	x.Arm()
	return x
}

// ask serves x and returns the body and Cache-Status.
func (k *kit) ask(t testing.TB, x *exchange.Exchange) (body, status string) {
	t.Helper()
	defer x.Done()
	if err := k.serve.Serve(x); err != nil {
		t.Error(err)
		return
	}
	b, err := exchange.ReadAll(x.Response.Body, 1<<30)
	if err != nil {
		t.Error(err)
	}
	return string(b), string(x.Response.Header.Get("Cache-Status"))
}

func TestManyMissesAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
			time.Sleep(time.Second)
			return says("page")(k, x)
		})
		for range 50 {
			go func() {
				if body, _ := k.ask(t, get("/a")); body != "page" {
					t.Error(body)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := k.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		if o := k.set.State().Owners[0]; o.Collapsed != 49 || o.Misses != 1 {
			t.Errorf("%+v", o)
		}
	})
}

func TestOneWhoLeavesFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
			select {
			case <-x.Context().Done():
				return exchange.ClientGone.Because(nil)
			case <-time.After(time.Second):
				return says("page")(k, x)
			}
		})
		first := get("/a")
		go func() {
			if err := k.serve.Serve(first); !exchange.ClientGone.Is(err) {
				t.Error(err)
			}
		}()
		synctest.Wait()
		for range 5 {
			go func() {
				if body, _ := k.ask(t, get("/a")); body != "page" {
					t.Error(body)
				}
			}()
		}
		time.Sleep(100 * time.Millisecond)
		first.Cancel(errors.New("gone"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := k.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestAWaitHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(r *Rules) { r.Wait = time.Second }, func(k *kit, x *exchange.Exchange) error {
			if k.calls.Load() == 1 {
				time.Sleep(time.Minute)
			}
			return says("page")(k, x)
		})
		go k.ask(t, get("/a"))
		synctest.Wait()
		begin := time.Now()
		k.ask(t, get("/a"))
		if d := time.Since(begin); d != time.Second {
			t.Errorf("waited %v", d)
		}
		late := get("/a2")
		go k.ask(t, get("/a2"))
		late.Deadline = time.Now().Add(-1)
		time.Sleep(time.Minute)
	})
}

// What is for one client is asked for by each: the others don't stand in line.
func TestNobodyWaitsForWhatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
			time.Sleep(time.Second)
			return says("mine", "Set-Cookie", "a=1")(k, x)
		})
		begin := time.Now()
		for range 2 {
			done := make(chan bool)
			for range 10 {
				go func() { k.ask(t, get("/a")); done <- true }()
			}
			for range 10 {
				<-done
			}
		}
		if d := time.Since(begin); d > 3*time.Second { // one that finds out, the others, all of the second time
			t.Errorf("took %v", d)
		}
	})
}

func TestTheServicesFailureIsSharedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
			time.Sleep(time.Second)
			return exchange.ConnectFailed.Because(nil)
		})
		for range 10 {
			go func() {
				if err := k.serve.Serve(get("/a")); !exchange.ConnectFailed.Is(err) {
					t.Error(err)
				}
			}()
		}
		time.Sleep(3 * time.Second)
		if n := k.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestAnOldAnswerIsGivenWhileOneFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(r *Rules) { r.StaleWhileRevalidate = time.Minute }, func(k *kit, x *exchange.Exchange) error {
			time.Sleep(time.Second)
			return says(fmt.Sprint("page ", k.calls.Load()), "Cache-Control", "max-age=10")(k, x)
		})
		k.ask(t, get("/a"))
		time.Sleep(15 * time.Second)
		for range 20 {
			x := get("/a")
			body, status := k.ask(t, x)
			x.Request.Header.Reset()
			copy(x.Request.Path, "/z") // what it had is somebody else's now
			if body != "page 1" || status != "gopura; hit; ttl=-5" {
				t.Error(body, status)
			}
		}
		time.Sleep(2 * time.Second)
		if body, _ := k.ask(t, get("/a")); body != "page 2" || k.calls.Load() != 2 {
			t.Error(body, k.calls.Load())
		}
		time.Sleep(2 * time.Minute)
		k.ask(t, get("/a"))
		if k.calls.Load() != 3 {
			t.Error("too old to be given")
		}
	})
}

func TestALargeAnswerPassesAndIsNotKept(t *testing.T) {
	large := strings.Repeat("x", 3000)
	for _, known := range []bool{true, false} {
		k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
			says("")(k, x)
			x.Response.Body = &pieces{rest: large, known: known}
			return nil
		})
		for range 2 {
			if body, status := k.ask(t, get("/a")); body != large || strings.Contains(status, "stored") {
				t.Errorf("%d bytes, %s", len(body), status)
			}
		}
		if k.calls.Load() != 2 {
			t.Error("it was kept")
		}
	}
}

// pieces is a body that comes in pieces.
type pieces struct {
	exchange.Body
	rest  string
	known bool
}

func (p *pieces) Next() ([]byte, error) {
	if p.rest == "" {
		return nil, io.EOF
	}
	n := min(700, len(p.rest))
	b := []byte(p.rest[:n])
	p.rest = p.rest[n:]
	return b, nil
}

func (p *pieces) Len() int64 {
	if p.known {
		return int64(len(p.rest))
	}
	return -1
}
func (p *pieces) Trailer() *exchange.Header { return nil }
func (p *pieces) Close() error              { return nil }

func TestIdentitiesAreKeptApart(t *testing.T) {
	page := func(k *kit, x *exchange.Exchange) error { return says("of "+x.Identity.Name+x.Identity.Sub)(k, x) }
	as := func(name, sub string) *exchange.Exchange {
		x := get("/me", "Authorization", "Bearer "+sub)
		x.Identity = &exchange.Identity{Name: name, Sub: sub}
		return x
	}
	k := newKit(t, func(r *Rules) { r.PerIdentity = true }, page)
	for range 2 {
		for _, who := range [][2]string{{"a", "1"}, {"b", "1"}, {"a", "2"}} {
			if body, _ := k.ask(t, as(who[0], who[1])); body != "of "+who[0]+who[1] {
				t.Error(body)
			}
		}
	}
	if k.calls.Load() != 3 {
		t.Errorf("%d calls", k.calls.Load())
	}
	k = newKit(t, nil, page)
	k.ask(t, as("a", "1"))
	if body, _ := k.ask(t, as("a", "2")); body != "of a2" {
		t.Error(body)
	}
}

// A personal answer takes nothing from those who are nobody in particular.
func TestAPersonalAnswerLeavesTheCommonOne(t *testing.T) {
	k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
		if x.Request.Header.Has("Cookie") {
			return says("mine")(k, x)
		}
		return says("common")(k, x)
	})
	for range 3 {
		if body, _ := k.ask(t, get("/a")); body != "common" {
			t.Error(body)
		}
		if body, _ := k.ask(t, get("/a", "Cookie", "a=1")); body != "mine" {
			t.Error(body)
		}
	}
	if k.calls.Load() != 4 {
		t.Errorf("%d calls", k.calls.Load())
	}
}

func TestVariantsAreBounded(t *testing.T) {
	k := newKit(t, nil, says("page", "Vary", "X-Any"))
	for i := range 3 * maxVariants {
		k.ask(t, get("/a", "X-Any", fmt.Sprint(i)))
	}
	n := 0
	for range k.storage.entries.All() {
		n++
	}
	if n > maxVariants+1 {
		t.Errorf("%d entries", n)
	}
}

func TestPurge(t *testing.T) {
	k := newKit(t, nil, says("page"))
	fill := func() {
		for _, p := range []string{"/a", "/a?x=1", "/ab", "/b"} {
			k.ask(t, get(p))
		}
	}
	for _, c := range []struct {
		pattern string
		n       int
	}{{"https://a.example/a", 1}, {"https://a.example/a?x=1", 1}, {"https://a.example/a*", 3}, {"https://a.example*", 4}, {"*", 4}, {"http://a.example/a", 0}} {
		fill()
		if n, err := k.set.Purge(c.pattern); n != c.n || err != nil {
			t.Errorf("%s: %d %v", c.pattern, n, err)
		}
	}
	for _, p := range []string{"", "/a", "a.example/a", "ftp://a.example/"} {
		if _, err := k.set.Purge(p); err == nil {
			t.Errorf("%q passes", p)
		}
	}
}

// What was asked for before a purge or a change is older than it.
func TestWhatIsUnderWayIsNotKept(t *testing.T) {
	for _, change := range []func(k *kit){
		func(k *kit) { k.set.Purge("*") },
		func(k *kit) {
			x := get("/a")
			x.Request.Method = "DELETE"
			k.serve.Serve(x)
		},
	} {
		k := newKit(t, nil, func(k *kit, x *exchange.Exchange) error {
			if x.Request.Method == "GET" && k.calls.Load() == 1 {
				change(k)
			}
			return says("page")(k, x)
		})
		k.ask(t, get("/a"))
		before := k.calls.Load()
		k.ask(t, get("/a"))
		if k.calls.Load() == before {
			t.Error("the old answer was given")
		}
	}
}

func TestAHitAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	k := newKit(t, nil, says("page", "Content-Type", "text/html", "ETag", `"1"`, "Vary", "Accept-Encoding"))
	x := get("/a?b=1", "Accept-Encoding", "gzip, br", "Accept", "*/*", "User-Agent", "test")
	k.ask(t, x)
	client, req := x.Client, x.Request
	n := testing.AllocsPerRun(200, func() {
		x.Reset()
		x.Client, x.Request = client, req
		if err := k.serve.Serve(x); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 { // the body's reader
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHit(b *testing.B) {
	k := newKit(b, nil, says("page", "Content-Type", "text/html", "ETag", `"1"`))
	x := get("/a?b=1", "Accept-Encoding", "gzip, br", "Accept", "*/*", "User-Agent", "test")
	k.ask(b, x)
	client, req := x.Client, x.Request
	b.ReportAllocs()
	for b.Loop() {
		x.Reset()
		x.Client, x.Request = client, req
		k.serve.Serve(x)
	}
}
