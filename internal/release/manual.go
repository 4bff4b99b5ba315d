package main

import (
	"fmt"
	"strings"
)

// manual turns the help of a command, which is called name and does short, into a man page (man 7 man). Help is text
// with the headings Usage, Examples, Available Commands and Flags.
func manual(name, short, text string, all []string) []byte {
	description, rest, _ := strings.Cut(text, "\nUsage:\n")
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"\" \"Gopura\"\n", strings.ToUpper(escape(name)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(name), escape(short))
	heading, lines := "Usage", []string{}
	flush := func() { section(&b, heading, lines); lines = nil }
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		if head, ok := strings.CutSuffix(line, ":"); ok && head != "" && head[0] != ' ' {
			flush()
			heading = head
			if head == "Flags" || head == "Global Flags" || head == "Examples" || head == "Available Commands" {
				continue
			}
		}
		if strings.HasPrefix(line, `Use "gopura`) {
			continue
		}
		lines = append(lines, line)
	}
	flush()
	b.WriteString(".SH DESCRIPTION\n")
	for line := range strings.Lines(description) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			b.WriteString(".PP\n")
		} else {
			b.WriteString(protect(line) + "\n")
		}
	}
	b.WriteString(".SH SEE ALSO\n")
	for i, other := range append([]string{""}, all...) {
		page := strings.TrimSuffix("gopura-"+other, "-")
		if page == name {
			continue
		}
		sep := ","
		if i == len(all) {
			sep = ""
		}
		fmt.Fprintf(&b, ".BR %s (1)%s\n", escape(page), sep)
	}
	return []byte(b.String())
}

// headings are the names that man pages have for the parts of help.
var headings = map[string]string{"Usage": "SYNOPSIS", "Flags": "OPTIONS", "Global Flags": "OPTIONS OF EVERY COMMAND", "Examples": "EXAMPLES", "Available Commands": "COMMANDS"}

func section(b *strings.Builder, heading string, lines []string) {
	text := strings.Trim(strings.Join(lines, "\n"), "\n")
	if text == "" {
		return
	}
	title := headings[heading]
	if title == "" {
		title = strings.ToUpper(heading)
	}
	fmt.Fprintf(b, ".SH %s\n.nf\n", title)
	for line := range strings.Lines(text) {
		b.WriteString(protect(strings.TrimRight(line, "\n")) + "\n")
	}
	b.WriteString(".fi\n")
}

// escape keeps roff from reading anything into a text.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
}

// protect is escape for a whole line, which might begin with a request.
func protect(line string) string {
	line = escape(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
