package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxReferred is how large a file that ${file:…} names may be.
const maxReferred = 1 << 20

// references resolves ${env:NAME}, ${env:NAME:-default} and ${file:path}.
type references struct {
	env  func(string) (string, bool)
	read func(string) ([]byte, error)
	seen *[]string // paths of the files that were asked for

	recall map[string]resolved // answers instead of env and read, unless nil
	found  map[string]resolved // what was resolved, by folder and text
	sealed *[]string           // unless nil, nothing is looked up; here is what would have been
}

// resolved is what a reference stood for.
type resolved struct {
	value  string
	secret bool
}

func newReferences(o Options) references {
	r := references{env: o.Env, read: o.ReadFile, seen: new([]string), recall: o.recall, found: map[string]resolved{}, sealed: o.sealed}
	if r.env == nil {
		r.env = os.LookupEnv
	}
	if r.read == nil {
		r.read = readLimited
	}
	return r
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxReferred+1))
}

func hasReference(text string) bool { return strings.Contains(text, "${") }

// text returns the text of a scalar with its references resolved, and whether
// it holds a secret. $${ stands for ${.
func (d *decoder) text(n *node, path string) (text string, secret, ok bool) {
	rest := n.text
	if !hasReference(rest) {
		return rest, false, true
	}
	var b strings.Builder
	ok = true
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			return b.String(), secret, ok
		}
		if i > 0 && rest[i-1] == '$' {
			b.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		b.WriteString(rest[:i])
		offset := len(n.text) - len(rest) + i
		body, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			d.problem(d.within(n, offset), path, "write $${ for a plain ${", "a reference is not closed: no } after ${")
			return "", secret, false
		}
		value, hide, err := d.refs.resolve(body, filepath.Dir(n.pos.File))
		if err != nil {
			hint := ""
			if errors.Is(err, errReference) {
				hint = "known: ${env:NAME}, ${env:NAME:-default}, ${file:path}; write $${ for a plain ${"
			}
			d.problem(d.within(n, offset), path, hint, "%v", err)
			ok = false
		}
		if hide {
			secret = true
			d.problems.secrets.learn(value)
		}
		b.WriteString(value)
		rest = after
	}
}

var errReference = errors.New("unknown reference")

// resolve returns what the inside of ${…} stands for, and whether that is a
// secret; a default is none, since it stands in the file.
func (r references) resolve(body, dir string) (value string, secret bool, err error) {
	key := dir + "\x00" + body
	if was, ok := r.recall[key]; ok {
		r.found[key] = was
		return was.value, was.secret, nil
	}
	if r.sealed != nil {
		*r.sealed = append(*r.sealed, body)
		return "placeholder", false, nil
	}
	if value, secret, err = r.look(body, dir); err == nil {
		r.found[key] = resolved{value, secret}
	}
	return value, secret, err
}

// look is resolve that asks.
func (r references) look(body, dir string) (value string, secret bool, err error) {
	scheme, name, _ := strings.Cut(body, ":")
	switch scheme {
	case "env":
		name, deflt, hasDefault := strings.Cut(name, ":-")
		if name == "" {
			return "", false, fmt.Errorf("%w %s", errReference, quote("${"+body+"}"))
		}
		value, set := r.env(name)
		switch {
		case hasDefault && value == "":
			return deflt, false, nil
		case !set:
			return "", false, fmt.Errorf("the environment variable %s is not set", quote(name))
		case !utf8.ValidString(value):
			return "", false, fmt.Errorf("the environment variable %s is not UTF-8", quote(name))
		}
		return value, true, nil
	case "file":
		if name == "" {
			return "", false, fmt.Errorf("%w %s", errReference, quote("${"+body+"}"))
		}
		value, err := r.file(name, dir)
		return value, err == nil, err
	}
	return "", false, fmt.Errorf("%w %s", errReference, quote("${"+body+"}"))
}

// file returns the text of a file, without the line end that editors put last.
// A relative path is relative to the configuration file.
func (r references) file(name, dir string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	*r.seen = append(*r.seen, path)
	data, err := r.read(path)
	var fail *fs.PathError
	switch {
	case errors.As(err, &fail):
		return "", fmt.Errorf("the file %s: %w", quote(name), fail.Err)
	case err != nil:
		return "", fmt.Errorf("the file %s: %w", quote(name), err)
	case len(data) > maxReferred:
		return "", fmt.Errorf("the file %s is larger than %v", quote(name), Size(maxReferred))
	case !utf8.Valid(data):
		return "", fmt.Errorf("the file %s is not UTF-8", quote(name))
	}
	text, _ := strings.CutSuffix(string(data), "\n")
	text, _ = strings.CutSuffix(text, "\r")
	return text, nil
}

// within returns the place of a part of a scalar.
func (d *decoder) within(n *node, offset int) Pos { return d.problems.within(n.pos, n.text, offset) }

// Within returns the place of a part of a text that stands at pos: exact when the
// text stands on its line as it is, else pos.
func (d *Document) Within(pos Pos, text string, offset int) Pos {
	if d.problems == nil || offset < 0 || offset > len(text) {
		return pos
	}
	return d.problems.within(pos, text, offset)
}

func (p *Problems) within(pos Pos, text string, offset int) Pos {
	line, ok := p.line(pos)
	if !ok || len(line) > 4096 { // a text may hold very many references
		return pos
	}
	runes := []rune(line)
	from := pos.Col - 1
	if from < 0 || from > len(runes) {
		return pos
	}
	if from < len(runes) && (runes[from] == '"' || runes[from] == '\'') {
		from++
	}
	if text != "" && strings.HasPrefix(string(runes[from:]), text) {
		return Pos{pos.File, pos.Line, from + 1 + utf8.RuneCountInString(text[:offset])}
	}
	return pos
}
