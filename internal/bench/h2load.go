package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// h2Jobs are the jobs over HTTP/2, for Gopura and NGINX.
var h2Jobs = []Job{
	{Name: "grpc", Title: "Unary gRPC calls to a gRPC service, 100 bytes both ways", Config: "grpc", Path: "/bench.v1.Echo/Call", Size: len(echoed), H2: "grpc"},
	{Name: "h2", Title: "HTTP/2 requests to an HTTP/1.1 service, 1 KB", Config: "h2", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10, H2: "get"},
}

// hasOwnKinds reports whether a job is not one that all proxies are given.
func hasOwnKinds(name string) bool {
	return strings.HasPrefix(name, "fan") || name == "transcode" || isTokenJob(name) || slices.ContainsFunc(h2Jobs, func(j Job) bool { return j.Name == name })
}

// echoed is a frame of gRPC with a message of 100 bytes: field 1, 98 of them.
var echoed = "\x00\x00\x00\x00\x64\x0a\x62" + strings.Repeat("m", 98)

// runH2 measures the jobs over HTTP/2.
func (b *Bench) runH2(ctx context.Context, _ options, only []string, done func(Section)) error {
	if !slices.ContainsFunc(h2Jobs, func(j Job) bool { return wanted(only, j.Name) }) {
		return nil
	}
	service, address, err := startService()
	if err != nil {
		return err
	}
	defer func() {
		service.Process.Kill()
		service.Wait()
	}()
	own := *b
	own.Kinds = slices.DeleteFunc(slices.Clone(b.Kinds), func(k Kind) bool { return k.Name == "haproxy" }) // NGINX is whom the aim is about
	for _, j := range h2Jobs {
		if !wanted(only, j.Name) {
			continue
		}
		if own.Origin = b.Origin; j.H2 == "grpc" {
			own.Origin = address
		}
		o, err := own.Run(ctx, j)
		if err != nil {
			return err
		}
		if err := faults([]Outcome{o}); err != nil {
			return err
		}
		done(Section{j.Title, o.h2Table(), []string{"h2load with 8 connections and 8 streams on each, without TLS."}})
	}
	return nil
}

func (o Outcome) h2Table() Table {
	t := Table{Head: []string{"proxy", "calls/s", "CPU µs/call", "user + system", "× NGINX", "RSS MiB", "errors"}}
	for _, r := range o.Results {
		t.Rows = append(t.Rows, []string{
			r.Kind.Title, thousands(r.Median(perSecond)), fmt.Sprintf("%.1f", r.Median(cpu)),
			fmt.Sprintf("%.1f + %.1f", r.Median(func(s Sample) float64 { return s.User }), r.Median(func(s Sample) float64 { return s.System })),
			o.ratio(r, "nginx", cpu), fmt.Sprintf("%.1f", r.Median(rss)/(1<<20)), fmt.Sprintf("%.0f", r.Sum(failures)),
		})
	}
	return t
}

// startService starts the gRPC service as a process of its own.
func startService() (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(self, "-serve-grpc")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when we fail
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return cmd, strings.TrimSpace(line), err
}

// serveGRPC is the service: what a call sends comes back. It says its address in
// its first line.
func serveGRPC() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	s := http.Server{Handler: http.HandlerFunc(echo), Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}}
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.Serve(l)
}

func echo(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.Write(message)
	w.Header().Set("Grpc-Status", "0")
}

// checkH2 asks once, as h2load will.
func checkH2(ctx context.Context, address string, j Job) error {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	defer t.CloseIdleConnections()
	method, body := "GET", ""
	if j.H2 == "grpc" {
		method, body = "POST", echoed
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+j.Path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
	}
	r, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != 200 || len(got) != j.Size || j.H2 == "grpc" && r.Trailer.Get("Grpc-Status") != "0" {
		return fmt.Errorf("%s: status %d with %d bytes and trailers %v, want 200 with %d", j.Path, r.StatusCode, len(got), r.Trailer, j.Size)
	}
	return nil
}

// runH2load puts load on a proxy for some seconds.
func runH2load(ctx context.Context, address string, j Job, dir string, seconds int) (Load, error) {
	program, ok := find("h2load")
	if !ok {
		return Load{}, fmt.Errorf("h2load not found")
	}
	args := []string{"-t1", "-c8", "-m8", "-D" + strconv.Itoa(seconds)}
	if j.H2 == "grpc" {
		name := filepath.Join(dir, "message")
		if err := os.WriteFile(name, []byte(echoed), 0o644); err != nil {
			return Load{}, err
		}
		args = append(args, "-d", name, "-H", "content-type: application/grpc", "-H", "te: trailers")
	}
	out, err := exec.CommandContext(ctx, program, append(args, "http://"+address+j.Path)...).CombinedOutput()
	if ctx.Err() != nil {
		return Load{}, context.Cause(ctx)
	}
	if err != nil {
		return Load{}, fmt.Errorf("h2load: %w: %s", err, out)
	}
	return parseH2load(out)
}

// parseH2load reads what h2load counted:
//
//	finished in 4.01s, 31249.50 req/s, 7.71MB/s
//	requests: 124998 total, 125062 started, 124998 done, 124998 succeeded, 0 failed, 0 errored, 0 timeout
func parseH2load(report []byte) (Load, error) {
	var l Load
	for line := range bytes.Lines(report) {
		f := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
		switch {
		case len(f) > 3 && f[0] == "finished":
			d, err := time.ParseDuration(f[2])
			if err != nil {
				return l, fmt.Errorf("h2load: %w", err)
			}
			l.Seconds = d.Seconds()
		case len(f) > 14 && f[0] == "requests:":
			counts := make([]int64, 0, 7)
			for i := 1; i+1 < len(f); i += 2 {
				n, err := strconv.ParseInt(f[i], 10, 64)
				if err != nil {
					return l, fmt.Errorf("h2load: %w", err)
				}
				counts = append(counts, n)
			}
			l.Requests, l.Errors = counts[3], counts[4]+counts[5]+counts[6]
		}
	}
	if l.Requests == 0 || l.Seconds == 0 {
		return l, fmt.Errorf("h2load: no result in its report:\n%s", report)
	}
	return l, nil
}

// runTranscode runs the measurement that is a module of its own.
func runTranscode(ctx context.Context, o options, only []string, done func(Section)) error {
	if !wanted(only, "transcode") {
		return nil
	}
	binary, err := filepath.Abs(gopuraBinary)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", ".", "-gopura", binary, "-rounds", strconv.Itoa(o.rounds), "-seconds", strconv.Itoa(o.seconds))
	cmd.Dir, cmd.Stderr = "internal/bench/transcode", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("transcode: %w", err)
	}
	t := Table{Head: []string{"", "CPU µs/request", "grpc-gateway", "× grpc-gateway"}}
	for line := range strings.Lines(string(out)) {
		if row := strings.Split(strings.TrimSpace(line), "\t"); len(row) == len(t.Head) {
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) == 0 {
		return fmt.Errorf("transcode: no result in its report:\n%s", out)
	}
	done(Section{"REST requests to a gRPC service", t, []string{"Beside grpc-gateway's generated proxy, before the same service."}})
	return nil
}
