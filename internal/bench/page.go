package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Where the results go, from the project's root.
const (
	pageFile  = "docs/benchmarks.md"
	chartFile = "docs/img/benchmarks.svg"
)

// Page is a whole run, ready to be written down.
type Page struct {
	Machine         Machine
	Rounds, Seconds int
	Date            time.Time
	Outcomes        []Outcome
	Sections        []Section
}

// writeReport writes the page and its chart.
func writeReport(p Page) error {
	var page, chart bytes.Buffer
	p.Markdown(&page)
	p.SVG(&chart)
	if err := os.MkdirAll(filepath.Dir(chartFile), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(chartFile, chart.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(pageFile, page.Bytes(), 0o644)
}

// Markdown writes docs/benchmarks.md.
func (p Page) Markdown(w io.Writer) {
	fmt.Fprint(w, `# Benchmarks

<!-- Written by `+"`make bench`"+`; edits are lost. -->

Gopura, NGINX and HAProxy at the same jobs, in one run on one machine.
Repeat it with

    make bench

![CPU time per request and requests per second, by job and proxy](img/benchmarks.svg)

`)
	for _, o := range p.Outcomes {
		fmt.Fprintf(w, "## %s\n\n", o.Job.Title)
		o.table().Markdown(w)
		fmt.Fprintf(w, "\n%s\n\n", about(o.Job))
	}
	for _, s := range p.Sections {
		s.Markdown(w)
	}
	m := p.Machine
	fmt.Fprintf(w, `## How it was measured

| | |
|---|---|
| date | %s |
| machine | %s, %d cores, %s, Linux %s, load average before the run %s |
| programs | %s, %s |
| rounds | %d of %d s each, at most %d for memory |

wrk with 2 threads and %d connections asks a proxy with 2 workers, which asks an origin that
answers from memory. All three share the machine's cores, over loopback, with connections
kept on both sides. The proxies of a job take turns, and another one begins each round.
A figure is the median over the rounds; a ratio (×) is the median of the rounds' ratios.

- **CPU µs/request** is what the kernel charged to the proxy's own processes, user and system
  time, divided by the requests that were answered. It is the figure to compare: it says what
  a request costs, and moves little when the machine is busy. Less is better.
- **requests/s**, **p50** and **p99** are what wrk saw. The load generator and the origin
  take their share of the same cores, so they are no limits of the proxies.
- **RSS** is the memory of all processes of the proxy; what NGINX's processes share counts for each.
- **errors** are socket errors, timeouts and answers that aren't 2xx, over all rounds, and
  **records lost** are requests missing in the access log. A run with either isn't written here.

Before a proxy is timed, a request checks its status, body and edited headers. The
configurations are in [internal/bench/testdata](../internal/bench/testdata): no log in the
plain jobs, the same number of workers, pools of idle connections that never run dry, and
buffers of NGINX and HAProxy as large as suits the answers: 16 KiB, and 64 KiB for 1 MB.
`, p.Date.Format("2 January 2006"), m.CPU, m.Cores, m.Memory, m.Kernel, m.Load,
		strings.Join(m.Versions, ", "), m.Go, p.Rounds, p.Seconds, idleRounds, connections)
}

// about says what a job consists of, where its title doesn't.
func about(j Job) string {
	switch {
	case j.Idle:
		return "Each connection has had one request answered and is then kept, unused. The memory is read before\n" +
			"the first connection and 2 s after the last; then every connection must answer once more. NGINX and\n" +
			"HAProxy reserve part of a connection's memory when they start, so look at the whole as well."
	case j.Config == "limit":
		by := "the address of the client, of which there is one"
		if j.Script != "" {
			by = "a request header with 10,000 values"
		}
		return "A limit that is not reached, counted by " + by + ": `limit` of Gopura, `limit_req` of NGINX,\n" +
			"a stick table with `http_req_rate` of HAProxy. (Another limit is reached before the first round, to see that they hold.)"
	case j.Edits:
		return "A table of 100 path prefixes, asked for in turn; two request headers set (one from the client's\n" +
			"address), one response header set and one removed; a JSON record of each request in a file.\n" +
			"NGINX buffers its log; HAProxy, which writes no files, logs to its standard output."
	}
	return fmt.Sprintf("`GET %s`, one route, no header edits, no log.", j.Path)
}
