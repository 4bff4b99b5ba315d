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

// overheads is the latency of answers over that of their slowest part, which
// takes 5 ms, one request at a time: composed by Gopura and by hand; and, to
// compare, of that part alone through a plain route and through NGINX. Each is a
// difference of medians of requests in turn. On an idle machine most of it is
// the time in which a CPU, above all a virtual one, wakes up: so everything is
// measured again while they are kept awake.
func (b *Bench) overheads(ctx context.Context, j Job) (Section, error) {
	kind := func(list []Kind, name string) Kind {
		return list[slices.IndexFunc(list, func(k Kind) bool { return k.Name == name })]
	}
	s := Section{
		Title: j.Title + ": latency over the slowest part",
		Table: Table{Head: []string{"p50, one request at a time", "idle machine", "CPUs kept awake"}},
		Notes: []string{"The slowest part takes 5 ms; asked for alone, without anything in between, it is the zero of this table. A plain hop is part of it, whoever makes it: what composing adds is the difference to the row of the slowest part through Gopura."},
	}
	urls := []string{"http://" + b.Origin + "/sleep/5ms"}
	running := make(map[string]*Proxy)
	for _, way := range []struct {
		title, path string
		kind        Kind
		job         Job
	}{
		{"composed by Gopura", "/slow", kind(b.Kinds, "gopura"), j},
		{"composed by hand: net/http, goroutines, encoding/json", "/slow", kind(b.Kinds, "decoded"), j},
		{"composed by hand with json.RawMessage", "/slow", kind(b.Kinds, "raw"), j},
		{"the slowest part alone through Gopura", "/sleep/5ms", kind(b.Kinds, "gopura"), j},
		{"the slowest part alone through NGINX", "/sleep/5ms", kind(kinds, "nginx"), jobs[0]},
	} {
		p := running[way.kind.Name]
		if p == nil {
			var err error
			if p, err = start(ctx, way.kind, way.job, b.Origin, b.Dir); err != nil {
				return s, err
			}
			defer p.Stop()
			running[way.kind.Name] = p
		}
		urls = append(urls, "http://"+p.Address+way.path)
		s.Table.Rows = append(s.Table.Rows, []string{way.title})
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	asleep, err := inTurn(ctx, client, urls)
	if err != nil {
		return s, err
	}
	stop, err := keepAwake(ctx)
	if err != nil {
		return s, err
	}
	defer stop()
	awake, err := inTurn(ctx, client, urls)
	if err != nil {
		return s, err
	}
	for i := range s.Table.Rows {
		s.Table.Rows[i] = append(s.Table.Rows[i], latency(micros(asleep[i])), latency(micros(awake[i])))
	}
	return s, nil
}

// inTurn asks for the urls, one after the other, again and again, and returns by
// how much the median of each is above that of the first.
func inTurn(ctx context.Context, client *http.Client, urls []string) ([]time.Duration, error) {
	took := make([][]float64, len(urls))
	for range 400 {
		for i, url := range urls {
			t, err := timed(ctx, client, url)
			if err != nil {
				return nil, err
			}
			took[i] = append(took[i], float64(t))
		}
	}
	over := make([]time.Duration, len(urls)-1)
	for i := range over {
		over[i] = time.Duration(median(took[i+1]) - median(took[0]))
	}
	return over, nil
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
