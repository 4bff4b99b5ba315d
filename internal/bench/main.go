package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gopura/internal/origin"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "turns that each proxy takes at each job")
	flag.IntVar(&o.seconds, "seconds", 4, "length of a turn")
	flag.StringVar(&o.only, "only", "", "some jobs ("+names(slices.Concat(jobs, fans, h2Jobs, tokenJobs), func(j Job) string { return j.Name })+", transcode"+
		") and proxies ("+names(kinds, func(k Kind) string { return k.Name })+"), with commas between")
	flag.BoolVar(&o.write, "write", true, "write "+pageFile+" and "+chartFile+" after a whole run")
	serve := flag.Bool("serve-grpc", false, "be the gRPC service of the grpc job: the harness starts itself with this")
	flag.Parse()
	if *serve {
		fmt.Fprintln(os.Stderr, "bench:", serveGRPC())
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, seconds int
	only            string
	write           bool
}

func names[T any](list []T, name func(T) string) string {
	var out []string
	for _, item := range list {
		out = append(out, name(item))
	}
	return strings.Join(out, ", ")
}

func run(ctx context.Context, o options) error {
	if o.rounds < 1 || o.rounds > 100 || o.seconds < 1 || o.seconds > 600 {
		return errors.New("-rounds is 1 to 100, -seconds 1 to 600")
	}
	only := split(o.only)
	own := slices.DeleteFunc(slices.Clone(only), func(name string) bool { return !hasOwnKinds(name) })
	js, ks, unknown := choose(slices.DeleteFunc(only, hasOwnKinds))
	if o.only != "" && len(own) == len(split(o.only)) {
		js = nil // those alone
	}
	if unknown != nil {
		return fmt.Errorf("-only: no job and no proxy is called %s", strings.Join(unknown, ", "))
	}
	progress := os.Stderr
	ks, err := prepare(ctx, ks, progress)
	if err != nil {
		return err
	}
	limit := time.Duration((len(js)+len(fans)+len(h2Jobs)+len(tokenJobs)+1)*len(ks)*(o.rounds*(o.seconds+10)+60)) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %s", limit))
	defer cancel()

	service, err := origin.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer service.Close()
	dir, err := os.MkdirTemp("", "gopura-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // NGINX's workers run as another user
		return err
	}
	if err := writeCertificate(filepath.Join(dir, certificateFile)); err != nil {
		return err
	}
	m := describe(ctx, ks)
	fmt.Fprintf(progress, "load average %s: %s\n", m.Load, m.noise())

	b := &Bench{Kinds: ks, Rounds: o.rounds, Seconds: o.seconds, Origin: service.Address(), Dir: dir, Progress: progress}
	var outcomes []Outcome
	for _, j := range js {
		out, err := b.Run(ctx, j)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, out)
		fmt.Printf("\n%s\n", j.Title)
		out.table().Text(os.Stdout)
		fmt.Println()
	}
	if err := faults(outcomes); err != nil {
		return err
	}
	var sections []Section
	if o.only == "" || len(own) > 0 {
		if sections, err = b.sections(ctx, o, own); err != nil {
			return err
		}
	}
	if !o.write {
		return nil
	}
	if len(js) < len(jobs) || len(ks) < len(kinds) {
		fmt.Fprintf(progress, "%s stays as it is: only a run of all jobs and all proxies writes it\n", pageFile)
		return nil
	}
	return writeReport(Page{Machine: m, Rounds: o.rounds, Seconds: o.seconds, Date: time.Now(), Outcomes: outcomes, Sections: sections})
}

func split(only string) []string {
	return strings.FieldsFunc(only, func(r rune) bool { return r == ',' || r == ' ' })
}

// prepare installs and builds what is needed, and leaves Gopura out when it doesn't build.
func prepare(ctx context.Context, ks []Kind, progress io.Writer) ([]Kind, error) {
	programs := []string{"wrk", "h2load"}
	for _, k := range ks {
		if k.Program != gopuraBinary {
			programs = append(programs, k.Program)
		}
	}
	if err := install(ctx, programs, progress); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(ks, func(k Kind) bool { return k.Program == gopuraBinary })
	if i < 0 {
		return ks, nil
	}
	if err := build(ctx); err != nil {
		fmt.Fprintf(progress, "gopura is left out, since it doesn't build: %v\n", err)
		ks = slices.Delete(slices.Clone(ks), i, i+1)
	}
	if len(ks) == 0 {
		return nil, errors.New("no proxy is left to measure")
	}
	return ks, nil
}

// faults is an error when a figure is worth nothing: failed requests, or holes in our own access log. (HAProxy's
// records travel as datagrams, of which a busy machine may lose some; the table says how many.)
func faults(outcomes []Outcome) error {
	var list []error
	for _, o := range outcomes {
		for _, r := range o.Results {
			if n := r.Sum(failures); n > 0 {
				list = append(list, fmt.Errorf("job %s: %s: %.0f errors", o.Job.Name, r.Kind.Name, n))
			}
			if n := r.Sum(lost); n > 0 && r.Kind.Name == "gopura" {
				list = append(list, fmt.Errorf("job %s: %s: %.0f requests aren't in its access log", o.Job.Name, r.Kind.Name, n))
			}
		}
	}
	return errors.Join(list...)
}
