package h3

import (
	"net"
	"testing"
	"time"

	"gopura/exchange"
)

// A process that is gone without a word, and another one at its address: clients are told at once
// that their connection is gone, and make a new one, in place of waiting for half a minute.
func TestTheNextProcessResetsConnections(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	client := f.client()
	if r, err := client.Get("https://shop.test/"); err != nil || body(r) != "ok" {
		t.Fatal(r, err)
	}
	f.socket.Close()
	socket, err := net.ListenUDP("udp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	next, err := Serve(socket, *f.config.Load(), f.hooks)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	began := time.Now()
	for tries := 1; ; tries++ {
		r, err := client.Get("https://shop.test/")
		if err == nil && body(r) == "ok" {
			break
		}
		if tries == 3 {
			t.Fatal("still no answer:", err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
