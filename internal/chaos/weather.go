package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// way leads to a server through toxics that stay the same for as long as it is
// there: Toxiproxy may lose bytes when a toxic is taken off a connection that
// stalls, and would mix what it is to find mixed. It is the reloads that choose
// other ways.
type way struct {
	*toxiproxy.Proxy
	name string
}

// toxic is one as Toxiproxy's API takes it.
type toxic struct {
	kind, stream string
	share        float64 // of the connections
	attributes   string
}

// weathers are what a link may be like. A link through no toxic is among them.
var weathers = map[string][]toxic{
	"clear":     nil,
	"late":      {{"latency", "downstream", 1, `"latency": 15, "jitter": 14`}},
	"sliced":    {{"slicer", "downstream", 1, `"average_size": 300, "size_variation": 150, "delay": 20`}, {"slicer", "upstream", 1, `"average_size": 300, "size_variation": 150, "delay": 20`}},
	"narrow":    {{"bandwidth", "downstream", 1, `"rate": 2000`}, {"bandwidth", "upstream", 1, `"rate": 2000`}},
	"truncated": {{"limit_data", "downstream", 0.7, `"bytes": 15000`}},
	"half sent": {{"limit_data", "upstream", 0.5, `"bytes": 9000`}},
	"reset":     {{"latency", "downstream", 1, `"latency": 2, "jitter": 2`}, {"reset_peer", "downstream", 0.2, `"timeout": 3`}},
	"refused":   {{"reset_peer", "upstream", 0.15, `"timeout": 0`}},
	"swallowed": {{"timeout", "downstream", 0.1, `"timeout": 60`}},
	"lingering": {{"slow_close", "downstream", 1, `"delay": 30`}},
}

func openWay(name, upstream string, weather []toxic) (*way, error) {
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, err
	}
	for i, t := range weather {
		text := fmt.Sprintf(`{"name": "%s %d", "type": %q, "stream": %q, "toxicity": %g, "attributes": {%s}}`, name, i, t.kind, t.stream, t.share, t.attributes)
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			p.Stop()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &way{p, name}, nil
}

// ways opens one way for each weather.
func ways(upstream string) (list []*way, err error) {
	for name, weather := range weathers {
		w, err := openWay(name, upstream, weather)
		if err != nil {
			return list, err
		}
		list = append(list, w)
	}
	return list, nil
}

// harbour is a listener that knows its connections.
type harbour struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func openHarbour() (*harbour, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return &harbour{Listener: l, conns: map[net.Conn]struct{}{}}, err
}

func (h *harbour) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		h.mu.Lock()
		h.conns[c] = struct{}{}
		h.mu.Unlock()
	}
	return moored{c, h}, err
}

// moored is a connection that its harbour forgets when it is closed.
type moored struct {
	net.Conn
	h *harbour
}

func (m moored) Close() error {
	m.h.mu.Lock()
	delete(m.h.conns, m.Conn)
	m.h.mu.Unlock()
	return m.Conn.Close()
}

// storms breaks about half of the connections to a service now and then.
func storms(ctx context.Context, harbours []*harbour, a *account) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(300+rand.IntN(700)) * time.Millisecond):
		}
		h := harbours[rand.IntN(len(harbours))]
		h.mu.Lock()
		for c := range h.conns {
			if rand.IntN(2) == 0 {
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}
		h.mu.Unlock()
		a.storms.Add(1)
	}
}
