package live_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/live"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func ended(path, client string, status int) *exchange.Exchange {
	addr := netip.AddrPortFrom(netip.MustParseAddr(client), 1)
	x := &exchange.Exchange{ID: []byte("id"), Route: "GET /users/{id}", Service: "users", Start: noon, Client: &exchange.Client{Addr: addr, Protocol: "HTTP/1.1"}}
	x.Request.Method, x.Request.Target, x.Request.Host = "GET", []byte(path), []byte("shop.example")
	x.Response.Status = status
	return x
}

func filter(t *testing.T, text string) *live.Filter {
	t.Helper()
	f, err := live.Parse(func(name string) string {
		for _, p := range strings.Fields(text) {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v
			}
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilters(t *testing.T) {
	for text, passes := range map[string]bool{
		"": true, "status=5xx": false, "status=404": true, "status=4xx": true, "route=other": false, "service=users": true,
		"client=192.0.2.1": true, "client=192.0.2.2": false, "path=/users": true, "path=/orders": false, "slower=50ms": true,
		"slower=2s": false, "method=GET host=SHOP.example": true, "method=POST": false, "code=no_route": false, "identity=alice": false,
	} {
		var room live.Room
		tail, err := room.Open(noon, filter(t, text))
		if err != nil {
			t.Fatal(err)
		}
		room.Saw(ended("/users/1", "192.0.2.1", 404), noon.Add(100*time.Millisecond))
		if got := len(tail.Records()) == 1; got != passes {
			t.Errorf("%q passes: %v", text, got)
		}
	}
	for _, bad := range []string{"status=6xx", "status=x", "client=x", "slower=x", "slower=-1s", "sample=0", "sample=2", "sample=NaN"} {
		name, value, _ := strings.Cut(bad, "=")
		if _, err := live.Parse(func(n string) string {
			if n == name {
				return value
			}
			return ""
		}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestSlowReadersAreToldWhatTheyMissed(t *testing.T) {
	var room live.Room
	tail, _ := room.Open(noon, filter(t, ""))
	for range 300 {
		room.Saw(ended("/", "192.0.2.1", 200), noon)
	}
	if n, lost := len(tail.Records()), tail.Dropped(); n != 256 || lost != 44 || tail.Dropped() != 0 {
		t.Errorf("%d wait, %d lost", n, lost)
	}
}

func TestTailsAreBounded(t *testing.T) {
	var room live.Room
	var tails []*live.Tail
	for range 8 {
		tail, err := room.Open(noon, filter(t, ""))
		if err != nil {
			t.Fatal(err)
		}
		tails = append(tails, tail)
	}
	if _, err := room.Open(noon, filter(t, "")); err != live.ErrTooMany {
		t.Error(err)
	}
	tails[3].Close()
	tails[3].Close()
	if _, err := room.Open(noon, filter(t, "")); err != nil {
		t.Error(err)
	}
}

func TestTheLatestAreKeptWhileSomebodyLooks(t *testing.T) {
	var room live.Room
	if room.Looking() {
		t.Fatal("nobody has looked")
	}
	room.Latest(noon, 1, filter(t, ""))
	for i := range 600 {
		room.Saw(ended(fmt.Sprint("/users/", i), "192.0.2.1", 200), noon)
	}
	list, since := room.Latest(noon, 1000, filter(t, ""))
	var newest struct{ Path string }
	json.Unmarshal(list[0], &newest)
	if len(list) != 500 || newest.Path != "/users/599" || !since.Equal(noon) {
		t.Errorf("%d records, the newest %s, since %v", len(list), list[0], since)
	}
	// After a minute without a look nothing is left, with traffic or without.
	room.Saw(ended("/", "192.0.2.1", 200), noon.Add(2*time.Minute))
	if room.Looking() {
		t.Error("still looking")
	}
	room.Latest(noon, 1, filter(t, ""))
	room.Sweep(noon.Add(2 * time.Minute))
	if room.Looking() {
		t.Error("still looking")
	}
}

// Of many clients the busy ones are found, in memory that does not grow.
func TestBusiestClients(t *testing.T) {
	var room live.Room
	room.Clients(noon)
	for i := range 20_000 {
		room.Saw(ended("/", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 200), noon)
		if i%5 == 0 {
			room.Saw(ended("/", "192.0.2.1", 429), noon)
		}
	}
	list, _ := room.Clients(noon.Add(10 * time.Second))
	if len(list) != 256 {
		t.Errorf("%d clients", len(list))
	}
	if c := list[0]; c.Client != "192.0.2.1" || c.Requests > 4000 || c.Requests+c.AtMostMore < 4000 || c.Limited == 0 || c.Rate < 300 {
		t.Errorf("%+v", c)
	}
	if list, _ := room.Clients(noon.Add(40 * time.Second)); len(list) == 0 {
		t.Error("the steps before are not shown")
	}
}

// Of a client there are the latencies of the last minute, and a series.
func TestAClientsNumbers(t *testing.T) {
	var room live.Room
	room.Clients(noon)
	at := noon
	for step := range 30 { // two and a half minutes, each step slower than the one before
		for i := range 100 {
			at = noon.Add(time.Duration(step)*5*time.Second + time.Duration(i)*50*time.Millisecond)
			x := ended("/", "192.0.2.1", map[bool]int{true: 503, false: 200}[i%10 == 0])
			x.Start = at.Add(-time.Duration(step+1) * 10 * time.Millisecond)
			x.Identity = &exchange.Identity{Name: "idp", Sub: "alice of wonderland"}
			room.Saw(x, at)
		}
		room.Clients(at)
	}
	list, since := room.Clients(at)
	if len(list) != 1 || list[0].ID != "client:192.0.2.1 alice of wonderland" || at.Sub(since) > 66*time.Second || list[0].AtMostMore != 0 {
		t.Fatalf("%+v since %v", list, since)
	}
	if c := list[0]; c.Requests < 1200 || c.Requests > 1300 || c.Errors < c.Requests/11 || c.Rate < 19 || c.Rate > 21 || c.P50 < 180 || c.P50 > 300 || c.P99 < c.P95 || c.P95 < c.P50 {
		t.Errorf("%+v", c)
	}
	s := room.ClientSeries(at, list[0].ID, 36)
	if len(s) != 36 || s[0].Rate != 0 || s[34].Rate < 19 || s[34].Errors < 1.9 || s[34].P50 <= s[10].P50 {
		t.Errorf("%+v", s)
	}
	if room.ClientSeries(at, "client:192.0.2.2", 10) != nil || room.ClientSeries(at, "x", 10) != nil {
		t.Error("a series of nobody")
	}
	// After long silence it begins anew, and says so.
	later := at.Add(time.Hour)
	if list, since := room.Clients(later); len(list) != 0 || !since.Equal(later) {
		t.Errorf("%+v since %v", list, since)
	}
}

// BenchmarkSaw is what an exchange costs while somebody looks.
func BenchmarkSaw(b *testing.B) {
	for _, text := range []string{"", "status=5xx"} {
		b.Run("filter "+text, func(b *testing.B) {
			var room live.Room
			f, _ := live.Parse(func(n string) string { return strings.TrimPrefix(text, n+"=") })
			if text == "" {
				f = &live.Filter{}
			} else {
				f = &live.Filter{StatusFrom: 500, StatusTo: 599}
			}
			tail, _ := room.Open(noon, f)
			x := ended("/users/1", "192.0.2.1", 200)
			b.ReportAllocs()
			for b.Loop() {
				room.Saw(x, noon)
				for len(tail.Records()) > 0 {
					<-tail.Records()
				}
			}
		})
	}
}
