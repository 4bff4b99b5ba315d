package scripttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
)

// script is a parsed file.
type script struct {
	file      string
	lines     []line
	files     map[string]string
	protocols []Protocol
	upstreams []string // every name that an upstream line mentions
}

// line is one command of a script.
type line struct {
	number  int
	text    string
	negated bool
	repeat  int
	name    string
	words   []word
}

type word struct {
	text   string
	quoted bool // never an option
}

func parseFile(file string) (*script, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(filepath.Base(file), data)
}

// parse reads a script and checks all that can be checked without running it:
// commands, options, numbers of words, names of files.
func parse(file string, data []byte) (*script, error) {
	a := txtar.Parse(data)
	s := &script{file: file, files: map[string]string{}, protocols: Protocols}
	for _, f := range a.Files {
		if !filepath.IsLocal(f.Name) {
			return nil, fmt.Errorf("%s: file name %q", file, f.Name)
		}
		s.files[f.Name] = string(f.Data)
	}
	for i, text := range strings.Split(string(a.Comment), "\n") {
		l, err := parseLine(text)
		if err == nil && l.name != "" {
			err = s.add(l)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", file, i+1, strings.TrimSpace(text), err)
		}
		if l.name != "" {
			s.lines[len(s.lines)-1].number = i + 1
		}
	}
	return s, nil
}

func (s *script) add(l line) error {
	c, ok := commands[l.name]
	if !ok {
		return errors.New("unknown command")
	}
	a, err := c.args(l.words)
	if err != nil {
		return err
	}
	for _, option := range []string{"file", "raw"} {
		if f := a.option(option); f != "" && !strings.Contains(f, "${") && s.files[f] == "" {
			return fmt.Errorf("there is no file %s", f)
		}
	}
	switch l.name {
	case "protocols":
		if len(s.lines) > 0 {
			return errors.New("must come first")
		}
		s.protocols = nil
		for _, w := range a.words {
			if !slices.Contains(Protocols, Protocol(w)) {
				return fmt.Errorf("unknown protocol %s", w)
			}
			s.protocols = append(s.protocols, Protocol(w))
		}
	case "upstream":
		if !upstreamName.MatchString(a.words[0]) || slices.Contains(reserved, a.words[0]) {
			return fmt.Errorf("%s is no name for an upstream", a.words[0])
		}
		if !slices.Contains(s.upstreams, a.words[0]) {
			s.upstreams = append(s.upstreams, a.words[0])
		}
	}
	s.lines = append(s.lines, l)
	return nil
}

var (
	upstreamName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	reserved     = []string{"listen", "gateway", "admin", "scheme", "dir"}
)

// parseLine splits a line; the name is "" when there is no command on it.
func parseLine(text string) (line, error) {
	l := line{text: strings.TrimSpace(text), repeat: 1}
	words, err := split(text)
	if err != nil || len(words) == 0 {
		return l, err
	}
	if words[0].text == "repeat" {
		if len(words) < 3 {
			return l, errors.New("usage: repeat N command")
		}
		if l.repeat, err = strconv.Atoi(words[1].text); err != nil || l.repeat < 1 {
			return l, errors.New("repeat wants a number")
		}
		words = words[2:]
	}
	if words[0].text == "!" {
		l.negated = true
		if words = words[1:]; len(words) == 0 {
			return l, errors.New("! wants a command")
		}
	}
	l.name, l.words = strings.TrimSuffix(words[0].text, ":"), words[1:]
	return l, nil
}

// split takes a line apart at blanks, minding quotes and comments. Quotes may
// stand inside a word: route='GET /'.
func split(text string) (words []word, err error) {
	for {
		text = strings.TrimLeft(text, " \t\r")
		if text == "" || text[0] == '#' {
			return words, nil
		}
		w := word{quoted: text[0] == '\'' || text[0] == '"'}
		for text != "" && !strings.ContainsRune(" \t\r", rune(text[0])) {
			var part string
			if part, text, err = cutPart(text); err != nil {
				return nil, err
			}
			w.text += part
		}
		words = append(words, w)
	}
}

// cutPart takes a quoted part, or all up to the next quote or blank.
func cutPart(text string) (part, rest string, err error) {
	switch text[0] {
	case '\'':
		part, rest, ok := strings.Cut(text[1:], "'")
		if !ok {
			return "", "", errors.New("a quote is not closed")
		}
		return part, rest, nil
	case '"':
		q, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", errors.New("a quote is not closed")
		}
		part, err = strconv.Unquote(q)
		return part, text[len(q):], err
	}
	end := strings.IndexAny(text, " \t\r'\"")
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], nil
}

// args are the words of a command, its options apart.
type args struct {
	words   []string
	options map[string][]string
}

func (a args) has(name string) bool { _, ok := a.options[name]; return ok }

// option returns the last value of an option, "" when it is not there.
func (a args) option(name string) string {
	if v := a.options[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// word returns the i-th word, or "".
func (a args) word(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}

// args sorts words and options, and checks them against what c knows.
func (c *command) args(words []word) (args, error) {
	a := args{options: map[string][]string{}}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w.quoted || len(w.text) < 2 || w.text[0] != '-' {
			a.words = append(a.words, w.text)
			continue
		}
		name := w.text[1:]
		switch {
		case slices.Contains(c.switches, name):
			a.options[name] = append(a.options[name], "")
		case slices.Contains(c.valued, name):
			if i++; i == len(words) {
				return a, fmt.Errorf("-%s wants a value", name)
			}
			a.options[name] = append(a.options[name], words[i].text)
		default:
			return a, fmt.Errorf("unknown option -%s", name)
		}
	}
	if n := len(a.words); n < c.min || c.max >= 0 && n > c.max {
		return a, fmt.Errorf("%d words, want %d to %d", n, c.min, c.max)
	}
	return a, nil
}
