package policy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

// source is a body of so many bytes, in pieces of a size that are there at once.
type source struct {
	left, size int
	closed     atomic.Bool
}

func (b *source) Next() ([]byte, error) {
	if b.left == 0 {
		return nil, io.EOF
	}
	n := min(b.size, b.left)
	b.left -= n
	return make([]byte, n), nil
}
func (b *source) Len() int64                { return int64(b.left) }
func (b *source) Trailer() *exchange.Header { return nil }
func (b *source) Close() error              { b.closed.Store(true); return nil }
func (b *source) Ready() bool               { return true }

func slow(t *testing.T, s *Bandwidth, node exchange.HandlerFunc) exchange.Handler {
	t.Helper()
	env := newEnv(t)
	env.Scope, env.Pool = new(lifetime.Scope), new(lifetime.Pool)
	link, err := s.Compile(env)
	if err != nil {
		t.Fatal(err)
	}
	return link(node)
}

func flowIs(t testing.TB, text string) (f Flow) {
	t.Helper()
	if err := f.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(text, err)
	}
	return f
}

func answers(b exchange.Body) exchange.HandlerFunc {
	return func(x *exchange.Exchange) error { x.Response.Status, x.Response.Body = 200, b; return nil }
}

// drain pulls a body to its end and returns how long that takes.
func drain(t *testing.T, b exchange.Body, size int) time.Duration {
	t.Helper()
	began, left := time.Now(), int64(size)
	for {
		if n := b.Len(); n != left {
			t.Fatalf("%d bytes are left, it says %d", left, n)
		}
		p, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		left -= int64(len(p))
	}
	if left != 0 {
		t.Fatalf("%d bytes are missing", left)
	}
	return time.Since(began)
}

func about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want-time.Millisecond || got > want+60*time.Millisecond {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

func TestDownloadHasItsRate(t *testing.T) {
	for name, c := range map[string]struct {
		s    Bandwidth
		want time.Duration // for 1,000,000 bytes
	}{
		"a burst, then the rate":       {Bandwidth{Download: flowIs(t, "100kB/s"), Burst: 200_000}, 8 * time.Second},
		"a tenth of a second at first": {Bandwidth{Download: flowIs(t, "100kB/s")}, 9900 * time.Millisecond},
		"only after so many bytes":     {Bandwidth{Download: flowIs(t, "100kB/s"), After: 500_000}, 4900 * time.Millisecond},
		"faster than the body":         {Bandwidth{Download: flowIs(t, "1GB/s")}, 0},
		"only uploads":                 {Bandwidth{Upload: flowIs(t, "1kB/s")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := &source{left: 1_000_000, size: 16 << 10}
				x := newExchange("/")
				if err := slow(t, &c.s, answers(from)).Serve(x); err != nil {
					t.Fatal(err)
				}
				about(t, name, drain(t, x.Response.Body, 1_000_000), c.want)
				x.Response.Body.Close()
				if x.Done(); !from.closed.Load() {
					t.Error("the source was not closed")
				}
			})
		})
	}
}

func TestUploadHasItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange("/")
		x.Request.Body = &source{left: 100_000, size: 1500}
		h := slow(t, &Bandwidth{Upload: flowIs(t, "50kB/s"), Burst: 10_000}, func(x *exchange.Exchange) error {
			about(t, "the upload", drain(t, x.Request.Body, 100_000), 1800*time.Millisecond)
			return nil
		})
		if err := h.Serve(x); err != nil {
			t.Fatal(err)
		}
		x.Done()
	})
}

// In no span of time do more bytes pass than the burst and what comes in it.
func TestNeverMoreThanBurstAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			rate, burst := 1+r.Int64N(1<<20), 1+r.Int64N(1<<16)
			p := newPace(rate, burst, 0)
			burst = max(burst, int64(p.quantum))
			f := newFlow()
			type passed struct {
				at time.Time
				n  int
			}
			var all []passed
			for range 60 {
				n, wait := f.take(p, 1+r.IntN(1<<16))
				time.Sleep(max(wait, 0))
				all = append(all, passed{time.Now(), n})
				if r.IntN(4) == 0 {
					time.Sleep(time.Duration(r.Int64N(int64(time.Second))))
				}
			}
			for i := range all {
				sum := 0
				for _, e := range all[i:] {
					sum += e.n
					if most := float64(burst) + float64(rate)*e.at.Sub(all[i].at).Seconds(); float64(sum) > most+1 {
						t.Fatalf("%d B/s, burst %d: %d bytes in %v", rate, burst, sum, e.at.Sub(all[i].at))
					}
				}
			}
		}
	})
}

// Those who share a rate have half of it each, those who don't all of it.
func TestSharedBandwidth(t *testing.T) {
	for _, c := range []struct {
		per      string
		same     bool // client and connection
		together bool
	}{{"", true, false}, {" per connection", true, true}, {" per connection", false, false}, {" per client.ip", true, true}, {` per header["x-key"]`, false, true}} {
		synctest.Test(t, func(t *testing.T) {
			s := &Bandwidth{Download: flowIs(t, "100kB/s"+c.per), Burst: 5000}
			h := slow(t, s, func(x *exchange.Exchange) error { return answers(&source{left: 100_000, size: 16 << 10})(x) })
			took := make(chan time.Duration, 2)
			for i := range 2 {
				x := newExchange("/")
				x.Request.Header.Add("X-Key", "k")
				peer := netip.AddrPortFrom(netip.MustParseAddr("10.1.2.3"), 7)
				if !c.same {
					peer = netip.AddrPortFrom(netip.MustParseAddr("10.1.2.3"), uint16(7+i))
				}
				x.Client = &exchange.Client{Peer: peer, Addr: peer}
				if err := h.Serve(x); err != nil {
					t.Fatal(err)
				}
				go func() { took <- drain(t, x.Response.Body, 100_000); x.Done() }()
			}
			want := 950 * time.Millisecond
			if c.together {
				want = 1950 * time.Millisecond
			}
			first, second := <-took, <-took
			about(t, c.per, max(first, second), want)
			if first < second*8/10 {
				t.Errorf("%s: %v and %v: not in turn", c.per, first, second)
			}
			time.Sleep(time.Minute)
			if f := h.(*slowed).down.flows; f != nil {
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.all) > 0 {
					t.Errorf("%d flows are left", len(f.all))
				}
			}
		})
	}
}

// What waits stops at once when the client goes, the time is over, or the body is closed.
func TestSlowBodiesEndWithTheExchange(t *testing.T) {
	gone := exchange.ClientGone.Because(errors.New("reset"))
	for name, c := range map[string]struct {
		end  func(*exchange.Exchange)
		code *exchange.Code
	}{
		"cancelled":   {func(x *exchange.Exchange) { x.Cancel(gone) }, exchange.ClientGone},
		"no cause":    {func(x *exchange.Exchange) { x.Cancel(nil) }, exchange.ClientGone},
		"too long":    {func(x *exchange.Exchange) { x.Cancel(context.DeadlineExceeded) }, exchange.ExchangeTimeout},
		"body closed": {func(x *exchange.Exchange) { x.Response.Body.Close() }, exchange.ClientGone},
		"deadline":    {nil, exchange.ExchangeTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newExchange("/")
				if c.end == nil {
					x.Deadline = time.Now().Add(5 * time.Second)
				}
				if err := slow(t, &Bandwidth{Download: flowIs(t, "1/s")}, answers(&source{left: 1 << 20, size: 1 << 20})).Serve(x); err != nil {
					t.Fatal(err)
				}
				if c.end != nil {
					time.AfterFunc(5*time.Second, func() { c.end(x) })
				}
				began := time.Now()
				if _, err := x.Response.Body.Next(); err != nil { // the burst
					t.Fatal(err)
				}
				if _, err := x.Response.Body.Next(); !c.code.Is(err) || time.Since(began) != 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				x.Response.Body.Close()
				x.Done()
			})
		})
	}
}

// Who gathers pieces is told when the next piece would wait for the pace.
func TestSlowBodySaysWhenItIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange("/")
		if err := slow(t, &Bandwidth{Download: flowIs(t, "100kB/s"), Burst: 10_000}, answers(&source{left: 100_000, size: 16 << 10})).Serve(x); err != nil {
			t.Fatal(err)
		}
		b := x.Response.Body
		if !b.(exchange.Ready).Ready() {
			t.Error("there is a whole burst")
		}
		if p, err := b.Next(); len(p) != 10_000 || err != nil {
			t.Fatal(len(p), err)
		}
		if b.(exchange.Ready).Ready() {
			t.Error("the burst is used")
		}
		time.Sleep(50 * time.Millisecond)
		if !b.(exchange.Ready).Ready() {
			t.Error("there is enough for the next")
		}
		b.Close()
		x.Done()
	})
}

// fakeTunnel reads zeros and notes when what was written came.
type fakeTunnel struct{ wrote int }

func (*fakeTunnel) Read(b []byte) (int, error)    { return len(b), nil }
func (f *fakeTunnel) Write(b []byte) (int, error) { f.wrote += len(b); return len(b), nil }
func (*fakeTunnel) CloseWrite() error             { return nil }
func (*fakeTunnel) Close() error                  { return nil }

func TestTunnelsHaveTheirRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := new(fakeTunnel)
		x := newExchange("/")
		h := slow(t, &Bandwidth{Download: flowIs(t, "100kB/s"), Upload: flowIs(t, "20kB/s"), Burst: 10_000}, func(x *exchange.Exchange) error {
			x.Response.Status, x.Response.Tunnel = 101, inner
			return nil
		})
		if err := h.Serve(x); err != nil {
			t.Fatal(err)
		}
		tunnel := x.Response.Tunnel
		began := time.Now()
		if n, err := tunnel.Write(make([]byte, 50_000)); n != 50_000 || err != nil || inner.wrote != n {
			t.Fatal(n, err)
		}
		about(t, "writing", time.Since(began), 2*time.Second)
		began = time.Now()
		for read := 0; read < 110_000; {
			n, err := tunnel.Read(make([]byte, min(16<<10, 110_000-read)))
			if read += n; err != nil {
				t.Fatal(err)
			}
		}
		about(t, "reading", time.Since(began), time.Second)
		time.AfterFunc(time.Second, func() { tunnel.Close() })
		if _, err := tunnel.Write(make([]byte, 1<<20)); err == nil {
			t.Error("closing does not end a write that waits")
		}
		x.Done()
	})
}

func TestBandwidthOfAConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"1MB/s":                  "1000000/s",
		"64KiB/s per connection": "64KiB/s per connection",
		"10m/s per client.ip":    "10MiB/s per client.ip",
	} {
		got, err := flowIs(t, text).MarshalText()
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1MB", "0/s", "-1/s", "1MB/min", "1MB/s client.ip", "9999TB/s"} {
		if err := new(Flow).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, c := range []struct {
		s    Bandwidth
		want string
	}{
		{Bandwidth{}, "say how fast"},
		{Bandwidth{Download: Flow{Rate: 1, Key: "nonsense.x"}}, "unknown fact nonsense"},
	} {
		if _, err := c.s.Compile(newEnv(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v", err)
		}
	}
	d, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(`
listen: :8080
services: { o: http://127.0.0.1:1 }
routes:
  - { match: /a, to: o, bandwidth: 1MB/s }
  - { match: /b, to: o, bandwidth: { download: 1MB/s per client.ip, upload: 1MB/s, burst: 2MB, after: 10MB } }
`)}}, config.Options{Policies: ConfigKinds()})
	if err != nil {
		t.Fatal(err)
	}
	if s := d.Routes[0].Policies[0].Spec.(*Bandwidth); s.Download.Rate != 1e6 {
		t.Errorf("%+v", s)
	}
}

// A burst of so many bytes that their nanoseconds would not fit slows nothing down.
func TestBandwidthOfLargeRates(t *testing.T) {
	s := &Bandwidth{Download: Flow{Rate: 100e9}}
	x := &exchange.Exchange{Client: &exchange.Client{}, Start: time.Now()}
	x.Request.Body = exchange.NoBody
	x.Deadline = x.Start.Add(time.Second)
	defer x.Done()
	if err := slow(t, s, answers(&source{left: 1 << 20, size: 1 << 16})).Serve(x); err != nil {
		t.Fatal(err)
	}
	if b, err := exchange.ReadAll(x.Response.Body, 1<<21); err != nil || len(b) != 1<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
