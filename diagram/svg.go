package diagram

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// Measures of the picture, in pixels.
const (
	margin    = 24
	gapX      = 72  // between columns
	gapY      = 18  // between boxes
	padX      = 14  // within a box
	lineH     = 18  // of a line of text
	charW     = 7.5 // of a character of the title, on average
	smallW    = 6.2 // of a character of the other lines
	maxChars  = 44
	minWidth  = 90
	headSpace = 30 // above the boxes, for the headings
)

var headings = [columns]string{"clients", "listeners", "routes", "services", "targets"}

// box is a node with its place.
type box struct {
	*Node
	x, y, w, h float64
}

// SVG draws g. The picture follows the reader's light or dark mode.
func (g *Graph) SVG() string {
	boxes, width, height := g.layout()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="The architecture: clients, listeners, routes, services, targets">`+"\n", width, height, width, height)
	b.WriteString(svgStyle)
	seen := map[Column]bool{}
	for _, n := range g.Nodes {
		if bx := boxes[n]; !seen[n.Column] {
			seen[n.Column] = true
			fmt.Fprintf(&b, `<text class="head" x="%.1f" y="%d">%s</text>`+"\n", bx.x, margin+10, headings[n.Column])
		}
	}
	for _, e := range g.Edges {
		writeEdge(&b, boxes[e.From], boxes[e.To], e.Label)
	}
	for _, n := range g.Nodes {
		writeBox(&b, boxes[n])
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// layout places the boxes: a column each step, each box as near as can be to
// what leads to it.
func (g *Graph) layout() (boxes map[*Node]*box, width, height float64) {
	boxes = map[*Node]*box{}
	var cols [columns][]*box
	for _, n := range g.Nodes {
		bx := &box{Node: n, h: float64(lineH*(1+len(n.Lines)) + 14)}
		bx.w = float64(utf8.RuneCountInString(clip(n.Title))) * charW
		for _, l := range n.Lines {
			bx.w = max(bx.w, float64(utf8.RuneCountInString(clip(l)))*smallW)
		}
		bx.w = max(minWidth, bx.w+2*padX)
		boxes[n] = bx
		cols[n.Column] = append(cols[n.Column], bx)
	}
	x := float64(margin)
	for c := range cols {
		w := 0.0
		for _, bx := range cols[c] {
			w = max(w, bx.w)
		}
		y := float64(margin + headSpace)
		g.order(cols[c], boxes)
		for _, bx := range cols[c] {
			bx.x, bx.y, bx.w = x, y, w
			y += bx.h + gapY
		}
		if len(cols[c]) > 0 {
			x += w + gapX
			height = max(height, y-gapY+margin)
		}
	}
	for c := range cols { // each column in the middle of the height
		if n := len(cols[c]); n > 0 {
			last := cols[c][n-1]
			shift := (height - margin - last.y - last.h) / 2
			for _, bx := range cols[c] {
				bx.y += shift
			}
		}
	}
	return boxes, x - gapX + margin, height
}

// order sorts a column by the mean height of what leads to each box, so that
// few arrows cross. Columns to the left have their places already.
func (g *Graph) order(col []*box, boxes map[*Node]*box) {
	mean := map[*Node]float64{}
	for _, bx := range col {
		sum, n := 0.0, 0
		for _, e := range g.Edges {
			if e.To == bx.Node {
				sum += boxes[e.From].y
				n++
			}
		}
		if n > 0 {
			mean[bx.Node] = sum / float64(n)
		} else {
			mean[bx.Node] = 1e9
		}
	}
	slices.SortStableFunc(col, func(a, b *box) int {
		switch d := mean[a.Node] - mean[b.Node]; {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
}

func writeEdge(b *strings.Builder, from, to *box, label string) {
	x1, y1 := from.x+from.w, from.y+from.h/2
	x2, y2 := to.x-6, to.y+to.h/2
	mid := (x1 + x2) / 2
	fmt.Fprintf(b, `<path class="edge" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`+"\n", x1, y1, mid, y1, mid, y2, x2, y2)
	fmt.Fprintf(b, `<path class="tip" d="M%.1f %.1fl-6 -4v8z"/>`+"\n", x2+6, y2)
	if label != "" {
		fmt.Fprintf(b, `<text class="label" x="%.1f" y="%.1f">%s</text>`+"\n", mid, (y1+y2)/2-4, html.EscapeString(label))
	}
}

func writeBox(b *strings.Builder, bx *box) {
	class := "box c" + fmt.Sprint(int(bx.Column))
	if bx.Secure {
		class += " secure"
	}
	radius := 6
	if bx.Column == Clients {
		radius = 20
	}
	fmt.Fprintf(b, `<g><title>%s</title><rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%d"/>`,
		html.EscapeString(strings.Join(append([]string{bx.Title}, bx.Lines...), "\n")), class, bx.x, bx.y, bx.w, bx.h, radius)
	y := bx.y + lineH + 3
	fmt.Fprintf(b, `<text class="title" x="%.1f" y="%.1f">%s</text>`, bx.x+padX, y, html.EscapeString(clip(bx.Title)))
	for _, l := range bx.Lines {
		y += lineH
		fmt.Fprintf(b, `<text class="line" x="%.1f" y="%.1f">%s</text>`, bx.x+padX, y, html.EscapeString(clip(l)))
	}
	b.WriteString("</g>\n")
}

func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxChars {
		return s
	}
	return string([]rune(s)[:maxChars-1]) + "…"
}

const svgStyle = `<style>
svg{background:#fff;font-family:ui-sans-serif,system-ui,"Segoe UI",Roboto,sans-serif}
.head{font-size:11px;letter-spacing:.08em;text-transform:uppercase;fill:#8a94a0}
.title{font-size:13px;font-weight:600;fill:#17212b}.line{font-size:11.5px;fill:#56626e}.label{font-size:11px;fill:#56626e;text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:4px}
.box{fill:#f6f8fa;stroke:#c5cdd6;stroke-width:1.2}.c2{fill:#eef4ff;stroke:#a9c1ec}.c3{fill:#fff6e8;stroke:#e6c48f}
.secure{stroke:#2f9e5b;stroke-width:1.8}.edge{fill:none;stroke:#b4bec9;stroke-width:1.3}.tip{fill:#b4bec9}
@media (prefers-color-scheme:dark){svg{background:#0f151b}.title{fill:#e6edf3}.line,.label{fill:#9aa7b4}.head{fill:#6c7886}.label{stroke:#0f151b}
.box{fill:#18212a;stroke:#344150}.c2{fill:#16243b;stroke:#33517f}.c3{fill:#2c2315;stroke:#6d5427}.secure{stroke:#3fb871}.edge{stroke:#43505d}.tip{fill:#43505d}}
</style>
`
