package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"slices"
	"time"
)

// overhead is what an answer whose slowest part takes 5 ms costs over that part.
type overhead struct {
	composed time.Duration // over the part alone
	hop      time.Duration // the part through a plain route, over the part alone
	nginx    time.Duration // the same through NGINX
}

func (o overhead) String() string {
	return fmt.Sprintf("**%s** (a plain hop alone: %s, one through NGINX: %s)", latency(micros(o.composed)), latency(micros(o.hop)), latency(micros(o.nginx)))
}

// overheads asks for a composed answer, for its slowest part through a plain
// route, for that through NGINX, and for that part alone, in turn, over one
// connection each, one request at a time. Each is a difference of medians. On an
// idle machine most of it is the time in which a CPU, above all a virtual one,
// wakes up: so everything is measured again while they are kept awake.
func (b *Bench) overheads(ctx context.Context, j Job) (asleep, awake overhead, err error) {
	own, err := start(ctx, b.Kinds[0], j, b.Origin, b.Dir)
	if err != nil {
		return asleep, awake, err
	}
	defer own.Stop()
	other, err := start(ctx, kinds[slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == "nginx" })], jobs[0], b.Origin, b.Dir)
	if err != nil {
		return asleep, awake, err
	}
	defer other.Stop()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	urls := []string{"http://" + b.Origin + "/sleep/5ms", "http://" + own.Address + "/slow", "http://" + own.Address + "/sleep/5ms", "http://" + other.Address + "/sleep/5ms"}
	if asleep, err = inTurn(ctx, client, urls); err != nil {
		return asleep, awake, err
	}
	stop, err := keepAwake(ctx)
	if err != nil {
		return asleep, awake, err
	}
	defer stop()
	awake, err = inTurn(ctx, client, urls)
	return asleep, awake, err
}

// inTurn asks for the slowest part, the composed answer, the plain hop and
// NGINX's, one after the other.
func inTurn(ctx context.Context, client *http.Client, urls []string) (overhead, error) {
	took := make([][]float64, len(urls))
	for range 400 {
		for i, url := range urls {
			t, err := timed(ctx, client, url)
			if err != nil {
				return overhead{}, err
			}
			took[i] = append(took[i], float64(t))
		}
	}
	over := func(i int) time.Duration { return time.Duration(median(took[i]) - median(took[0])) }
	return overhead{composed: over(1), hop: over(2), nginx: over(3)}, nil
}

// timed asks for url and reads the whole answer.
func timed(ctx context.Context, client *http.Client, url string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	r, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, r.Status)
	}
	_, err = io.Copy(io.Discard, r.Body)
	return time.Since(begin), err
}

// keepAwake gives each CPU a loop of the idle class (SCHED_IDLE), which makes
// way for whatever else wants to run but doesn't let the CPU halt.
func keepAwake(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var loops []*exec.Cmd
	stop = func() {
		cancel()
		for _, c := range loops {
			c.Wait()
		}
	}
	for range runtime.NumCPU() {
		c := exec.CommandContext(ctx, "chrt", "--idle", "0", "sh", "-c", "while :; do :; done")
		if err := c.Start(); err != nil {
			stop()
			return nil, err
		}
		loops = append(loops, c)
	}
	return stop, nil
}
