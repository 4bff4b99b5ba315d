package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// document is a page as the tests see it.
type document struct {
	path   string // from the root of the module
	blocks []block
	prose  []line // what stands outside of the blocks
}

type line struct {
	number int
	text   string
}

// block is a fenced block: its info string is "language mark".
type block struct {
	language, mark string
	lines          []line
}

func (b block) text() string {
	var s strings.Builder
	for _, l := range b.lines {
		s.WriteString(l.text + "\n")
	}
	return s.String()
}

// readPages reads every page that people write or read, generated ones too.
func readPages(t *testing.T) []document {
	t.Helper()
	var list []document
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(root(t), path)
			list = append(list, parsePage(t, filepath.ToSlash(name), string(text)))
		}
	}
	return list
}

// writtenPages are those that nobody generates.
func writtenPages(t *testing.T) []document {
	t.Helper()
	return slices.DeleteFunc(readPages(t), func(d document) bool { return strings.HasPrefix(d.path, "docs/reference/") })
}

func parsePage(t *testing.T, path, text string) document {
	t.Helper()
	d := document{path: path}
	open := false
	for i, s := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(s, "```")
		switch {
		case fence && !open:
			open = true
			language, mark, _ := strings.Cut(info, " ")
			d.blocks = append(d.blocks, block{language: language, mark: mark})
		case fence:
			open = false
		case open:
			b := &d.blocks[len(d.blocks)-1]
			b.lines = append(b.lines, line{i + 1, s})
		default:
			d.prose = append(d.prose, line{i + 1, s})
		}
	}
	if open {
		t.Errorf("%s: a fenced block has no end", path)
	}
	return d
}

// anchors are the fragments that links may name, as GitHub makes them.
func (d document) anchors() map[string]bool {
	known := map[string]bool{}
	for _, l := range d.prose {
		if strings.HasPrefix(l.text, "#") {
			known[slug(strings.TrimLeft(l.text, "# "))] = true
		}
	}
	return known
}

func slug(heading string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-' || c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c >= 0x80:
			return c
		}
		return -1
	}, strings.ToLower(heading))
}

var spanPattern = regexp.MustCompile("`([^`]+)`")

// spans are the texts in backticks.
func (d document) spans() (list []line) {
	for _, l := range d.prose {
		for _, m := range spanPattern.FindAllStringSubmatch(l.text, -1) {
			list = append(list, line{l.number, m[1]})
		}
	}
	return list
}

// command is a line of a console block after "$ ", with what it prints.
type command struct {
	line   int
	text   string
	output []string
}

func (b block) commands() (list []command) {
	for _, l := range b.lines {
		if text, ok := strings.CutPrefix(l.text, "$ "); ok {
			list = append(list, command{line: l.number, text: text})
		} else if n := len(list); n > 0 {
			c := &list[n-1]
			if len(c.output) == 0 && strings.HasSuffix(c.text, "\\") {
				c.text = strings.TrimSuffix(c.text, "\\") + strings.TrimLeft(l.text, " ")
			} else {
				c.output = append(c.output, l.text)
			}
		}
	}
	for i := range list {
		out := &list[i].output
		for len(*out) > 0 && (*out)[len(*out)-1] == "" {
			*out = (*out)[:len(*out)-1]
		}
	}
	return list
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
