package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"gopura/config"
)

// directive is one of nginx.conf, with what stands in its braces.
type directive struct {
	pos      config.Pos
	name     string
	args     []string
	block    []*directive
	hasBlock bool
}

const (
	maxNGINXDepth = 32
	maxNGINXWords = 500_000
	maxNGINXFiles = 500
)

// nginxFiles reads a configuration and the files that it includes, from the
// folder of the first one and below.
type nginxFiles struct {
	dir   string
	read  func(name string) ([]byte, error)
	glob  func(pattern string) ([]string, error)
	words int
	files int
	lost  func(pos config.Pos, what, why string)
}

// parseNGINX reads a text. It knows no directive but include, and that Lua is no
// configuration.
func (f *nginxFiles) parse(src config.Source) ([]*directive, error) {
	if !utf8.Valid(src.Data) {
		return nil, fmt.Errorf("%s: not UTF-8", src.Name)
	}
	if f.files++; f.files > maxNGINXFiles {
		return nil, fmt.Errorf("%s: more than %d files are included", src.Name, maxNGINXFiles)
	}
	p := nginxParser{text: string(src.Data), pos: config.Pos{File: src.Name, Line: 1, Col: 1}, files: f}
	list, err := p.block(0)
	if err == nil && p.i < len(p.text) {
		err = p.fail("a } that closes nothing")
	}
	return list, err
}

type nginxParser struct {
	text  string
	i     int
	pos   config.Pos
	files *nginxFiles
}

func (p *nginxParser) fail(why string) error { return fmt.Errorf("%v: %w", p.pos, errors.New(why)) }

func (p *nginxParser) step() byte {
	c := p.text[p.i]
	p.i++
	if c == '\n' {
		p.pos.Line, p.pos.Col = p.pos.Line+1, 1
	} else if utf8.RuneStart(c) {
		p.pos.Col++
	}
	return c
}

// space skips spaces and comments.
func (p *nginxParser) space() {
	for p.i < len(p.text) {
		switch p.text[p.i] {
		case ' ', '\t', '\r', '\n':
			p.step()
		case '#':
			for p.i < len(p.text) && p.text[p.i] != '\n' {
				p.step()
			}
		default:
			return
		}
	}
}

// block reads directives up to a } or the end.
func (p *nginxParser) block(depth int) (list []*directive, err error) {
	if depth > maxNGINXDepth {
		return nil, p.fail(fmt.Sprintf("nested deeper than %d levels", maxNGINXDepth))
	}
	for {
		p.space()
		if p.i >= len(p.text) || p.text[p.i] == '}' {
			return list, nil
		}
		d := &directive{pos: p.pos}
		if err := p.directive(d, depth); err != nil {
			return nil, err
		}
		if d.name != "include" || len(d.args) != 1 || d.hasBlock {
			list = append(list, d)
			continue
		}
		more, err := p.files.include(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
}

func (p *nginxParser) directive(d *directive, depth int) error {
	for n := 0; ; n++ {
		p.space()
		if p.i >= len(p.text) {
			return p.fail("the file ends within a directive")
		}
		switch p.text[p.i] {
		case ';':
			p.step()
			if n == 0 {
				return p.fail("a ; that ends nothing")
			}
			return nil
		case '{':
			p.step()
			d.hasBlock = true
			if n == 0 {
				return p.fail("a { that begins nothing")
			}
			if strings.HasSuffix(d.name, "_by_lua_block") {
				return p.lua()
			}
			var err error
			if d.block, err = p.block(depth + 1); err != nil {
				return err
			}
			if p.i >= len(p.text) {
				return fmt.Errorf("%v: the { of %s is never closed", d.pos, d.name)
			}
			p.step()
			return nil
		case '}':
			return p.fail("a } where a ; is missing")
		}
		w, err := p.word()
		if err != nil {
			return err
		}
		if n == 0 {
			d.name = w
		} else {
			d.args = append(d.args, w)
		}
	}
}

// word reads one, in quotes or not. A variable may stand in braces.
func (p *nginxParser) word() (string, error) {
	if p.files.words++; p.files.words > maxNGINXWords {
		return "", p.fail(fmt.Sprintf("more than %d words", maxNGINXWords))
	}
	var b strings.Builder
	quote := byte(0)
	if c := p.text[p.i]; c == '"' || c == '\'' {
		quote = p.step()
	}
	for p.i < len(p.text) {
		c := p.text[p.i]
		switch {
		case quote != 0 && c == quote:
			p.step()
			return b.String(), nil
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '{' && !strings.HasSuffix(b.String(), "$")):
			return b.String(), nil
		case c == '{' && quote == 0: // ${name}
			for p.i < len(p.text) && p.text[p.i] != '}' && p.text[p.i] != '\n' {
				b.WriteByte(p.step())
			}
			if p.i < len(p.text) {
				b.WriteByte(p.step())
			}
		case c == '\\' && p.i+1 < len(p.text):
			p.step()
			switch next := p.step(); next {
			case '"', '\'', ' ', ';', '{', '}':
				if next == '{' || next == '}' {
					b.WriteByte('\\') // of an expression
				}
				b.WriteByte(next)
			case 'n':
				if quote != 0 {
					b.WriteByte('\n')
				} else {
					b.WriteString(`\n`)
				}
			case 't':
				if quote != 0 {
					b.WriteByte('\t')
				} else {
					b.WriteString(`\t`)
				}
			default:
				b.WriteByte('\\')
				b.WriteByte(next)
			}
		default:
			b.WriteByte(p.step())
		}
	}
	if quote != 0 {
		return "", p.fail("a quote that is never closed")
	}
	return b.String(), nil
}

// lua skips a block of Lua: braces, texts and comments.
func (p *nginxParser) lua() error {
	depth := 1
	for p.i < len(p.text) {
		switch c := p.step(); {
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return nil
			}
		case c == '"' || c == '\'':
			for p.i < len(p.text) {
				if d := p.step(); d == c || d == '\n' {
					break
				} else if d == '\\' && p.i < len(p.text) {
					p.step()
				}
			}
		case c == '-' && p.i < len(p.text) && p.text[p.i] == '-':
			for p.i < len(p.text) && p.text[p.i] != '\n' {
				p.step()
			}
		}
	}
	return p.fail("a block of Lua that is never closed")
}

// include reads what a pattern names, within the folder.
func (f *nginxFiles) include(d *directive, depth int) (list []*directive, err error) {
	pattern := d.args[0]
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(f.dir, pattern)
	}
	rel, err := filepath.Rel(f.dir, pattern)
	if err != nil || !filepath.IsLocal(rel) {
		f.lost(d.pos, "include "+d.args[0], "only files of the folder of the first one are read")
		return nil, nil
	}
	names, err := f.glob(pattern)
	if err != nil || len(names) == 0 && !strings.ContainsAny(pattern, "*?[") {
		if filepath.Base(pattern) != "mime.types" {
			f.lost(d.pos, "include "+d.args[0], "there is no such file")
		}
		return nil, nil
	}
	slices.Sort(names)
	for _, name := range names {
		if filepath.Base(name) == "mime.types" {
			continue
		}
		text, err := f.read(name)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", d.pos, err)
		}
		if depth > maxNGINXDepth {
			return nil, fmt.Errorf("%v: included deeper than %d levels", d.pos, maxNGINXDepth)
		}
		more, err := f.parse(config.Source{Name: name, Data: text})
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// level is a block and those around it, the innermost last. A directive counts
// where it is found first, from the inside.
type level [][]*directive

func (l level) with(block []*directive) level { return append(slices.Clip(l), block) }

// all returns the directives of a name at the innermost level that has any.
func (l level) all(name string) (list []*directive) {
	for i := len(l) - 1; i >= 0; i-- {
		for _, d := range l[i] {
			if d.name == name {
				list = append(list, d)
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

func (l level) first(name string) *directive {
	if list := l.all(name); list != nil {
		return list[0]
	}
	return nil
}

// arg is the first argument of a directive, or otherwise.
func (l level) arg(name, otherwise string) string {
	if d := l.first(name); d != nil && len(d.args) > 0 {
		return d.args[0]
	}
	return otherwise
}

// own returns the directives of a name at the innermost level only.
func (l level) own(name string) (list []*directive) {
	for _, d := range l[len(l)-1] {
		if d.name == name {
			list = append(list, d)
		}
	}
	return list
}
