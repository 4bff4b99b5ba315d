// Command overload measures what becomes of a service that gets more requests than
// it can answer, with the gateway's protection and without: answers in time a second.
//
//	go run ./internal/overload            about eight minutes; prints a table
//	go run ./internal/overload -write     writes docs/img/overload.svg as well
//
// The clients, the gateway (the real binary) and the service are processes of their own. The
// service has a capacity made of sleep: 5 workers of 50 ms, which is 100 answers a second.
// So the figures depend little on the machine, as long as it can carry a few hundred
// requests a second. The clients come whether they are answered or not, and go after a second.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gopura/internal/freeport"
)

const (
	workers  = 5
	work     = 50 * time.Millisecond
	capacity = 100 // answers a second
	patience = time.Second
	warmUp   = 5 * time.Second // of half the capacity
	settle   = 5 * time.Second // of the load that is measured
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

func run() error {
	length := flag.Duration("length", 15*time.Second, "length of what is measured, at each point")
	write := flag.Bool("write", false, "write docs/img/overload.svg")
	only := flag.Float64("load", 0, "only this load, times the capacity")
	gateway := flag.String("gopura", "", "the gateway's binary; built when empty")
	as := flag.String("as", "", "service, stubborn or clients: what the measurement starts as its other processes")
	url := flag.String("url", "", "of -as clients")
	rate := flag.Float64("rate", 0, "of -as clients")
	first := flag.Duration("first", 0, "of -as clients: the beginning, counted apart")
	flag.Parse()
	switch *as {
	case "service", "stubborn":
		return serve(*as == "stubborn")
	case "clients":
		return json.NewEncoder(os.Stdout).Encode(attack(*url, *rate, *first, *length))
	}
	b, err := newBench(*gateway, *length)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	rows, err := b.table(*only)
	if err != nil || !*write {
		return err
	}
	f, err := os.Create("docs/img/overload.svg")
	if err != nil {
		return err
	}
	draw(f, rows)
	return f.Close()
}

// row is what came of one load.
type row struct {
	stubborn      bool
	load          float64 // times the capacity
	with, without point
}

// point is what came of one load: in its first seconds, and after them.
type point struct{ First, Then result }

// result is answers a second.
type result struct{ Good, Late, Refused float64 }

type bench struct {
	dir, self, gateway string
	length             time.Duration
}

func newBench(gateway string, length time.Duration) (*bench, error) {
	dir, err := os.MkdirTemp("", "overload")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, gateway: gateway, length: length}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.gateway == "" {
		b.gateway = filepath.Join(dir, "gopura")
		if out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", b.gateway, "./cmd/gopura").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return b, nil
}

func (b *bench) table(only float64) (rows []row, err error) {
	fmt.Printf("| the service, for clients that have gone | requests | protected: in time | too late | refused | first %.0f s: in time | unprotected: in time | too late |\n|---|---|---|---|---|---|---|---|\n", settle.Seconds())
	for _, stubborn := range []bool{true, false} {
		for _, load := range []float64{0.9, 2, 3} {
			if only != 0 && load != only {
				continue
			}
			r := row{stubborn: stubborn, load: load}
			if r.with, err = b.measure(stubborn, load, "adaptive"); err != nil {
				return nil, err
			}
			if r.without, err = b.measure(stubborn, load, "off"); err != nil {
				return nil, err
			}
			rows = append(rows, r)
			fmt.Printf("| %s | %.0f/s (%.1f×) | **%.0f/s** | %.0f/s | %.0f/s | %.0f/s | %.0f/s | %.0f/s |\n", r.kind(),
				load*capacity, load, r.with.Then.Good, r.with.Then.Late, r.with.Then.Refused, r.with.First.Good, r.without.Then.Good, r.without.Then.Late)
		}
	}
	return rows, nil
}

func (r row) kind() string {
	if r.stubborn {
		return "works on"
	}
	return "stops"
}

// measure runs a gateway before a fresh service.
func (b *bench) measure(stubborn bool, load float64, mode string) (p point, err error) {
	as := "service"
	if stubborn {
		as = "stubborn"
	}
	service, target, err := start("", b.self, "-as", as)
	if err != nil {
		return p, err
	}
	defer end(service)
	file := filepath.Join(b.dir, "overload.yaml")
	port, err := freeport.Find()
	if err != nil {
		return p, err
	}
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\naccess_log: off\noverload: %s\nservices: {s: {targets: \"http://%s\", outliers: off}}\nroutes: [{match: /*, to: s}]\n", port, mode, target)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return p, err
	}
	gateway := exec.Command(b.gateway, "run", "-c", file)
	gateway.Stderr = os.Stderr
	if err := gateway.Start(); err != nil {
		return p, err
	}
	defer end(gateway)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	if err := awaitPort(port); err != nil {
		return p, err
	}
	if _, err = b.clients(url, 0.5*capacity, 0, warmUp); err != nil {
		return p, err
	}
	return b.clients(url, load*capacity, settle, b.length)
}

// clients runs the clients as a process.
func (b *bench) clients(url string, rate float64, first, length time.Duration) (p point, err error) {
	c := exec.Command(b.self, "-as", "clients", "-url", url, "-rate", strconv.FormatFloat(rate, 'f', -1, 64), "-first", first.String(), "-length", length.String())
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return p, fmt.Errorf("clients: %w", err)
	}
	return p, json.Unmarshal(out, &p)
}

// start starts a process, and returns the first line that it prints.
func start(dir, name string, args ...string) (*exec.Cmd, string, error) {
	c := exec.Command(name, args...)
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := c.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end(c)
		return nil, "", errors.Join(fmt.Errorf("%s printed nothing", name), err)
	}
	return c, strings.TrimSpace(line), nil
}

func end(c *exec.Cmd) {
	c.Process.Signal(syscall.SIGKILL)
	c.Wait()
}
