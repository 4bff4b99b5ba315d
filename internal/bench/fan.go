package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// byhandBinary is the same job written by hand: see internal/byhand.
const byhandBinary = "bin/byhand"

// fans are the jobs of composed answers. They have kinds of their own: no other
// proxy here can do them.
var fans = []Job{
	{Name: "fan3", Title: "One answer of three parts of 1 KB, fetched at the same time", Config: "fan3", Path: "/", Parts: 3},
	{Name: "fan10", Title: "One answer of ten parts of 1 KB, fetched at the same time", Config: "fan10", Path: "/", Parts: 10},
}

func fanKinds() []Kind {
	byhand := func(how string) func(config, dir string) []string {
		return func(config, _ string) []string { return []string{"@" + config, how} }
	}
	return []Kind{
		kinds[slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == "gopura" })],
		{Name: "decoded", Title: "net/http, goroutines, encoding/json", Program: byhandBinary, Config: "byhand", Args: byhand("decoded")},
		{Name: "raw", Title: "the same with json.RawMessage", Program: byhandBinary, Config: "byhand", Args: byhand("raw")},
	}
}

// runFans measures composed answers beside the same job written by hand.
func (b *Bench) runFans(ctx context.Context, _ options, only []string, done func(Section)) error {
	if !slices.ContainsFunc(fans, func(j Job) bool { return wanted(only, j.Name) }) {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", byhandBinary, "./internal/byhand").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	own := *b
	own.Kinds = fanKinds()
	for _, j := range fans {
		if !wanted(only, j.Name) {
			continue
		}
		o, err := own.Run(ctx, j)
		if err != nil {
			return err
		}
		if err := faults([]Outcome{o}); err != nil {
			return err
		}
		done(Section{j.Title, o.fanTable(), []string{
			"Beside it the same job written by hand in Go: with what was decoded and encoded again by `encoding/json`, and with `json.RawMessage`.",
		}})
		over, err := own.overheads(ctx, j)
		if err != nil {
			return err
		}
		done(over)
	}
	return nil
}

func (o Outcome) fanTable() Table {
	t := Table{Head: []string{"", "answers/s", "CPU µs/answer", "user + system", "× decoded", "× raw", "p50", "p99", "RSS MiB", "errors"}}
	for _, r := range o.Results {
		t.Rows = append(t.Rows, []string{
			r.Kind.Title, thousands(r.Median(perSecond)), fmt.Sprintf("%.1f", r.Median(cpu)),
			fmt.Sprintf("%.1f + %.1f", r.Median(func(s Sample) float64 { return s.User }), r.Median(func(s Sample) float64 { return s.System })),
			o.ratio(r, "decoded", cpu), o.ratio(r, "raw", cpu),
			latency(r.Median(func(s Sample) float64 { return s.P50 })), latency(r.Median(func(s Sample) float64 { return s.P99 })),
			fmt.Sprintf("%.1f", r.Median(rss)/(1<<20)), fmt.Sprintf("%.0f", r.Sum(failures)),
		})
	}
	return t
}

// checkParts asks for one composed answer and counts its parts.
func checkParts(body []byte, want int) error {
	var parts map[string]struct {
		ID     json.Number `json:"id"`
		Orders []any       `json:"orders"`
	}
	if err := json.Unmarshal(body, &parts); err != nil {
		return err
	}
	for name, p := range parts {
		if len(p.Orders) == 0 {
			return fmt.Errorf("%s is not the origin's document", name)
		}
	}
	if len(parts) != want {
		return fmt.Errorf("%d parts, want %d", len(parts), want)
	}
	return nil
}
