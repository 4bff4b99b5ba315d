package main

import (
	"fmt"
	"html"
	"io"
)

// The chart's measures, in pixels.
const (
	chartWidth  = 880
	margin      = 28
	nameWidth   = 76
	barHeight   = 16
	barStep     = 21
	columnWidth = (chartWidth - 2*margin - 32) / 2
	barSpace    = columnWidth - nameWidth - 74 // the rest holds the value
	headHeight  = 92
	titleHeight = 30
	groupGap    = 20
)

// chartStyle follows the reader's light or dark mode, also where a page shows the chart as an image.
const chartStyle = `<style>
  .card { fill: #ffffff; stroke: #d9d6d0 }
  text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #57534e }
  .title { font-size: 17px; font-weight: 650; fill: #1c1917 }
  .job { font-size: 13px; font-weight: 600; fill: #1c1917 }
  .value { font-variant-numeric: tabular-nums; fill: #1c1917 }
  .rail { fill: #f3f1ed }
  .gopura { fill: #d9580d } .nginx { fill: #8aa39b } .haproxy { fill: #8b9bb4 }
  .user { fill: #000000; fill-opacity: .22 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161514; stroke: #3a3733 }
    text { fill: #a8a29e }
    .title, .job, .value { fill: #f5f5f4 }
    .rail { fill: #242220 }
    .gopura { fill: #f0752b } .nginx { fill: #6f8d84 } .haproxy { fill: #71839f }
    .user { fill: #ffffff; fill-opacity: .28 }
  }
</style>
`

// bar is one proxy's value: its length, the part of it that is user time, and how it reads.
type bar struct {
	kind        Kind
	value, part float64
	text        string
}

// SVG draws a group of bars for each job: cost on the left, speed on the right.
func (p Page) SVG(w io.Writer) {
	height := headHeight + margin/2
	for _, o := range p.Outcomes {
		height += groupHeight(o)
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Benchmarks of Gopura, NGINX and HAProxy">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprint(w, chartStyle)
	fmt.Fprintf(w, `<rect class="card" x=".5" y=".5" width="%d" height="%d" rx="10"/>`+"\n", chartWidth-1, height-1)
	left, right := margin, margin+columnWidth+32
	label(w, "title", left, 40, "CPU time per request")
	label(w, "", left, 60, "of the proxy's processes; shorter is better; shaded: user time")
	label(w, "title", right, 40, "Requests per second")
	label(w, "", right, 60, fmt.Sprintf("with %d connections; longer is better", connections))
	y := headHeight
	for _, o := range p.Outcomes {
		costs, speeds := speedBars(o)
		leftTitle, rightTitle := o.Job.Title, ""
		if o.Job.Idle {
			costs, speeds = memoryBars(o)
			leftTitle, rightTitle = "Memory of an idle connection", "Memory with "+o.Job.Title
		}
		group(w, left, y, leftTitle, costs)
		group(w, right, y, rightTitle, speeds)
		y += groupHeight(o)
	}
	fmt.Fprintln(w, "</svg>")
}

func groupHeight(o Outcome) int { return titleHeight + len(o.Results)*barStep + groupGap }

func speedBars(o Outcome) (costs, speeds []bar) {
	for _, r := range o.Results {
		c, s := r.Median(cpu), r.Median(perSecond)
		user := r.Median(func(s Sample) float64 { return s.User })
		costs = append(costs, bar{r.Kind, c, user, fmt.Sprintf("%.1f µs", c)})
		speeds = append(speeds, bar{r.Kind, s, 0, thousands(s)})
	}
	return costs, speeds
}

func memoryBars(o Outcome) (each, all []bar) {
	for _, r := range o.Results {
		c, a := r.Median(perConnection), r.Median(rss)
		each = append(each, bar{r.Kind, c, 0, fmt.Sprintf("%.2f KiB", c/(1<<10))})
		all = append(all, bar{r.Kind, a, 0, fmt.Sprintf("%.0f MiB", a/(1<<20))})
	}
	return each, all
}

// group draws the bars of one job, scaled to its own longest.
func group(w io.Writer, x, y int, title string, bars []bar) {
	longest := 0.0
	for _, b := range bars {
		longest = max(longest, b.value)
	}
	length := func(v float64) float64 {
		if longest <= 0 || v <= 0 {
			return 0
		}
		return v / longest * barSpace
	}
	label(w, "job", x, y+14, title)
	for i, b := range bars {
		top := y + titleHeight + i*barStep - 4
		start := x + nameWidth
		label(w, "", x, top+12, b.kind.Title)
		box(w, "rail", start, top, barSpace)
		box(w, b.kind.Name, start, top, length(b.value))
		if b.part > 0 {
			box(w, "user", start, top, length(b.part))
		}
		label(w, "value", start+barSpace+10, top+12, b.text)
	}
}

func box(w io.Writer, class string, x, y int, width float64) {
	fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="3"/>`+"\n", class, x, y, width, barHeight)
}

func label(w io.Writer, class string, x, y int, text string) {
	if text != "" {
		fmt.Fprintf(w, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(text))
	}
}
