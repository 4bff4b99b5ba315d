package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	n := flag.Int("n", 1_000_000, "exchanges")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	begun := time.Now()
	a, err := run(ctx, options{exchanges: *n, every: 10 * time.Second, progress: func(line string) {
		fmt.Fprintf(os.Stderr, "%v: %s\n", time.Since(begun).Round(time.Second), line)
	}})
	if a != nil {
		fmt.Printf("%s%9v in all\n", a, time.Since(begun).Round(time.Second))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	if a.failed() {
		os.Exit(1)
	}
}
