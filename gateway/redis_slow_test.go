package gateway_test

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// With a store that is slow, requests are as fast as before in leased mode; in
// exact mode they wait for it, and no longer than the timeout.
func TestASlowStore(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const noise = 100 * time.Millisecond // of a median, on a busy machine
	for _, c := range []struct {
		mode    string
		timeout time.Duration
		late    time.Duration
		least   time.Duration // of the median wait
		most    time.Duration
		up      float64
	}{
		{"leased", time.Second, 200 * time.Millisecond, 0, noise, 1},
		{"leased", 50 * time.Millisecond, 200 * time.Millisecond, 0, noise, 0},
		{"exact", time.Second, 200 * time.Millisecond, 200 * time.Millisecond, 200*time.Millisecond + noise, 1},
		{"exact", 100 * time.Millisecond, 400 * time.Millisecond, 0, noise, 0}, // the breaker opens
	} {
		t.Run(fmt.Sprintf("%s, timeout %v, +%v", c.mode, c.timeout, c.late), func(t *testing.T) {
			t.Parallel()
			link := badLinkTo(t, startRedis(t).addr)
			gates := sharing(t, 1, fmt.Sprintf(`url: "redis://%s", mode: %s, timeout: %s`, link.address, c.mode, c.timeout), "2/s")
			load := startFlood(t, gates, 4, 2*time.Millisecond)
			eventually(t, func() bool { return gates[0].metric(`gopura_store_decisions_total{by="`+c.mode+`"}`) > 200 })
			_, before := load.account()
			link.slow(c.late)
			time.Sleep(time.Second) // connections that are open, leases and the breaker get used to it
			codes, waits := load.account()
			wellBehaved(t, "local", codes, waits, 3*c.timeout+busy)
			time.Sleep(time.Second)
			codes, waits = load.account()
			wellBehaved(t, "local", codes, waits, c.timeout+busy)
			if len(waits) == 0 {
				t.Fatal("no answers")
			}
			middle := waits[len(waits)/2]
			t.Logf("median wait %v (%v before, 99%% within %v), %v", middle, before[len(before)/2], waits[len(waits)*99/100], codes)
			if middle < c.least || middle > c.most {
				t.Errorf("the median wait is %v", middle)
			}
			if codes["200"] == 0 || codes["429 rate_limited"] == 0 {
				t.Errorf("the limit does not hold: %v", codes)
			}
			if up := gates[0].metric(`gopura_store_up{store="redis"}`); up != c.up {
				t.Errorf("gopura_store_up is %v", up)
			}
			link.slow(0)
			eventually(t, func() bool { return gates[0].metric(`gopura_store_up{store="redis"}`) == 1 })
		})
	}
}

// A store that takes a connection and never says a word is a failure like others.
func TestASilentStore(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := sharing(t, 1, fmt.Sprintf(`url: "redis://%s", mode: exact`, l.Addr()), "3/day")[0]
	began := time.Now()
	for i := range 5 {
		if want, code := map[bool]int{true: 200, false: 429}[i < 3], asks(t, g, "alice"); code != want {
			t.Errorf("request %d: %d", i, code)
		}
	}
	if took := time.Since(began); took > busy {
		t.Errorf("five requests took %v", took)
	}
	if g.metric(`gopura_store_up{store="redis"}`) != 0 || g.metric(`gopura_store_decisions_total{by="local"}`) != 5 {
		t.Error("the metrics don't tell")
	}
}
