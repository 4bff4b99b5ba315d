package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopura/internal/origin"
)

func TestParseWrk(t *testing.T) {
	const report = `Running 4s test @ http://127.0.0.1:8080/1k
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.58ms    0.98ms  21.30ms   82.15%
    Req/Sec    21.16k     1.40k   24.09k    71.25%
  Latency Distribution
     50%  812.00us
     75%    1.98ms
     90%    2.61ms
     99%    1.02s 
  168423 requests in 4.01s, 194.55MB read
`
	const tail = "Requests/sec:  42024.11\nTransfer/sec:     48.54MB\n"
	clean := Load{Requests: 168423, Seconds: 4.01, P50: 812 * time.Microsecond, P99: 1020 * time.Millisecond}
	failed := clean
	failed.Errors = 1 + 2 + 3 + 4 + 50
	for name, test := range map[string]struct {
		report string
		want   Load
		bad    bool
	}{
		"no errors": {report: report + tail, want: clean},
		"errors of all kinds are added up": {
			report: report + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 50\n" + tail,
			want:   failed,
		},
		"nothing answered": {report: "  0 requests in 4.01s, 0.00B read\n", bad: true},
		"another program":  {report: "unable to connect to 127.0.0.1:8080 Connection refused\n", bad: true},
		"not a number":     {report: report + "  Non-2xx or 3xx responses: many\n", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseWrk(test.report)
			if (err != nil) != test.bad || got != test.want {
				t.Errorf("got %+v (%v), want %+v, an error: %v", got, err, test.want, test.bad)
			}
		})
	}
}

// A group is a master and its worker; the process of another group doesn't count.
func TestGroupUsageSumsProcessesAndThreads(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const rest = " 0 0 20 0 1 0 1000 1000 100 18446744073709551615\n"
	write("100/stat", "100 (nginx: (a b) S) S 1 100 100 0 -1 0 0 0 0 0 7 3"+rest)
	write("100/task/100/schedstat", "70000000 5 1\n")
	write("100/task/101/schedstat", "30000001 5 1\n")
	write("100/smaps_rollup", "00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss:    2048 kB\nPss:    1000 kB\n")
	write("102/stat", "102 (nginx) S 100 100 100 0 -1 0 0 0 0 0 20 10"+rest)
	write("102/task/102/schedstat", "300000000 5 1\n")
	write("102/smaps_rollup", "Rss:    1024 kB\n")
	write("200/stat", "200 (wrk) S 1 200 200 0 -1 0 0 0 0 0 900 900"+rest)

	got, err := groupUsage(proc, 100)
	want := Usage{CPU: 400_000_001, User: 270 * time.Millisecond, System: 130 * time.Millisecond, RSS: 3 << 20}
	if err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if _, err := groupUsage(proc, 300); err == nil {
		t.Error("a group without a process has a use")
	}
}

func TestGroupUsageOfThisProcess(t *testing.T) {
	u, err := groupUsage("/proc", syscall.Getpgrp())
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU <= 0 || u.RSS < 1<<20 {
		t.Errorf("this process has used %+v", u)
	}
}

func TestSplitKeepsTheExactSum(t *testing.T) {
	user, system := Usage{CPU: 1000, User: 3 * tick, System: tick}.Split()
	if user != 750 || system != 250 {
		t.Errorf("got %d + %d, want 750 + 250", user, system)
	}
	if user, system = (Usage{CPU: 1000}).Split(); user+system != 1000 {
		t.Errorf("without ticks: %d + %d, want 1000 in all", user, system)
	}
}

func TestRender(t *testing.T) {
	got, err := render("port @PORT@\n  #repeat 3\n  route @N@ @PORT@\n  #end\ntail\n", map[string]string{"PORT": "80"})
	if want := "port 80\n  route 0 80\n  route 1 80\n  route 2 80\ntail\n"; err != nil || got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	for _, bad := range []string{"#repeat 2\nx\n", "#repeat x\n#end\n", "#repeat 2\n#repeat 2\n#end\n"} {
		if _, err := render(bad, nil); err == nil {
			t.Errorf("%q renders", bad)
		}
	}
}

// Each job has a configuration for each proxy, and nothing in them stays unfilled.
func TestEveryConfigurationIsThereAndFilled(t *testing.T) {
	values := map[string]string{"PORT": "1", "ADMIN": "2", "ORIGIN": "127.0.0.1:3", "DIR": "/d", "BUFFER": "16384", "CERTIFICATE": "/c"}
	unfilled := regexp.MustCompile(`@[A-Z]+@`)
	for _, j := range jobs {
		dir := t.TempDir()
		if err := writeConfigs(dir, j.Config, values); err != nil {
			t.Fatal(err)
		}
		for _, k := range kinds {
			text, err := os.ReadFile(filepath.Join(dir, j.Config+"."+k.Config))
			if err != nil {
				t.Fatal(err)
			}
			if left := unfilled.Find(text); left != nil {
				t.Errorf("%s, %s: %s is left", j.Name, k.Name, left)
			}
			if j.Edits && k.Name != "haproxy" && bytes.Count(text, []byte("/svc")) != 100 {
				t.Errorf("%s, %s: not 100 routes", j.Name, k.Name)
			}
		}
		if j.Script != "" {
			if _, err := fs.Stat(testdata, "testdata/"+j.Script); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	for only, want := range map[string]string{
		"":              "10 jobs, 3 proxies, unknown []",
		"plain, memory": "2 jobs, 3 proxies, unknown []",
		"nginx":         "10 jobs, 1 proxies, unknown []",
		"full,haproxy":  "1 jobs, 1 proxies, unknown []",
		"plain,apache":  "1 jobs, 3 proxies, unknown [apache]",
	} {
		js, ks, unknown := choose(split(only))
		if got := strings.Join([]string{count(len(js), "jobs"), count(len(ks), "proxies"), "unknown [" + strings.Join(unknown, " ") + "]"}, ", "); got != want {
			t.Errorf("-only %q: %s, want %s", only, got, want)
		}
	}
}

func count(n int, what string) string { return fmt.Sprint(n, " ", what) }

func TestMedianAndRatio(t *testing.T) {
	r := func(values ...float64) (r Result) {
		for _, v := range values {
			r.Samples = append(r.Samples, Sample{CPU: v})
		}
		return r
	}
	if got := r(9, 1, 2).Median(cpu); got != 2 {
		t.Errorf("median of 9, 1, 2 is %v", got)
	}
	if got := r(4, 1, 2, 9).Median(cpu); got != 3 {
		t.Errorf("median of 4, 1, 2, 9 is %v", got)
	}
	// Round by round: 1/2, 6/3, 20/10, though the medians are 6 and 3.
	if got := r(1, 6, 20).Ratio(r(2, 3, 10), cpu); got != 2 {
		t.Errorf("ratio is %v", got)
	}
}

func TestFaults(t *testing.T) {
	o := sample()
	if err := faults(o); err != nil {
		t.Errorf("a clean run: %v", err)
	}
	o[0].Results[1].Samples[0].Errors = 2
	o[1].Results[0].Samples[1].Lost = 7
	err := faults(o)
	if err == nil || !strings.Contains(err.Error(), "job plain: nginx: 2 errors") ||
		!strings.Contains(err.Error(), "job full: gopura: 7 requests aren't in its access log") {
		t.Errorf("got %v", err)
	}
}

// sample is an outcome of every job, with figures that are easy to tell apart.
func sample() []Outcome {
	var outcomes []Outcome
	for _, j := range jobs {
		o := Outcome{Job: j}
		for i, k := range kinds {
			f := float64(i + 2)
			s := Sample{PerSecond: 80_000 / f, CPU: 10 * f, User: 4 * f, System: 6 * f, P50: 400 * f, P99: 2000 * f,
				RSS: f * (8 << 20), Before: f * (4 << 20), PerConnection: f * 512}
			if k.Name == "gopura" {
				s.Heap = 3 << 20
			}
			o.Results = append(o.Results, Result{Kind: k, Samples: []Sample{s, s}})
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func TestTables(t *testing.T) {
	o := sample()
	for name, test := range map[string]struct {
		write func(Table, io.Writer)
		table Table
		want  string
	}{
		"speed, for a terminal": {Table.asText, o[0].table(), "" +
			"proxy    requests/s  × NGINX  × HAProxy  CPU µs/request  user + system  × NGINX  × HAProxy      p50      p99  RSS MiB  errors\n" +
			"Gopura       40,000     1.50       2.00            20.0     8.0 + 12.0     0.67       0.50   800 µs     4 ms     16.0       0\n" +
			"NGINX        26,667        –       1.33            30.0    12.0 + 18.0        –       0.75  1.2 ms     6 ms     24.0       0\n" +
			"HAProxy      20,000     0.75          –            40.0    16.0 + 24.0     1.33          –  1.6 ms     8 ms     32.0       0\n"},
		"memory, for a page": {Table.asMarkdown, o[6].table(), "" +
			"| proxy | RSS MiB before | RSS MiB with them | KiB/connection | × NGINX | × HAProxy | heap MiB | errors |\n" +
			"|---|--:|--:|--:|--:|--:|--:|--:|\n" +
			"| Gopura | 8.0 | 16.0 | 1.00 | 0.67 | 0.50 | 3.0 | 0 |\n" +
			"| NGINX | 12.0 | 24.0 | 1.50 | – | 0.75 | – | 0 |\n" +
			"| HAProxy | 16.0 | 32.0 | 2.00 | 1.33 | – | – | 0 |\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			test.write(test.table, &b)
			if squeeze(b.String()) != squeeze(test.want) {
				t.Errorf("got\n%s\nwant\n%s", b.String(), test.want)
			}
		})
	}
}

func (t Table) asText(w io.Writer)     { t.Text(w) }
func (t Table) asMarkdown(w io.Writer) { t.Markdown(w) }

// squeeze makes every run of spaces one.
func squeeze(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }

// In a terminal all lines of a table end in the same column.
func TestTextColumnsLineUp(t *testing.T) {
	var b bytes.Buffer
	sample()[0].table().Text(&b)
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for _, line := range lines {
		if len([]rune(line)) != len([]rune(lines[0])) {
			t.Errorf("%q isn't as long as %q", line, lines[0])
		}
	}
}

func page() Page {
	m := Machine{CPU: "Example <CPU>", Cores: 2, Memory: "24 GiB", Kernel: "6.1", Go: "go1.26", Load: "0.10", Versions: []string{"NGINX 1.22.1"}}
	return Page{Machine: m, Rounds: 5, Seconds: 4, Date: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Outcomes: sample(),
		Sections: []Section{{"A section", Table{Head: []string{"", "x"}, Rows: [][]string{{"a", "1"}}}, []string{"A note."}}}}
}

func TestPageSaysHowToRepeatIt(t *testing.T) {
	var b bytes.Buffer
	page().Markdown(&b)
	for _, want := range []string{"make bench\n", "24 November 2026", "Example <CPU>, 2 cores", "NGINX 1.22.1", "5 of 4 s each", "img/benchmarks.svg", "internal/bench/testdata", "## A section\n\n|  | x |\n|---|--:|\n| a | 1 |\n\nA note.\n\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, j := range jobs {
		if !strings.Contains(b.String(), "## "+j.Title+"\n") {
			t.Errorf("no job %q in the page", j.Title)
		}
	}
}

// The chart is well-formed XML, knows both modes, and has a bar for each figure.
func TestChart(t *testing.T) {
	var b bytes.Buffer
	page().SVG(&b)
	text := b.String()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(text, "prefers-color-scheme: dark") {
		t.Error("no dark mode")
	}
	if n := strings.Count(text, `class="gopura"`); n != 2*len(jobs) {
		t.Errorf("%d bars of Gopura, want two for each of %d jobs", n, len(jobs))
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a bar without a number")
	}
}

func TestMachineFields(t *testing.T) {
	const info = "processor\t: 0\nmodel name\t: Example CPU @ 3 GHz\nMemTotal:       24684528 kB\n"
	if got := field(info, "model name"); got != "Example CPU @ 3 GHz" {
		t.Errorf("model name %q", got)
	}
	if got := gibibytes(field(info, "MemTotal")); got != "24 GiB" {
		t.Errorf("memory %q", got)
	}
	for line, want := range map[string]string{
		"nginx version: nginx/1.22.1":                          "1.22.1",
		"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https:": "2.6.12-1+deb12u4",
	} {
		if got := versionNumber.FindString(line); got != want {
			t.Errorf("%q: version %q, want %q", line, got, want)
		}
	}
}

// A check without a proxy: the origin itself does the plain job, and not the full one.
func TestCheckSeesMissingEdits(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if err := check(ctx, s.Address(), jobs[0]); err != nil {
		t.Errorf("plain: %v", err)
	}
	if err := check(ctx, s.Address(), jobs[1]); err == nil || !strings.Contains(err.Error(), "X-Served-By") {
		t.Errorf("full: %v, want a complaint about X-Served-By", err)
	}
	if err := check(ctx, s.Address(), Job{Path: "/status/503"}); err == nil {
		t.Error("a 503 passes")
	}
}

func TestHerdStaysUsable(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHerd(context.Background(), s.Address(), "/1k", 50)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if n := h.Use("/1k"); n != 0 || s.Requests() != 100 {
		t.Errorf("%d connections broken, %d requests", n, s.Requests())
	}
	s.Close()
	if n := h.Use("/1k"); n != 50 {
		t.Errorf("%d connections broken by the close, want 50", n)
	}
}
