// Command limitpicture draws docs/img/limits.svg: what limits admit over time,
// as gateways that really run were asked and answered.
//
//	make picture
//
// Three scenes of four seconds: bursts at one gateway, steady load at one
// gateway, and a flood at four gateways that share a limit through one
// redis-server, in leased mode. It needs redis-server, and bin/gopura, which
// make builds.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// length of each scene.
const length = 4 * time.Second

func main() {
	gopura := flag.String("gopura", "bin/gopura", "the gateway's program")
	out := flag.String("out", "docs/img/limits.svg", "where the picture goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *gopura, *out); err != nil {
		fmt.Fprintln(os.Stderr, "limitpicture:", err)
		os.Exit(1)
	}
}

var scenes = []scene{
	{
		title: "Bursts", about: "limit 100/s, burst 50",
		rate: 100, burst: 50, gateways: 1, top: 900,
		demand: func(at time.Duration) float64 {
			if at < time.Second || at >= 2*time.Second && at < 3*time.Second {
				return 400
			}
			return 0
		},
	},
	{
		title: "Below the limit, then above", about: "limit 100/s, burst 50",
		rate: 100, burst: 50, gateways: 1, top: 600,
		demand: func(at time.Duration) float64 {
			if at < 2*time.Second {
				return 80
			}
			return 200
		},
	},
	{
		title: "Four replicas, one store", about: "limit 400/s, burst 100, together",
		rate: 400, burst: 100, gateways: 4, top: 2400,
		demand: func(time.Duration) float64 { return 300 },
	},
}

func run(ctx context.Context, gopura, out string) error {
	var acts []act
	for _, s := range scenes {
		a, err := s.play(ctx, gopura)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		asked, admitted := a.totals()
		fmt.Printf("%s: %d asked, %d admitted; one exact limiter: %d\n", s.title, asked, admitted, a.exact())
		acts = append(acts, a)
	}
	var b bytes.Buffer
	draw(&b, acts)
	return os.WriteFile(out, b.Bytes(), 0o644)
}
