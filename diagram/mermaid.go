package diagram

import (
	"fmt"
	"strings"
)

// Mermaid writes g as a Mermaid flowchart, which GitHub and many wikis draw.
func (g *Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, n := range g.Nodes {
		open, end := shape(n.Column)
		text := mermaidText(n.Title)
		if len(n.Lines) > 0 {
			text = "<b>" + text + "</b>"
		}
		for _, l := range n.Lines {
			text += "<br/>" + mermaidText(l)
		}
		fmt.Fprintf(&b, "  %s%s\"%s\"%s\n", n.ID, open, text, end)
	}
	for _, e := range g.Edges {
		if e.Label != "" {
			fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", e.From.ID, mermaidText(e.Label), e.To.ID)
		} else {
			fmt.Fprintf(&b, "  %s --> %s\n", e.From.ID, e.To.ID)
		}
	}
	var secure []string
	for _, n := range g.Nodes {
		if n.Secure {
			secure = append(secure, n.ID)
		}
	}
	if len(secure) > 0 {
		fmt.Fprintf(&b, "  classDef secure stroke:#2e7d32,stroke-width:2px\n  class %s secure\n", strings.Join(secure, ","))
	}
	return b.String()
}

func shape(c Column) (open, end string) {
	switch c {
	case Clients:
		return "([", "])"
	case Listeners:
		return "{{", "}}"
	case Services:
		return "[[", "]]"
	case Targets:
		return "[(", ")]"
	}
	return "[", "]"
}

// mermaidText escapes what would end a text or be read as markup.
func mermaidText(s string) string {
	return strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;", "#", "&num;", "`", "&#96;", "\n", " ").Replace(s)
}
