package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// The chart's measures, in pixels.
const (
	chartWidth  = 880
	chartLeft   = 76
	chartRight  = 852
	headHeight  = 104
	panelHeight = 92
	panelStep   = 138
	columns     = 360 // samples of one column are shown by their mean
)

// chartStyle follows the reader's light or dark mode.
const chartStyle = `<style>
  .card { fill: #ffffff; stroke: #d9d6d0 }
  text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #57534e }
  .title { font-size: 17px; font-weight: 650; fill: #1c1917 }
  .name { font-size: 13px; font-weight: 600; fill: #1c1917 }
  .axis { font-size: 11px; font-variant-numeric: tabular-nums }
  .grid { stroke: #eceae5 } .fault { fill: #f6ebe4 } .upgrade { stroke: #a8a29e; stroke-dasharray: 3 3 }
  .line { fill: none; stroke-width: 1.6; stroke-linejoin: round }
  .first { stroke: #d9580d } .second { stroke: #64789b } .first-key { fill: #d9580d } .second-key { fill: #64789b }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161514; stroke: #3a3733 }
    text { fill: #a8a29e } .title, .name { fill: #f5f5f4 }
    .grid { stroke: #2b2927 } .fault { fill: #2c211b } .upgrade { stroke: #78716c }
    .first { stroke: #f0752b } .second { stroke: #8aa0c8 } .first-key { fill: #f0752b } .second-key { fill: #8aa0c8 }
  }
</style>
`

// curve is one line of a panel.
type curve struct {
	name  string
	of    func(sample) float64
	lives bool // a new process is a new line
}

var panels = [][]curve{
	{{"requests a second", func(s sample) float64 { return s.rate }, false}},
	{{"resident memory, MiB", func(s sample) float64 { return s.rss / (1 << 20) }, true}, {"heap in use", func(s sample) float64 { return s.heap / (1 << 20) }, true}},
	{{"goroutines", func(s sample) float64 { return s.goroutines }, true}},
	{{"descriptors", func(s sample) float64 { return s.descriptors }, true}, {"client connections", func(s sample) float64 { return s.connections }, true}},
}

// draw shows how the process did over time.
func (r *report) draw(w io.Writer) {
	height := headHeight + len(panels)*panelStep + 4
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Requests, memory, goroutines and descriptors over time, under load with reloads, faults and upgrades">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprint(w, chartStyle)
	fmt.Fprintf(w, `<rect class="card" x=".5" y=".5" width="%d" height="%d" rx="10"/>`+"\n", chartWidth-1, height-1)
	text(w, "title", 28, 40, fmt.Sprintf("%.0f minutes under load: %s requests, %d reloads, %d upgrades", r.length.Minutes(), grouped(r.load.sent()), r.reloaded, len(r.upgraded)))
	text(w, "", 28, 60, fmt.Sprintf("%d wrong answers. Shaded: a service behind the gateway is broken. Dashed: a new process takes over.", r.load.wrong()))
	for i, p := range panels {
		r.panel(w, headHeight+i*panelStep, p)
	}
	fmt.Fprintln(w, "</svg>")
}

// panel draws some curves on one scale, from 0.
func (r *report) panel(w io.Writer, top int, curves []curve) {
	bottom, most := float64(top+panelHeight), 0.0
	for _, c := range curves {
		for _, s := range r.samples {
			most = max(most, c.of(s))
		}
	}
	step := niceStep(most)
	scale := panelHeight / (math.Ceil(most/step) * step)
	for _, f := range r.faults {
		x := r.x(f.begin)
		fmt.Fprintf(w, `<rect class="fault" x="%.1f" y="%d" width="%.1f" height="%d"/>`+"\n", x, top, max(r.x(f.end)-x, 1), panelHeight)
	}
	for v := 0.0; v <= math.Ceil(most/step)*step; v += step {
		y := bottom - v*scale
		fmt.Fprintf(w, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text class="axis" x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", chartLeft, y, chartRight, y, chartLeft-8, y+4, v)
	}
	for _, at := range r.upgraded {
		fmt.Fprintf(w, `<line class="upgrade" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", r.x(at), top, r.x(at), top+panelHeight)
	}
	x := chartLeft
	for i, c := range curves {
		class := []string{"first", "second"}[i]
		fmt.Fprintf(w, `<rect class="%s-key" x="%d" y="%d" width="14" height="3" rx="1.5"/>`, class, x, top-13)
		text(w, "name", x+20, top-8, c.name)
		x += 44 + 8*len(c.name)
		for _, path := range r.paths(c, bottom, scale) {
			fmt.Fprintf(w, `<path class="line %s" d="%s"/>`+"\n", class, path)
		}
	}
	for _, m := range r.minutesShown() {
		fmt.Fprintf(w, `<text class="axis" x="%.1f" y="%d" text-anchor="middle">%s</text>`, r.x(r.started.Add(m)), top+panelHeight+16, minutes(m))
	}
	fmt.Fprintln(w)
}

// paths are the lines of a curve: one, or one for each process.
func (r *report) paths(c curve, bottom, scale float64) (paths []string) {
	parts := [][]sample{r.samples}
	if c.lives {
		parts = lives(r.samples)
	}
	every := max(len(r.samples)/columns, 1)
	for _, part := range parts {
		var b strings.Builder
		for i := 0; i < len(part); i += every {
			some := part[i:min(i+every, len(part))]
			sum := 0.0
			for _, s := range some {
				sum += c.of(s)
			}
			verb := byte('L')
			if i == 0 {
				verb = 'M'
			}
			fmt.Fprintf(&b, "%c%.1f %.1f", verb, r.x(some[len(some)/2].at), bottom-sum/float64(len(some))*scale)
		}
		paths = append(paths, b.String())
	}
	return paths
}

func (r *report) x(at time.Time) float64 {
	return chartLeft + at.Sub(r.started).Seconds()/max(r.length.Seconds(), 1)*(chartRight-chartLeft)
}

// minutesShown are the labels of the time axis, about six.
func (r *report) minutesShown() (all []time.Duration) {
	step := max(time.Duration(niceStep(r.length.Minutes())*float64(time.Minute)), time.Second)
	for m := time.Duration(0); m <= r.length; m += step {
		all = append(all, m)
	}
	return all
}

func minutes(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return fmt.Sprintf("%g min", d.Minutes())
}

// niceStep divides a range into two to five parts, by a number that reads well.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, n := range []float64{0.2, 0.5, 1, 2, 5} {
		if most/(n*power) <= 5 {
			return n * power
		}
	}
	return 10 * power
}

func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func text(w io.Writer, class string, x, y int, s string) {
	fmt.Fprintf(w, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(s))
}
