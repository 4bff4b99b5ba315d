package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// badLink is Toxiproxy in front of a server.
type badLink struct {
	t       testing.TB
	proxy   *toxiproxy.Proxy
	address string
}

func badLinkTo(t testing.TB, upstream string) *badLink {
	t.Helper()
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "link", "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &badLink{t, p, p.Listen}
}

// set makes the link so: "latency downstream latency=50 jitter=10; slicer upstream
// average_size=10" are two toxics, "off" refuses connections, "" is a good link again.
// Connections that there are feel it, too.
func (l *badLink) set(toxics string) {
	l.t.Helper()
	l.proxy.Toxics.ResetToxics(l.t.Context())
	if toxics == "off" {
		l.proxy.Stop()
		return
	}
	if !l.proxy.Enabled {
		if err := l.proxy.Start(); err != nil {
			l.t.Fatal(err)
		}
	}
	for text := range strings.SplitSeq(toxics, ";") {
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		var attributes []string
		for _, w := range words[2:] {
			name, value, _ := strings.Cut(w, "=")
			attributes = append(attributes, fmt.Sprintf("%q: %s", name, value))
		}
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
			`{"name": %q, "type": %q, "stream": %q, "attributes": {%s}}`, text, words[0], words[1], strings.Join(attributes, ", ")))); err != nil {
			l.t.Fatalf("%s: %v", text, err)
		}
	}
}

// slow sets how much later each answer comes.
func (l *badLink) slow(d time.Duration) {
	l.t.Helper()
	if d == 0 {
		l.set("")
		return
	}
	l.set(fmt.Sprintf("latency downstream latency=%d", d.Milliseconds()))
}
