// Command scale measures what one gateway holds: idle connections of every kind, and a large table of
// routes. It prints the tables of docs/scale.md.
//
//	go run ./internal/scale                        20,000 connections of each kind, 10,000 routes; some minutes
//	go run ./internal/scale -connections 2000 -only tls,h2
//
// The gateway is the real binary, a process of its own for each row. A connection has had one
// request answered and is then kept, unused. Memory is what the kernel counts as resident (VmRSS), after a
// garbage collection, before the first and after the last; then each connection must answer once
// more. Clients come from several addresses of the loopback, as one has not ports enough. It needs the
// right to open that many files, twice: run it as root, or with ulimit -n.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type options struct {
	connections, routes int
	only                string
	binary, dir         string
	settle              time.Duration
	progress            io.Writer
}

func main() {
	o := options{progress: os.Stderr, settle: time.Second}
	flag.IntVar(&o.connections, "connections", 20_000, "idle connections of each kind")
	flag.IntVar(&o.routes, "routes", 10_000, "routes of the table")
	flag.StringVar(&o.only, "only", "", "some of plain, tls, h2, h2-tls, routes, with commas between")
	flag.StringVar(&o.binary, "gopura", "", "the gateway's binary; built when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if _, err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// spareFiles are what a process has open beside connections, and some.
const spareFiles = 80

// result is what was measured, in bytes.
type result struct {
	kind         string
	before, with int64
	each         int64 // of a connection or a route
}

// run measures, and prints a row for each.
func run(ctx context.Context, o options, w io.Writer) (all []result, err error) {
	wanted := func(name string) bool { return o.only == "" || strings.Contains(","+o.only+",", ","+name+",") }
	if o.connections < 1 || o.connections > 200_000 || o.routes < 1 || o.routes > 100_000 {
		return nil, errors.New("-connections is up to 200000, -routes up to 100000")
	}
	files, err := allowFiles(o.connections + spareFiles)
	if err != nil {
		return nil, err
	}
	if files < o.connections+spareFiles {
		o.connections = files - spareFiles
		fmt.Fprintf(o.progress, "a process may have %d files open here: %d connections\n", files, o.connections)
	}
	dir, err := os.MkdirTemp(o.dir, "gopura-scale-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		o.binary = filepath.Join(dir, "gopura")
		if out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", o.binary, "./cmd/gopura").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	fmt.Fprintf(w, "| %d idle connections | before | with them | each |\n|---|--:|--:|--:|\n", o.connections)
	for _, k := range kinds {
		if !wanted(k.name) {
			continue
		}
		r, err := measure(ctx, o, dir, k)
		if err != nil {
			return all, fmt.Errorf("%s: %w", k.name, err)
		}
		all = append(all, r)
		fmt.Fprintf(w, "| %s | %.1f MiB | %.1f MiB | %.1f KiB |\n", k.title, mib(r.before), mib(r.with), float64(r.each)/1024)
	}
	if wanted("routes") {
		r, err := measureRoutes(ctx, o, dir, w)
		if err != nil {
			return all, fmt.Errorf("routes: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// allowFiles raises the limit of open files, which the gateway inherits, to n, and returns how many
// there may be.
func allowFiles(n int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if limit.Cur >= uint64(n) {
		return n, nil
	}
	more := syscall.Rlimit{Cur: uint64(n), Max: max(uint64(n), limit.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
		return n, nil
	}
	limit.Cur = limit.Max // whoever may not have more
	return int(limit.Max), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
