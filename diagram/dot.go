package diagram

import (
	"fmt"
	"strings"
)

// DOT writes g in the language of Graphviz.
func (g *Graph) DOT() string {
	var b strings.Builder
	b.WriteString("digraph gopura {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, n := range g.Nodes {
		color := ""
		if n.Secure {
			color = `, color="#2e7d32", penwidth=2`
		}
		fmt.Fprintf(&b, "  %s [label=%s%s];\n", n.ID, dotText(strings.Join(append([]string{n.Title}, n.Lines...), "\n")), color)
	}
	for c := range columns {
		var same []string
		for _, n := range g.Nodes {
			if n.Column == c {
				same = append(same, n.ID)
			}
		}
		if len(same) > 1 {
			fmt.Fprintf(&b, "  { rank=same; %s; }\n", strings.Join(same, "; "))
		}
	}
	for _, e := range g.Edges {
		label := ""
		if e.Label != "" {
			label = " [label=" + dotText(e.Label) + "]"
		}
		fmt.Fprintf(&b, "  %s -> %s%s;\n", e.From.ID, e.To.ID, label)
	}
	b.WriteString("}\n")
	return b.String()
}

func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
