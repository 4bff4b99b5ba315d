package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/internal/testca"
	"gopura/store"
)

// A session of one replica resumes on another that shares its ticket keys, and
// on no other.
func TestSharedTickets(t *testing.T) {
	ca, clients, others := testca.New(t, "root"), testca.New(t, "clients"), testca.New(t, "others")
	server, alice := ca.Server("a.test"), clients.Client("alice")
	values, err := store.Sealed(store.NewValues(), strings.Repeat("k", store.MinSecret))
	if err != nil {
		t.Fatal(err)
	}
	shared := &Shared{values, "one"}
	conf := func(tickets, authority string) *config.TLS {
		return &config.TLS{Certificates: files(server), Tickets: tickets, Client: &config.ClientCerts{CA: authority, Mode: "optional"}}
	}
	first := openSharedDoor(t, conf("shared", clients.File), shared)
	second := openSharedDoor(t, conf("shared", clients.File), shared)
	alone := openSharedDoor(t, conf("local", clients.File), shared)
	foreign := openSharedDoor(t, conf("shared", others.File), shared)
	none := openSharedDoor(t, conf("off", clients.File), shared)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			what     string
			from, to *door
			resumes  bool
		}{
			{"the other replica", first, second, true},
			{"and back", second, first, true},
			{"a replica that shares nothing", first, alone, false},
			{"a replica that trusts other clients", first, foreign, false},
			{"without tickets", none, none, false},
		} {
			client := named("a.test")
			client.MaxVersion, client.Certificates = version, []tls.Certificate{alice.TLS}
			client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			tc, _, err := c.from.dial(client)
			if err != nil {
				t.Fatal(err)
			}
			tc.Close()
			if c.to == foreign {
				client.Certificates = nil // or it is refused for what it shows
			}
			tc, r, err := c.to.dial(client)
			if err != nil {
				t.Fatalf("%s: %v, %v", c.what, err, r.err)
			}
			if got := tc.ConnectionState().DidResume; got != c.resumes {
				t.Errorf("%s, %s: resumed is %v", tls.VersionName(version), c.what, got)
			}
			if c.resumes && len(r.conn.State().VerifiedChains) == 0 {
				t.Errorf("%s: the client's certificate is lost", c.what)
			}
			tc.Close()
		}
	}
}

// gone is a store that can be switched off.
type gone struct {
	Values
	off bool
}

var errGone = errors.New("gone")

func (g *gone) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if g.off {
		return nil, false, errGone
	}
	return g.Values.Get(ctx, key)
}

func (g *gone) Add(ctx context.Context, key string, value []byte, life time.Duration) (bool, error) {
	if g.off {
		return false, errGone
	}
	return g.Values.Add(ctx, key, value, life)
}

// Keys turn twice a day; each is known to all before it makes tickets; old ones
// go; an outage of the store changes nothing until the last key is too old.
func TestTicketKeysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := store.NewValues()
		type replica struct {
			ticketKeys
			store *gone
			keys  [][32]byte
		}
		open := func() *replica {
			r := &replica{store: &gone{Values: shared}}
			r.ticketKeys = ticketKeys{values: r.store, key: "tickets:x", log: quiet, apply: func(k [][32]byte) { r.keys = k }}
			r.look(t.Context())
			return r
		}
		replicas := []*replica{open(), open()}
		a, b := replicas[0], replicas[1]
		if a.keys[0] != b.keys[0] {
			t.Fatal("two that begin together have different keys")
		}
		made := [][32]byte{a.keys[0]}
		step := func() {
			for _, r := range replicas {
				time.Sleep(ticketLook / 2) // they don't look together
				r.look(t.Context())
			}
		}
		for range 4 * 24 * 60 {
			step()
			for _, r := range replicas {
				if len(r.keys) > 5 {
					t.Fatalf("%d keys", len(r.keys))
				}
			}
			if !slices.Contains(a.keys, b.keys[0]) || !slices.Contains(b.keys, a.keys[0]) {
				t.Fatal("a replica makes tickets with a key that the other one doesn't know")
			}
			if !slices.Contains(made, a.keys[0]) {
				made = append(made, a.keys[0])
			}
		}
		if len(made) < 8 || len(made) > 10 {
			t.Errorf("%d keys in four days", len(made))
		}
		if slices.Contains(a.keys, made[0]) {
			t.Error("the first key is still good")
		}
		last := a.keys[0]
		a.store.off, b.store.off = true, true
		for range 24 * 60 {
			step()
		}
		if a.keys[0] != b.keys[0] || a.problem == "" {
			t.Error("after a day without the store they no longer agree, or nobody was told")
		}
		for range 3 * 24 * 60 {
			step()
		}
		if slices.Contains(a.keys[:1], last) || a.keys[0] == b.keys[0] {
			t.Error("after days without the store the old key is still used")
		}
		a.store.off, b.store.off = false, false
		step()
		step()
		if a.keys[0] != b.keys[0] || a.problem != "" {
			t.Error("when the store is back they don't agree again")
		}
	})
}

// What stands in the store is no reason to fall over.
func FuzzTicketRing(f *testing.F) {
	ring := ticketRing{}
	ring.turn(time.Unix(1e9, 0))
	f.Add(ring.text())
	f.Add([]byte(`{"keys":[{"key":"AA==","from":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"keys":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseTicketRing(text)
		if err != nil {
			return
		}
		for _, now := range []time.Time{{}, time.Unix(1e9, 0), time.Now()} {
			r.list(now)
			r.due(now)
		}
	})
}
