package policy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
)

func costly(x *exchange.Exchange) error {
	x.Response.Status = 200
	x.Response.Header.Add("X-Cost", "5")
	return nil
}

func hourly(n int64) Allowance { return Allowance{Count: n, Per: time.Hour, Key: "client.ip"} }

// What a response states as its cost is charged by every rule that reads the
// field, in one policy or several, and the client does not see it.
func TestStatedCostIsChargedByAll(t *testing.T) {
	env := limitEnv(t)
	link, faults := Chain(env, []config.Policy{
		{Name: "limit", Spec: &Limit{{Rate: hourly(100), CostHeader: "X-Cost", Name: "a"}, {Rate: hourly(200), CostHeader: "x-cost", Name: "b"}}},
		{Name: "quota", Spec: &Quota{{Limit: hourly(300), CostHeader: "X-Cost", Name: "c"}}},
	})
	if faults != nil {
		t.Fatal(faults)
	}
	x := from("10.1.2.3")
	if err := link(exchange.HandlerFunc(costly)).Serve(x); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"a": 95, "b": 195, "c": 295} {
		if d, _ := env.Store.Find(name).Peek([]byte("10.1.2.3")); d.Remaining != want {
			t.Errorf("%s: %d left, want %d", name, d.Remaining, want)
		}
	}
	if x.Response.Header.Has("X-Cost") {
		t.Error("the client sees the cost")
	}
}

// A service and its route may both name the field: both charge what it says, and it goes
// no further. Without it, each charges the cost of its own.
func TestStatedCostIsChargedByServiceAndRoute(t *testing.T) {
	env := limitEnv(t)
	chain := func(name string) exchange.Middleware {
		own := *env // a route and a service are compiled apart
		link, faults := Chain(&own, []config.Policy{{Name: "limit", Spec: &Limit{{Rate: hourly(100), CostHeader: "X-Cost", Name: name}}}})
		if faults != nil {
			t.Fatal(faults)
		}
		return link
	}
	route, service := chain("route"), chain("service")
	for i, end := range []func(*exchange.Exchange) error{costly, func(x *exchange.Exchange) error { x.Response.Status = 200; return nil }} {
		x := from("10.1.2.3")
		if err := route(service(exchange.HandlerFunc(end))).Serve(x); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"route", "service"} {
			if d, _ := env.Store.Find(name).Peek([]byte("10.1.2.3")); d.Remaining != []int64{95, 94}[i] {
				t.Errorf("%s: %d left after request %d", name, d.Remaining, i+1)
			}
		}
		if x.Response.Header.Has("X-Cost") {
			t.Error("the client sees the cost")
		}
		x.Done()
	}
}

// A plan without a limit charges nothing, and hides the field all the same.
func TestStatedCostOfAPlanWithoutALimit(t *testing.T) {
	h := limiting(t, limitEnv(t), &Limit{{Rate: hourly(10), By: "'free'", Plans: []Plan{{Name: "free", Off: true}}, CostHeader: "X-Cost"}}).(*metered)
	h.next = exchange.HandlerFunc(costly)
	x := from("10.1.2.3")
	if err := h.Serve(x); err != nil || x.Response.Header.Has("X-Cost") {
		t.Error("the client sees the cost", err)
	}
}

// One name is one state: rules that share it must agree also about its size.
func TestOneNameOneSize(t *testing.T) {
	env := limitEnv(t)
	limiting(t, env, &Limit{{Rate: hourly(10), Name: "n", MaxKeys: 1000}})
	if _, err := (&Limit{{Rate: hourly(10), Name: "n", MaxKeys: 2000}}).Compile(env); err == nil {
		t.Error("two sizes of one limit are taken")
	}
}

// A call that the gateway makes for an exchange counts under the same client,
// waits in the same queue, and leaves it with its parent.
func TestLimitsOfAChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := limitEnv(t)
		h := limiting(t, env, &Limit{{Rate: hourly(2), Name: "n", Queue: &Queue{Max: 10, Wait: time.Hour}}})
		x := from("10.1.2.3")
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			c := x.Child(ctx, exchange.Request{Method: "GET"})
			if err := h.Serve(c); err != nil {
				t.Fatal(err)
			}
			c.Done()
		}
		if d, _ := env.Store.Find("n").Peek([]byte("10.1.2.3")); d.Remaining != 0 {
			t.Errorf("%d are left", d.Remaining)
		}
		began := time.Now()
		time.AfterFunc(time.Minute, cancel)
		c := x.Child(ctx, exchange.Request{Method: "GET"})
		if err := h.Serve(c); !exchange.ClientGone.Is(err) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		c.Done()
		x.Done()

		crowded := limiting(t, env, &Concurrency{Max: Slots{Max: 1}})
		first := x.Child(t.Context(), exchange.Request{})
		if err := crowded.Serve(first); err != nil {
			t.Fatal(err)
		}
		second := x.Child(t.Context(), exchange.Request{})
		if err := crowded.Serve(second); !exchange.Overloaded.Is(err) {
			t.Errorf("a second call at a time: %v", err)
		}
		first.Done()
		if err := crowded.Serve(second); err != nil {
			t.Errorf("the slot was not given back: %v", err)
		}
		second.Done()
	})
}
