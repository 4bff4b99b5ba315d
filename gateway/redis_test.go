package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gopura/internal/freeport"
	"gopura/store"
)

// redis is a real redis-server of a test.
type redis struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd
}

func startRedis(t *testing.T) *redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server (Debian: apt-get install redis-server)")
	}
	r := &redis{t: t, addr: freeport.Address(t)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redis) start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	r.cmd = exec.Command("redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", port, "--dir", r.t.TempDir())
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for range 500 {
		if c, err := net.Dial("tcp", r.addr); err == nil {
			fmt.Fprint(c, "PING\r\n")
			c.SetReadDeadline(time.Now().Add(time.Second))
			b := make([]byte, 7)
			n, _ := io.ReadFull(c, b)
			c.Close()
			if string(b[:n]) == "+PONG\r\n" {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatal("redis-server does not answer")
}

// kill is kill -9. It may be called twice.
func (r *redis) kill() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		r.cmd = nil
	}
}

func (r *redis) signal(s syscall.Signal) { r.cmd.Process.Signal(s) }

// sharing starts n gateways whose limit is in one store.
func sharing(t *testing.T, n int, store, limit string) (list []*gate) {
	t.Helper()
	for range n {
		list = append(list, start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
store: { %s }
services: {o: "http://ORIGIN"}
routes: [{match: /*, to: o, limit: { rate: '%s per header["x-client"]', name: shared }}]
`, store, limit)))
	}
	return list
}

// metric is a sample of the gateway's metrics, or -1.
func (g *gate) metric(sample string) float64 {
	g.t.Helper()
	var b bytes.Buffer
	if _, err := g.Metrics().Write(&b, ""); err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if v, ok := strings.CutPrefix(line, sample+" "); ok {
			f, _ := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return f
		}
	}
	return -1
}

// flood is clients that ask several gateways all the time.
type flood struct {
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	codes map[string]int // by status and code
	waits []time.Duration
}

// begin begins a new account.
func (f *flood) begin() {
	f.mu.Lock()
	f.codes, f.waits = map[string]int{}, nil
	f.mu.Unlock()
}

// account is what came since begin: how many of each answer, and the waits in order.
func (f *flood) account() (codes map[string]int, waits []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.waits)
	codes, waits = f.codes, f.waits
	f.codes, f.waits = map[string]int{}, nil
	return codes, waits
}

func startFlood(t *testing.T, gates []*gate, each int, pause time.Duration) *flood {
	f := &flood{stop: make(chan struct{})}
	f.begin()
	for _, g := range gates {
		for i := range each {
			f.done.Go(func() {
				client := &http.Client{Timeout: 10 * time.Second, Transport: new(http.Transport)}
				defer client.CloseIdleConnections()
				for {
					select {
					case <-f.stop:
						return
					case <-time.After(pause):
					}
					r, _ := http.NewRequest("GET", g.url("/1k"), nil)
					r.Header.Set("X-Client", fmt.Sprint("client ", i%2))
					began := time.Now()
					answer := "no answer"
					if resp, err := client.Do(r); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						answer = strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Gopura-Answer")))
					}
					f.mu.Lock()
					f.codes[answer]++
					f.waits = append(f.waits, time.Since(began))
					f.mu.Unlock()
				}
			})
		}
	}
	t.Cleanup(f.end)
	return f
}

func (f *flood) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.done.Wait()
}

// A limit holds for three gateways together: to the request in exact mode, to
// the bound in leased mode.
func TestALimitHoldsAcrossGateways(t *testing.T) {
	for _, mode := range []string{"exact", "leased"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			const limit = 200
			r := startRedis(t)
			gates := sharing(t, 3, fmt.Sprintf(`url: "redis://%s", mode: %s, timeout: 500ms`, r.addr, mode), "200/day")
			var all sync.WaitGroup
			var mu sync.Mutex
			passed := 0
			for _, g := range gates {
				for range 3 {
					all.Go(func() {
						for range 120 {
							if asks(t, g, "alice") == 200 {
								mu.Lock()
								passed++
								mu.Unlock()
							}
						}
					})
				}
			}
			all.Wait()
			most := limit
			if mode == "leased" {
				most += int(store.LeaseBound(limit, 3))
			}
			if passed < limit*9/10 || passed > most || mode == "exact" && passed != limit {
				t.Errorf("%d of 1080 requests passed, %d at most may", passed, most)
			}
			for _, g := range gates {
				eventually(t, func() bool { return asks(t, g, "alice") == 429 }) // what was leased and not used is there yet
				if asks(t, g, "bob") != 200 {
					t.Error("another client is refused")
				}
				if n := g.metric(`gopura_store_decisions_total{by="` + mode + `"}`); n < 300 {
					t.Errorf("%v decisions by %s", n, mode)
				}
				if n := g.metric(`gopura_store_decisions_total{by="local"}`); n != 0 {
					t.Errorf("%v decisions without the store", n)
				}
			}
		})
	}
}

func asks(t *testing.T, g *gate, client string) int {
	t.Helper()
	r, _ := http.NewRequest("GET", g.url("/1k"), nil)
	r.Header.Set("X-Client", client)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// busy is what a machine that does other things may add to a wait.
const busy = 3 * time.Second

// TestStoreFailuresThroughTheGateway breaks the store of two gateways under
// load: nobody gets a 500 or waits longer than the timeout, on_store_failure
// decides, the metrics say so, and it heals by itself.
func TestStoreFailuresThroughTheGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	failures := []struct {
		name         string
		break_, mend func(*redis)
	}{
		{"kill -9 and restart", (*redis).kill, (*redis).start},
		{"SIGSTOP", func(r *redis) { r.signal(syscall.SIGSTOP) }, func(r *redis) { r.signal(syscall.SIGCONT) }},
	}
	for _, f := range failures {
		for _, mode := range []string{"exact", "leased"} {
			for _, on := range []string{"local", "allow", "refuse"} {
				t.Run(f.name+", "+mode+", "+on, func(t *testing.T) {
					t.Parallel()
					r := startRedis(t)
					gates := sharing(t, 2, fmt.Sprintf(`url: "redis://%s", mode: %s, on_failure: %s, timeout: 250ms`, r.addr, mode, on), "20/s")
					load := startFlood(t, gates, 4, 2*time.Millisecond)
					eventually(t, func() bool { return gates[0].metric(`gopura_store_decisions_total{by="`+mode+`"}`) > 50 })

					load.begin()
					f.break_(r)
					for _, g := range gates {
						eventually(t, func() bool { return g.metric(`gopura_store_up{store="redis"}`) == 0 })
					}
					codes, waits := load.account() // until the breakers are open
					wellBehaved(t, on, codes, waits, 3*250*time.Millisecond+busy)
					codes, waits = nil, nil
					for range 30 { // and while they are: more than the burst of both, however busy the machine is
						time.Sleep(100 * time.Millisecond)
						c, w := load.account()
						codes, waits = sum(codes, c), append(waits, w...)
						if len(waits) > 300 {
							break
						}
					}
					slices.Sort(waits)
					wellBehaved(t, on, codes, waits, busy)
					decides(t, on, codes)
					for _, g := range gates {
						if g.metric(`gopura_store_decisions_total{by="`+on+`"}`) < 20 || g.metric("gopura_store_breaker_opened_total") < 1 {
							t.Error("the metrics don't tell who decided")
						}
					}

					f.mend(r)
					for _, g := range gates {
						eventually(t, func() bool { return g.metric(`gopura_store_up{store="redis"}`) == 1 })
						eventually(t, func() bool { // nothing is decided without it any more
							n := g.metric(`gopura_store_decisions_total{by="` + on + `"}`)
							time.Sleep(100 * time.Millisecond)
							return g.metric(`gopura_store_decisions_total{by="`+on+`"}`) == n
						})
					}
					load.account()
					codes, waits = nil, nil
					for range 50 { // until there have been more requests than the limit lets pass
						time.Sleep(300 * time.Millisecond)
						c, w := load.account()
						codes, waits = sum(codes, c), append(waits, w...)
						if codes["200"] > 0 && codes["429 rate_limited"] > 0 {
							break
						}
					}
					load.end()
					slices.Sort(waits)
					if late := codes["503 limit_unavailable"]; on == "refuse" && late*10 <= codes["200"]+codes["429 rate_limited"] {
						delete(codes, "503 limit_unavailable") // of a machine so busy that 250ms are over before Redis runs
					}
					wellBehaved(t, "local", codes, waits, 250*time.Millisecond+busy)
					if codes["200"] == 0 || codes["429 rate_limited"] == 0 {
						t.Errorf("after it has healed: %v", codes)
					}
				})
			}
		}
	}
}

func wellBehaved(t *testing.T, on string, codes map[string]int, waits []time.Duration, most time.Duration) {
	t.Helper()
	for code := range codes {
		if code != "200" && code != "429 rate_limited" && (on != "refuse" || code != "503 limit_unavailable") {
			t.Errorf("answers: %v", codes)
			break
		}
	}
	if n := len(waits); n > 0 && waits[n-1] > most {
		t.Errorf("a request took %v", waits[n-1])
	}
}

func sum(a, b map[string]int) map[string]int {
	if a == nil {
		return b
	}
	for k, n := range b {
		a[k] += n
	}
	return a
}

// decides checks who decided, by what the clients got.
func decides(t *testing.T, on string, codes map[string]int) {
	t.Helper()
	all := 0
	for _, n := range codes {
		all += n
	}
	share := func(answer string) float64 { return float64(codes[answer]) / float64(all) }
	switch {
	case all < 50:
		t.Errorf("only %d answers", all)
	case on == "allow" && share("200") < 0.95, on == "refuse" && share("503 limit_unavailable") < 0.7,
		on == "local" && (codes["200"] == 0 || codes["429 rate_limited"] == 0):
		t.Errorf("on_failure %s: %v", on, codes)
	}
}
