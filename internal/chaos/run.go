package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/gateway"
)

// options say how much chaos.
type options struct {
	exchanges int
	progress  func(line string) // called every few seconds
	every     time.Duration
}

// scene is all that takes part.
type scene struct {
	*account
	gateway  *gateway.Gateway
	harbours []*harbour // of the services
	one, two []*way     // to them
	text     atomic.Pointer[string]
	clean    []func()
}

func (s *scene) close() {
	for i := len(s.clean) - 1; i >= 0; i-- {
		s.clean[i]()
	}
}

// run sends so many exchanges, and returns what became of them.
func run(ctx context.Context, o options) (*account, error) {
	s := &scene{account: newAccount(o.exchanges)}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	links, err := s.links()
	if err != nil {
		return nil, err
	}

	var around, clients sync.WaitGroup
	defer around.Wait()
	defer stop()
	around.Go(func() { storms(ctx, s.harbours, s.account) })
	around.Go(func() { s.reload(ctx) })
	if o.progress != nil {
		around.Go(func() {
			for tick := time.Tick(o.every); ; {
				select {
				case <-ctx.Done():
					return
				case <-tick:
					o.progress(s.line())
				}
			}
		})
	}

	next := func() (plan, bool) {
		n := s.total.Add(1)
		if n > int64(o.exchanges) {
			s.total.Add(-1)
			return plan{}, false
		}
		return planOf(int(n - 1)), ctx.Err() == nil
	}
	for i := range 96 {
		clients.Go(func() {
			for l := links[i%len(links)]; s.total.Load() < int64(o.exchanges) && ctx.Err() == nil; {
				s.talkHTTP1(ctx, l, next)
			}
		})
	}
	for i := range 8 {
		clients.Go(func() { s.talkHTTP2(ctx, links[i%len(links)], 10, next) })
	}
	clients.Wait()
	return s.account, ctx.Err()
}

// open starts services, the ways to them, and the gateway.
func (s *scene) open(ctx context.Context) (err error) {
	for _, list := range []*[]*way{&s.one, &s.two} {
		l, err := openHarbour()
		if err != nil {
			return err
		}
		s.harbours = append(s.harbours, l)
		s.clean = append(s.clean, func() { l.Close() })
		if list == &s.one {
			go serveHTTP1(l, s.account)
		} else {
			server := serveHTTP2(l, s.account)
			s.clean = append(s.clean, func() { server.Close() })
		}
		*list, err = ways(l.Addr().String())
		s.clean = append(s.clean, func() {
			for _, w := range *list {
				w.Stop()
			}
		})
		if err != nil {
			return err
		}
	}
	s.choose()
	s.gateway = gateway.New(gateway.Options{
		Log: slog.New(slog.DiscardHandler),
		Load: func() (*config.Document, error) {
			return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(*s.text.Load())}}, gateway.ConfigOptions())
		},
	})
	s.clean = append(s.clean, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		s.gateway.Shutdown(ctx)
	})
	return s.gateway.Reload(ctx)
}

// choose writes a configuration: which ways lead to the services from now on.
func (s *scene) choose() {
	targets := func(scheme string, list []*way) string {
		var urls []string
		for _, i := range rand.Perm(len(list))[:4] {
			urls = append(urls, fmt.Sprintf("%q", scheme+list[i].Listen))
		}
		return strings.Join(urls, ", ")
	}
	// The times are long: a machine that does other things is no fault.
	const rest = "outliers: off, overload: off, retries: {attempts: 2, body: 16KiB}, timeouts: {connect: 20s, response: 30s}"
	text := fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
trusted_proxies: 127.0.0.0/8
access_log: off
services:
  one: {targets: [%s], %s}
  two: {targets: [%s], %s}
routes:
  - {match: /one/*, to: one, timeout: 60s}
  - {match: /two/*, to: two, timeout: 60s}
`, targets("http://", s.one), rest, targets("h2c://", s.two), rest)
	s.text.Store(&text)
}

// reload replaces the configuration several times a second.
func (s *scene) reload(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(100+rand.IntN(300)) * time.Millisecond):
		}
		s.choose()
		if err := s.gateway.Reload(ctx); err == nil {
			s.reloads.Add(1)
		} else if !errors.Is(err, context.Canceled) {
			s.mismatch("reload: %v", err)
			return
		}
	}
}

// links are the ways from clients to the gateway: every third breaks.
func (s *scene) links() ([]link, error) {
	address := s.gateway.Address("main")
	list := []link{{address: address}, {address: address}}
	w, err := openWay("clients", address, []toxic{
		{"latency", "downstream", 0.5, `"latency": 3, "jitter": 3`},
		{"slicer", "upstream", 0.5, `"average_size": 200, "size_variation": 100, "delay": 20`},
		{"limit_data", "upstream", 0.3, `"bytes": 20000`},
		{"limit_data", "downstream", 0.3, `"bytes": 20000`},
		{"reset_peer", "downstream", 0.05, `"timeout": 5`},
	})
	if err != nil {
		return nil, err
	}
	s.clean = append(s.clean, w.Stop)
	return append(list, link{address: w.Listen, breaks: true}), nil
}
