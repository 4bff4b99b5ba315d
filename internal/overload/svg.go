package main

import (
	"fmt"
	"io"
)

// draw shows the answers in time as bars, two for each load.
func draw(w io.Writer, rows []row) {
	const width, left, full, step = 760, 150, 480, 74
	height := 92 + len(rows)*step
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Answers in time under overload, with protection and without">`+"\n", width, height, width, height)
	fmt.Fprint(w, `<style>
  .card { fill: #ffffff; stroke: #d9d6d0 }
  text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #57534e }
  .title { font-size: 17px; font-weight: 650; fill: #1c1917 }
  .rail { fill: #f3f1ed } .with { fill: #d9580d } .without { fill: #8b9bb4 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161514; stroke: #3a3733 } text { fill: #a8a29e } .title { fill: #f5f5f4 }
    .rail { fill: #242220 } .with { fill: #f0752b } .without { fill: #71839f }
  }
</style>
`)
	fmt.Fprintf(w, `<rect class="card" x=".5" y=".5" width="%d" height="%d" rx="10"/>`+"\n", width-1, height-1)
	fmt.Fprintln(w, `<text class="title" x="28" y="38">Answers in time, of a service that can give 100 a second</text>`)
	fmt.Fprintln(w, `<text x="28" y="58">clients wait for one second; longer is better; the rail is what the service can do</text>`)
	for i, r := range rows {
		y := 84 + i*step
		fmt.Fprintf(w, `<text x="28" y="%d">%.0f requests/s</text><text x="28" y="%d">service %s</text>`+"\n", y+18, r.load*capacity, y+36, r.kind())
		for j, b := range []struct {
			class string
			value float64
		}{{"with", r.with.Then.Good}, {"without", r.without.Then.Good}} {
			top := y + j*26
			fmt.Fprintf(w, `<rect class="rail" x="%d" y="%d" width="%d" height="18" rx="3"/><rect class="%s" x="%d" y="%d" width="%.1f" height="18" rx="3"/><text x="%d" y="%d">%.0f %s</text>`+"\n",
				left, top, full, b.class, left, top, b.value/capacity*full, left+full+8, top+13, b.value, b.class)
		}
	}
	fmt.Fprintln(w, "</svg>")
}
