package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	topTables  = []string{"routes", "services", "targets", "listeners", "clients"}
	topColumns = []string{"rate", "errors", "refused", "limited", "p50", "p95", "p99", "name"}
)

// topRow is a line of the table.
type topRow struct {
	name string
	topValues
}

// topView is what is shown, and how.
type topView struct {
	table   string
	by      string // the column that it is sorted by
	paused  bool
	trouble string // why there is nothing new
}

// press acts on a key and reports whether to go on.
func (v *topView) press(key byte) bool {
	switch key {
	case 'q', 3, 4: // also Ctrl-C and Ctrl-D, which a raw terminal sends as they are
		return false
	case 'p':
		v.paused = !v.paused
	case '<', '>':
		at := slices.Index(topColumns, v.by) + len(topColumns) - 1
		if key == '>' {
			at += 2
		}
		v.by = topColumns[at%len(topColumns)]
	default:
		for _, t := range topTables {
			if t[0] == key {
				v.table = t
			}
		}
		if i := int(key) - '1'; i >= 0 && i < len(topColumns) {
			v.by = topColumns[i]
		}
	}
	return true
}

// value is what a row is sorted by.
func (r *topRow) value(column string) float64 {
	switch column {
	case "errors":
		return r.Errors
	case "refused":
		return r.Refused
	case "limited":
		return r.Limited
	case "p50":
		return r.P50
	case "p95":
		return r.P95
	case "p99":
		return r.P99
	}
	return r.Rate
}

func (v *topView) sort(rows []topRow) {
	slices.SortFunc(rows, func(a, b topRow) int {
		if v.by == "name" {
			return cmp.Compare(a.name, b.name)
		}
		return cmp.Or(cmp.Compare(b.value(v.by), a.value(v.by)), cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.name, b.name))
	})
}

// lines is the view as plain text: two lines of heading, and at most the rows that
// fit. Columns 0 is any width.
func (v *topView) lines(d *topData, columns, rows int) []string {
	t := d.traffic.Total
	out := []string{
		fmt.Sprintf("gopura  generation %d  %s/s  %s errors/s  %s limited/s  %d in flight  p99 %s", d.traffic.Generation, decimal(t.Rate), decimal(t.Errors), decimal(t.Limited), t.InFlight, latency(t.P99)),
	}
	v.sort(d.rows)
	last := "in flight"
	if v.table == "listeners" {
		last = "open"
	}
	head := fmt.Sprintf("%9s %8s %8s %8s %8s %8s %8s %9s  %s", "rate/s", "errors", "refused", "limited", "p50", "p95", "p99", last, v.table)
	out = append(out, head)
	for i := range d.rows[:min(len(d.rows), max(rows-2, 0))] {
		r := &d.rows[i]
		n := r.InFlight
		if v.table == "listeners" {
			n = r.Connections
		}
		out = append(out, fmt.Sprintf("%9s %8s %8s %8s %8s %8s %8s %9d  %s", decimal(r.Rate), decimal(r.Errors), decimal(r.Refused), decimal(r.Limited),
			latency(r.P50), latency(r.P95), latency(r.P99), n, plain(r.name)))
	}
	if len(d.rows) == 0 {
		out = append(out, "nothing has flowed in the last "+strconv.FormatFloat(max(d.traffic.Step, 2.5), 'f', -1, 64)+" s")
	}
	for i := range out {
		out[i] = clipTo(out[i], columns)
	}
	return out
}

// screen is the view for a terminal.
func (v *topView) screen(d *topData, columns, rows int) []string {
	var out []string
	if d != nil {
		out = v.lines(d, columns, rows-1)
		out[0] = "\x1b[1m" + out[0] + "\x1b[0m"
		if len(out) > 1 {
			out[1] = "\x1b[7m" + out[1] + strings.Repeat(" ", max(columns-utf8.RuneCountInString(out[1]), 0)) + "\x1b[0m"
		}
	}
	foot := "r s t l c: what   1-8 < >: by " + v.by + "   p: pause   q: quit   " + time.Now().Format(time.TimeOnly)
	if v.paused {
		foot = "paused   " + foot
	}
	if v.trouble != "" {
		foot = plain(v.trouble)
	}
	return append(out, "\x1b[2m"+clipTo(foot, columns)+"\x1b[0m")
}

func clipTo(text string, columns int) string {
	if columns > 0 && utf8.RuneCountInString(text) > columns {
		return string([]rune(text)[:columns])
	}
	return text
}

// plain takes out what a terminal would act on: names come from files and from clients.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

func decimal(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func latency(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 1000:
		return decimal(ms) + "ms"
	}
	return decimal(ms/1e3) + "s"
}
