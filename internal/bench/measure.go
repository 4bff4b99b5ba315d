package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Sample is what one round says about one proxy. Times are microseconds, sizes bytes.
type Sample struct {
	PerSecond         float64
	CPU, User, System float64 // the proxy's processes, for each request
	P50, P99          float64
	RSS               float64 // at the end of the round
	Errors            float64
	Lost              float64 // requests without an access record

	// The memory job only.
	Before        float64 // RSS before the connections came
	PerConnection float64
	Heap          float64 // Gopura's heap in use, with the connections
}

// Result is all rounds of one proxy at one job.
type Result struct {
	Kind    Kind
	Samples []Sample
}

// Median of one measure over the rounds.
func (r Result) Median(of func(Sample) float64) float64 {
	values := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		values[i] = of(s)
	}
	return median(values)
}

// Ratio is the median of the ratios to another proxy, round by round.
func (r Result) Ratio(to Result, of func(Sample) float64) float64 {
	values := make([]float64, min(len(r.Samples), len(to.Samples)))
	for i := range values {
		values[i] = of(r.Samples[i]) / of(to.Samples[i])
	}
	return median(values)
}

// Sum over the rounds, for what must be 0.
func (r Result) Sum(of func(Sample) float64) (sum float64) {
	for _, s := range r.Samples {
		sum += of(s)
	}
	return sum
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Outcome is one job, done by all proxies.
type Outcome struct {
	Job     Job
	Results []Result
}

// Find is the result of the proxy of that name.
func (o Outcome) Find(name string) (Result, bool) {
	i := slices.IndexFunc(o.Results, func(r Result) bool { return r.Kind.Name == name })
	if i < 0 {
		return Result{}, false
	}
	return o.Results[i], true
}

// Bench holds what all jobs share.
type Bench struct {
	Kinds    []Kind
	Rounds   int
	Seconds  int
	Origin   string // host:port
	Dir      string // for configurations and logs
	Progress io.Writer
}

// idleRounds is enough for memory, which hardly varies.
const idleRounds = 3

// Run has the proxies take turns at a job.
func (b *Bench) Run(ctx context.Context, j Job) (Outcome, error) {
	o := Outcome{Job: j}
	for _, k := range b.Kinds {
		o.Results = append(o.Results, Result{Kind: k})
	}
	rounds, turn := b.Rounds, b.idle
	if j.Idle {
		rounds = min(rounds, idleRounds)
	} else {
		proxies, stop, err := b.startAll(ctx, j)
		if err != nil {
			return o, err
		}
		defer stop()
		turn = func(ctx context.Context, j Job, i int) (Sample, error) {
			return b.load(ctx, j, proxies[i], b.Seconds)
		}
	}
	for round := range rounds {
		for n := range o.Results {
			i := (n + round) % len(o.Results) // another one begins each round
			r := &o.Results[i]
			s, err := turn(ctx, j, i)
			if err != nil {
				return o, fmt.Errorf("job %s: %s: %w", j.Name, r.Kind.Name, err)
			}
			r.Samples = append(r.Samples, s)
			fmt.Fprintf(b.Progress, "%-9s round %d/%d  %-8s %s\n", j.Name, round+1, rounds, r.Kind.Name, brief(j, s))
		}
	}
	return o, nil
}

func brief(j Job, s Sample) string {
	if j.Idle {
		return fmt.Sprintf("%6.2f KiB a connection", s.PerConnection/1024)
	}
	return fmt.Sprintf("%7.0f requests/s %7.1f µs CPU a request", s.PerSecond, s.CPU)
}

// startAll starts every proxy and warms it up. The function that it returns stops them.
func (b *Bench) startAll(ctx context.Context, j Job) ([]*Proxy, func(), error) {
	var proxies []*Proxy
	stop := func() {
		for _, p := range proxies {
			p.Stop()
		}
	}
	for _, k := range b.Kinds {
		p, err := start(ctx, k, j, b.Origin, b.Dir)
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("job %s: %w", j.Name, err)
		}
		proxies = append(proxies, p)
		if k.Name == "gopura" {
			fmt.Fprintf(b.Progress, "%-9s gopura's admin API: %s\n", j.Name, p.Admin)
		}
		if _, err := b.load(ctx, j, p, 1); err != nil {
			stop()
			return nil, nil, fmt.Errorf("job %s: warming %s up: %w", j.Name, k.Name, err)
		}
	}
	return proxies, stop, nil
}

// load is one turn under load.
func (b *Bench) load(ctx context.Context, j Job, p *Proxy, seconds int) (Sample, error) {
	wrk, ok := find("wrk")
	if !ok {
		return Sample{}, fmt.Errorf("wrk not found")
	}
	script := ""
	if j.Script != "" {
		script = p.dir + "/" + j.Script
	}
	before, err := p.Usage()
	if err != nil {
		return Sample{}, err
	}
	var l Load
	if j.H2 != "" {
		l, err = runH2load(ctx, p.Address, j, b.Dir, seconds)
	} else if j.Fresh != "" {
		l, err = runHandshakes(ctx, p.Address, j, time.Duration(seconds)*time.Second)
	} else {
		l, err = runWrk(ctx, wrk, j.scheme()+p.Address+j.Path, script, seconds)
	}
	if err != nil {
		return Sample{}, err
	}
	after, err := p.Usage()
	if err != nil {
		return Sample{}, err
	}
	used := after.Since(before)
	user, system := used.Split()
	each := func(d time.Duration) float64 { return micros(d) / float64(l.Requests) }
	s := Sample{
		PerSecond: l.PerSecond(),
		CPU:       each(used.CPU), User: each(user), System: each(system),
		P50: micros(l.P50), P99: micros(l.P99),
		RSS:    float64(used.RSS),
		Errors: float64(l.Errors),
	}
	if j.Edits {
		n, err := p.records(ctx, l.Requests)
		if err != nil {
			return s, err
		}
		s.Lost = float64(max(0, l.Requests-n))
	}
	return s, nil
}

// idle is one turn of the memory job: a fresh proxy, many connections, all still usable.
func (b *Bench) idle(ctx context.Context, j Job, i int) (Sample, error) {
	p, err := start(ctx, b.Kinds[i], j, b.Origin, b.Dir)
	if err != nil {
		return Sample{}, err
	}
	defer p.Stop()
	before, err := p.Usage()
	if err != nil {
		return Sample{}, err
	}
	h, err := openHerd(ctx, p.Address, j.Path, idleConnections)
	if err != nil {
		return Sample{}, err
	}
	defer h.Close()
	select {
	case <-time.After(2 * time.Second): // for what is freed after a while
	case <-ctx.Done():
		return Sample{}, context.Cause(ctx)
	}
	after, err := p.Usage()
	if err != nil {
		return Sample{}, err
	}
	s := Sample{
		Before:        float64(before.RSS),
		RSS:           float64(after.RSS),
		PerConnection: float64(after.RSS-before.RSS) / idleConnections,
	}
	if p.Kind.Name == "gopura" {
		s.Heap = p.heap(ctx)
	}
	s.Errors = float64(h.Use(j.Path))
	return s, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
