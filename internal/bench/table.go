package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows of text under a head. The first column is set left, the others right.
type Table struct {
	Head []string
	Rows [][]string
}

// table shows the medians of a job.
func (o Outcome) table() Table {
	if o.Job.Idle {
		return o.memoryTable()
	}
	t := Table{Head: []string{"proxy", "requests/s", "× NGINX", "× HAProxy",
		"CPU µs/request", "user + system", "× NGINX", "× HAProxy", "p50", "p99", "RSS MiB", "errors"}}
	if o.Job.Edits {
		t.Head = append(t.Head, "records lost")
	}
	for _, r := range o.Results {
		row := []string{
			r.Kind.Title,
			thousands(r.Median(perSecond)), o.ratio(r, "nginx", perSecond), o.ratio(r, "haproxy", perSecond),
			fmt.Sprintf("%.1f", r.Median(cpu)),
			fmt.Sprintf("%.1f + %.1f", r.Median(func(s Sample) float64 { return s.User }), r.Median(func(s Sample) float64 { return s.System })),
			o.ratio(r, "nginx", cpu), o.ratio(r, "haproxy", cpu),
			latency(r.Median(func(s Sample) float64 { return s.P50 })),
			latency(r.Median(func(s Sample) float64 { return s.P99 })),
			fmt.Sprintf("%.1f", r.Median(rss)/(1<<20)),
			fmt.Sprintf("%.0f", r.Sum(failures)),
		}
		if o.Job.Edits {
			row = append(row, fmt.Sprintf("%.0f", r.Sum(lost)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (o Outcome) memoryTable() Table {
	t := Table{Head: []string{"proxy", "RSS MiB before", "RSS MiB with them", "KiB/connection", "× NGINX", "× HAProxy", "heap MiB", "errors"}}
	for _, r := range o.Results {
		heap := "–"
		if h := r.Median(func(s Sample) float64 { return s.Heap }); h > 0 {
			heap = fmt.Sprintf("%.1f", h/(1<<20))
		}
		t.Rows = append(t.Rows, []string{
			r.Kind.Title,
			fmt.Sprintf("%.1f", r.Median(func(s Sample) float64 { return s.Before })/(1<<20)),
			fmt.Sprintf("%.1f", r.Median(rss)/(1<<20)),
			fmt.Sprintf("%.2f", r.Median(perConnection)/(1<<10)),
			o.ratio(r, "nginx", perConnection), o.ratio(r, "haproxy", perConnection),
			heap,
			fmt.Sprintf("%.0f", r.Sum(failures)),
		})
	}
	return t
}

func perSecond(s Sample) float64     { return s.PerSecond }
func cpu(s Sample) float64           { return s.CPU }
func rss(s Sample) float64           { return s.RSS }
func failures(s Sample) float64      { return s.Errors }
func lost(s Sample) float64          { return s.Lost }
func perConnection(s Sample) float64 { return s.PerConnection }

// ratio to the named proxy; nothing to itself or to one that didn't take part.
func (o Outcome) ratio(r Result, name string, of func(Sample) float64) string {
	to, ok := o.Find(name)
	if !ok || name == r.Kind.Name {
		return "–"
	}
	return fmt.Sprintf("%.2f", r.Ratio(to, of))
}

// latency of so many microseconds, to three digits.
func latency(micros float64) string {
	if micros < 1000 {
		return fmt.Sprintf("%.0f µs", micros)
	}
	return fmt.Sprintf("%.3g ms", micros/1000)
}

// thousands writes 1234567 as 1,234,567.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Text writes the table for a terminal.
func (t Table) Text(w io.Writer) {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + space)
			} else {
				line.WriteString("  " + space + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// Markdown writes the table for a page.
func (t Table) Markdown(w io.Writer) {
	fmt.Fprintf(w, "| %s |\n|---|%s\n", strings.Join(t.Head, " | "), strings.Repeat("--:|", len(t.Head)-1))
	for _, row := range t.Rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}
