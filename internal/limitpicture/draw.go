package main

import (
	"fmt"
	"html"
	"io"
	"strings"

	"gopura/store"
)

// The picture's measures, in pixels.
const (
	width, height = 920, 372
	margin        = 28
	gap           = 34
	scaleWidth    = 34 // for the numbers left of a panel
	panelWidth    = (width - 2*margin - 2*gap) / 3
	plotWidth     = panelWidth - scaleWidth
	plotTop       = 116
	plotHeight    = 178
)

// style follows the reader's light or dark mode, also where a page shows the picture as an image.
const style = `<style>
  .card { fill: #ffffff; stroke: #d9d6d0 }
  text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #57534e }
  .head { font-size: 17px; font-weight: 650; fill: #1c1917 }
  .title { font-size: 13.5px; font-weight: 600; fill: #1c1917 }
  .number { font-size: 11px; font-variant-numeric: tabular-nums; fill: #78716c }
  .grid { stroke: #eceae6; stroke-width: 1 }
  .axis { stroke: #a8a29e; stroke-width: 1 }
  .asked { fill: none; stroke: #8b9bb4; stroke-width: 1.5; stroke-dasharray: 4 3 }
  .exact { fill: none; stroke: #1c1917; stroke-width: 1.25 }
  .bound { fill: none; stroke: #78716c; stroke-width: 1.25; stroke-dasharray: 1.5 3; stroke-linecap: round }
  .edge { fill: none; stroke: #d9580d; stroke-width: 2; stroke-linejoin: round }
  .part0 { fill: #f6b48a } .part1 { fill: #f29a63 } .part2 { fill: #ea7f3d } .part3 { fill: #d9580d }
  .only { fill: #f29a63; fill-opacity: .45 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161514; stroke: #3a3733 }
    text { fill: #a8a29e }
    .head, .title { fill: #f5f5f4 }
    .number { fill: #8f8983 }
    .grid { stroke: #2a2826 } .axis { stroke: #57534e }
    .asked { stroke: #8496b3 } .exact { stroke: #f5f5f4 } .bound { stroke: #a8a29e }
    .edge { stroke: #f0752b }
    .part0 { fill: #6b3413 } .part1 { fill: #8f4419 } .part2 { fill: #bb5920 } .part3 { fill: #e46f28 }
    .only { fill: #f0752b; fill-opacity: .3 }
  }
</style>
`

// draw writes the picture: a panel for each act, requests admitted since the
// beginning over the time.
func draw(w io.Writer, acts []act) {
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Requests asked and admitted over four seconds: bursts, steady load, and four replicas with one store">`+"\n", width, height, width, height)
	fmt.Fprint(w, style)
	fmt.Fprintf(w, `<rect class="card" x=".5" y=".5" width="%d" height="%d" rx="10"/>`+"\n", width-1, height-1)
	write(w, "head", margin, 40, "start", "What a limit admits")
	write(w, "", margin, 60, "start", "requests since the beginning, measured at gateways that run")
	for i := range acts {
		p := panel{w: w, act: &acts[i], x: margin + i*(panelWidth+gap) + scaleWidth}
		p.frame()
		p.curves()
	}
	legend(w)
	fmt.Fprintln(w, "</svg>")
}

// panel draws one act.
type panel struct {
	w io.Writer
	*act
	x int // of the plot
}

func (p *panel) frame() {
	write(p.w, "title", p.x-scaleWidth, plotTop-32, "start", p.title)
	write(p.w, "", p.x-scaleWidth, plotTop-15, "start", p.about)
	step := p.top / 3
	for n := 0; n <= p.top; n += step {
		y := p.y(n)
		class := "grid"
		if n == 0 {
			class = "axis"
		}
		fmt.Fprintf(p.w, `<line class="%s" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", class, p.x, y, p.x+plotWidth, y)
		write(p.w, "number", p.x-8, int(y)+4, "end", fmt.Sprint(n))
	}
	for s := range int(length.Seconds()) + 1 {
		text := fmt.Sprint(s)
		if s == int(length.Seconds()) {
			text += " s"
		}
		write(p.w, "number", p.x+int(float64(s)*plotWidth/length.Seconds()), plotTop+plotHeight+18, "middle", text)
	}
}

func (p *panel) y(n int) float64 {
	return plotTop + plotHeight - float64(min(n, p.top))/float64(p.top)*plotHeight
}

// sums are running sums over the gateways from first to last, tick by tick.
func sums(counts [][]int) []int {
	out := make([]int, ticks+1)
	for i := range ticks {
		out[i+1] = out[i]
		for g := range counts {
			out[i+1] += counts[g][i]
		}
	}
	return out
}

func (p *panel) curves() {
	p.line("asked", sums(p.asked))
	if n := len(p.admitted); n > 1 {
		below := make([]int, ticks+1)
		for g := range n {
			above := sums(p.admitted[:g+1])
			p.area(fmt.Sprintf("part%d", g), below, above)
			below = above
		}
		level := make([]int, ticks+1)
		bound := make([]int, ticks+1)
		for i := range level {
			level[i] = int(p.burst) + int(float64(p.rate)*float64(i)*tick.Seconds())
			bound[i] = level[i] + int(store.LeaseBound(p.burst, int64(n)))
		}
		p.line("exact", level)
		p.line("bound", bound)
		return
	}
	all := sums(p.admitted)
	p.area("only", make([]int, ticks+1), all)
	p.line("edge", all)
}

// points of a curve, up to where it leaves the panel.
func (p *panel) points(values []int) (list []string) {
	for i, v := range values {
		list = append(list, fmt.Sprintf("%.1f,%.1f", float64(p.x)+float64(i)*plotWidth/float64(ticks), p.y(v)))
		if v >= p.top {
			break
		}
	}
	return list
}

func (p *panel) line(class string, values []int) {
	fmt.Fprintf(p.w, `<polyline class="%s" points="%s"/>`+"\n", class, strings.Join(p.points(values), " "))
}

func (p *panel) area(class string, below, above []int) {
	list := p.points(above)
	back := p.points(below)
	for i := len(back) - 1; i >= 0; i-- {
		list = append(list, back[i])
	}
	fmt.Fprintf(p.w, `<polygon class="%s" points="%s"/>`+"\n", class, strings.Join(list, " "))
}

func legend(w io.Writer) {
	const y = height - 26
	x := margin
	line := func(class, text string, room int) {
		fmt.Fprintf(w, `<line class="%s" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", class, x, y-4, x+24, y-4)
		write(w, "", x+32, y, "start", text)
		x += room
	}
	line("asked", "asked", 92)
	line("edge", "admitted", 110)
	for i := range 4 {
		fmt.Fprintf(w, `<rect class="part%d" x="%d" y="%d" width="12" height="10"/>`+"\n", i, x+12*i, y-9)
	}
	write(w, "", x+56, y, "start", "admitted by each replica")
	x += 232
	line("exact", "one exact limiter, at most", 196)
	line("bound", "bound of leased mode", 160)
}

func write(w io.Writer, class string, x, y int, anchor, text string) {
	fmt.Fprintf(w, `<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(text))
}
