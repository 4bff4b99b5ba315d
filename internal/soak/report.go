package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what came of a run.
type report struct {
	*soak
	length   time.Duration
	verdicts []verdict
}

func (s *soak) report() *report {
	r := &report{soak: s}
	if n := len(s.samples); n > 0 {
		r.length = s.samples[n-1].at.Sub(s.started)
	}
	for _, m := range measures {
		r.verdicts = append(r.verdicts, judge(m, s.samples))
	}
	return r
}

// err says what was not as it must be.
func (r *report) err() error {
	var list []error
	for _, v := range r.load.visitors {
		if n := v.wrong.Load(); n > 0 {
			list = append(list, fmt.Errorf("%s: %d of %d answers were wrong, such as\n  %s", v.name, n, v.sent.Load(), strings.Join(v.errors, "\n  ")))
		}
	}
	for _, v := range r.verdicts {
		if !v.flat() {
			list = append(list, fmt.Errorf("%s is not flat: it grows by %s in %s", v.name, v.show(v.drift), v.over.Round(time.Second)))
		}
	}
	return errors.Join(append(list, r.unrest)...)
}

func (r *report) print(w io.Writer) {
	sent, seconds := r.load.sent(), r.length.Seconds()
	fmt.Fprintf(w, "%s: %d requests (%.0f a second), %d reloads, %d upgrades, %d faults\n", r.length.Round(time.Second), sent, float64(sent)/max(seconds, 1), r.reloaded, len(r.upgraded), len(r.faults))
	fmt.Fprintf(w, "wrong answers: %d\n\n", r.load.wrong())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "clients\trequests\twrong\tfault expected\tended by an upgrade\tsent again by the client\t")
	for _, v := range r.load.visitors {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", v.name, v.sent.Load(), v.wrong.Load(), v.expected.Load(), v.moved.Load(), v.again.Load())
	}
	t.Flush()
	if o := &r.load.http3; o.times > 0 {
		fmt.Fprintf(w, "\nHTTP/3 was away %d times, for %.1f s at the most and %.1f s in the mean; over HTTP/2 all were answered\n", o.times, o.longest.Seconds(), o.all.Seconds()/float64(o.times))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "of the process\tmedian\tmost\tdrift\tlimit\tin\t\t")
	for _, v := range r.verdicts {
		word, drift, limit := "flat", v.show(v.drift), v.show(v.limit())
		switch {
		case !v.judged:
			word, drift, limit = "too short to judge", "", ""
		case !v.flat():
			word = "NOT FLAT"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", v.name, v.show(v.median), v.show(v.most), drift, limit, v.over.Round(time.Second), word)
	}
	t.Flush()
	fmt.Fprintf(w, "\nbefore the load, and after it: goroutines %.0f, %.0f; descriptors %.0f, %.0f; client connections %.0f, %.0f; RSS %s, %s\n",
		r.quiet.goroutines, r.after.goroutines, r.quiet.descriptors, r.after.descriptors, r.quiet.connections, r.after.connections, measures[0].show(r.quiet.rss), measures[0].show(r.after.rss))
}

// show writes a value in the measure's unit.
func (m series) show(v float64) string {
	if m.unit == "" {
		return fmt.Sprintf("%.0f", v/m.scale)
	}
	return fmt.Sprintf("%.1f %s", v/m.scale, m.unit)
}
