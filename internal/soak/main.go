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
	"syscall"
	"time"
)

const chartFile = "docs/img/soak.svg"

// options say how long and how hard.
type options struct {
	minutes           float64
	rate              float64 // requests a second
	upgrades, reloads int     // when not 0: so many, and no faults
	upgradeEvery      time.Duration
	reloadEvery       time.Duration
	faultEvery        time.Duration // on for half of it
	binary            string
	write             bool
	dir               string
	progress          io.Writer
}

func main() {
	o := options{progress: os.Stderr}
	flag.Float64Var(&o.minutes, "minutes", 2, "how long")
	flag.Float64Var(&o.rate, "rate", 300, "requests a second, of all kinds together")
	flag.IntVar(&o.upgrades, "upgrades", 0, "upgrade so often, then stop; without faults")
	flag.IntVar(&o.reloads, "reloads", 0, "reload so often, then stop; without faults")
	flag.DurationVar(&o.upgradeEvery, "upgrade-every", 0, "time between upgrades; 0: four lives in all")
	flag.DurationVar(&o.reloadEvery, "reload-every", 2*time.Second, "time between reloads")
	flag.DurationVar(&o.faultEvery, "fault-every", time.Minute, "time from fault to fault; each lasts for half of it; 0: none")
	flag.StringVar(&o.binary, "gopura", "", "the gateway's binary; built when empty")
	flag.BoolVar(&o.write, "write", false, "write "+chartFile)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if _, err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run is the whole of it: it prints a report, and its error says what was not as it must be.
func run(ctx context.Context, o options, w io.Writer) (*report, error) {
	counted := o.upgrades > 0 || o.reloads > 0
	if o.minutes <= 0 || o.minutes > 24*60 || o.rate < 1 || o.reloadEvery <= 0 {
		return nil, errors.New("-minutes is up to a day, -rate at least 1, -reload-every more than 0")
	}
	if counted {
		o.faultEvery, o.write = 0, false
	} else if o.upgradeEvery == 0 {
		o.upgradeEvery = time.Duration(o.minutes * float64(time.Minute) / 4)
	}
	dir, err := os.MkdirTemp(o.dir, "gopura-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		o.binary = filepath.Join(dir, "built")
		if out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", o.binary, "./cmd/gopura").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	s, err := begin(dir, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.hold(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.gateway.lastWords())
	}
	r := s.report()
	r.print(w)
	if o.write {
		if err := writeChart(chartFile, r); err != nil {
			return nil, err
		}
	}
	if r.err() != nil {
		return r, fmt.Errorf("%w\n%s", r.err(), s.gateway.lastWords())
	}
	return r, nil
}

func writeChart(file string, r *report) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	r.draw(f)
	return f.Close()
}
