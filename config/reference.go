package config

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the reference page of the configuration, in Markdown: every
// key with its value, default and sentence, from the same tags that the decoder
// reads.
func Reference(opts Options) []byte {
	r := &page{catalog: newCatalog(opts), titles: make(map[reflect.Type]string), anchors: make(map[string]bool)}
	r.WriteString(referenceHead)
	r.queue(reflect.TypeFor[Document](), "Top level", "")
	r.write()
	if len(r.kinds) > 0 {
		r.WriteString("## Policies\n\nA policy is a key of a route, of a block under `policies`, or of `defaults`. On a route or in a block `off` stands for a policy that would come from a block or the defaults and is to hold here no more.\n\n")
		for i := range r.kinds {
			k := &r.kinds[i]
			r.policy(k)
		}
		r.write()
	}
	if len(r.sources) > 0 {
		r.WriteString("## Sources of identity\n\nA source is a name under `identity` with one of these keys, or with the key's name alone.\n\n")
		for i := range r.sources {
			r.policy(&r.sources[i])
		}
		r.write()
	}
	return []byte(r.String())
}

const referenceHead = `# Configuration reference

<!-- Generated from the structs that the configuration is decoded into. Do not edit. -->

A configuration is one YAML file, or a folder of them (` + "`*.yaml`, `*.yml`" + `): the files are read in the
order of their names, maps join, lists append, and a key that is set twice is an error. An unknown key, a value
of the wrong kind or a dangling name is an error as well; nothing is ignored.

| value | written |
|---|---|
| duration | ` + "`300ms`, `5s`, `1h30m`, `2d`, `1y`; `0` and `off` are none" + ` |
| size | ` + "`512`, `64KiB`, `8MiB`; `k`, `m`, `g` are short for KiB, MiB, GiB; `kB`, `MB`, `GB` count in thousands" + ` |
| percentage | ` + "`50%`" + ` |
| rate | ` + "`10/s`, `1000/day`, `5/10s`" + ` |

Every value may refer to the environment or to a file: ` + "`${env:NAME}`, `${env:NAME:-default}`, `${file:path}`" + `
(relative to the configuration file; a last line break is dropped). What comes from a reference is a secret: no
message shows it. ` + "`$${`" + ` stands for a plain ` + "`${`" + `. YAML anchors, aliases and merge keys (` + "`<<`" + `) work.

`

// page writes the sections of the reference, each struct once.
type page struct {
	*catalog
	strings.Builder
	titles  map[reflect.Type]string
	anchors map[string]bool
	waiting []section
}

type section struct {
	typ   reflect.Type
	title string
	doc   string
}

// queue remembers a struct for a section of its own, once.
func (r *page) queue(t reflect.Type, title, doc string) (link string) {
	if have, ok := r.titles[t]; ok {
		return have
	}
	for base, i := title, 2; r.anchors[anchor(title)]; i++ {
		title = fmt.Sprintf("%s %d", base, i)
	}
	r.titles[t], r.anchors[anchor(title)] = title, true
	r.waiting = append(r.waiting, section{t, title, doc})
	return title
}

func (r *page) write() {
	for len(r.waiting) > 0 {
		s := r.waiting[0]
		r.waiting = r.waiting[1:]
		if len(r.info(s.typ).fields) == 0 && r.info(s.typ).policies < 0 {
			continue
		}
		fmt.Fprintf(r, "## %s\n\n", s.title)
		if s.doc != "" {
			r.WriteString(s.doc + "\n\n")
		}
		r.section(s.typ, s.title)
	}
}

// section writes the short forms and the table of a struct.
func (r *page) section(t reflect.Type, title string) {
	info := r.info(t)
	var short []string
	for _, w := range info.words {
		short = append(short, "`"+w.word+"`")
	}
	if s := info.short; s != nil {
		what := "as its `" + s.key + "` alone"
		if s.key == "" {
			what = "as one text"
		}
		short = append(short, what)
	}
	if len(short) > 0 {
		fmt.Fprintf(r, "Short: %s.\n\n", either(short))
	}
	if len(info.fields) > 0 {
		r.WriteString("| key | value | default | |\n|---|---|---|---|\n")
	}
	for i := range info.fields {
		f := &info.fields[i]
		fmt.Fprintf(r, "| `%s` | %s | %s | %s |\n", f.key, r.cell(f, title), fallback(f), escapeCell(f.doc))
	}
	if info.policies >= 0 {
		if info.only != nil {
			r.WriteString("\nFurther keys are the [policies](#policies) `" + strings.Join(info.only, "`, `") + "`: for all routes together that send to it.\n")
		} else if len(info.fields) == 0 {
			r.WriteString("Its keys are [policies](#policies).\n")
		} else {
			r.WriteString("\nFurther keys are [policies](#policies).\n")
		}
	}
	r.WriteString("\n")
}

// cell says what a key takes.
func (r *page) cell(f *field, title string) string {
	var words []string
	if f.on {
		words = append(words, "`on`")
	}
	if f.off {
		words = append(words, "`off`")
	}
	for _, w := range f.enum {
		words = append(words, "`"+w+"`")
	}
	what := r.kindOf(f.typ, f, title)
	switch {
	case len(f.enum) > 0 && f.typ.Kind() == reflect.Slice:
		return "list of " + either(words)
	case len(f.enum) > 0:
		return either(words)
	}
	switch {
	case f.min != "" && f.max != "":
		what += ", " + f.min + " to " + f.max
	case f.min != "":
		what += ", at least " + f.min
	case f.max != "":
		what += ", at most " + f.max
	}
	return either(append(words, what))
}

// kindOf says what a value of a type is, with a link where it has a section.
func (r *page) kindOf(t reflect.Type, f *field, title string) string {
	t = elem(t)
	switch {
	case isScalar(t):
		what := r.what(t)
		what, _, _ = strings.Cut(what, " (")
		return strings.TrimPrefix(strings.TrimPrefix(what, "a "), "an ")
	case t == typePolicies:
		return "map of [policies](#policies)"
	case t == typeIdentities:
		return "map by name of [sources of identity](#sources-of-identity)"
	case t.Kind() == reflect.Slice:
		item := r.kindOf(t.Elem(), new(field), title)
		switch {
		case r.keyed(t.Elem()) && f.one != "":
			return item + ", or a map of them by name"
		case r.keyed(t.Elem()):
			return "map by name of " + item
		case f.one != "":
			return item + ", or a list"
		}
		return "list of " + item
	case t.Kind() == reflect.Map:
		return "map of " + r.kindOf(t.Elem(), new(field), title)
	case t.Kind() == reflect.Struct:
		link := r.queue(t, r.titleOf(t, title, f), f.doc)
		return "[" + link + "](#" + anchor(link) + ")"
	}
	return "anything"
}

// titleOf names the section of a struct: by its key, below the struct that it
// is a part of, or by its type for items of lists.
func (r *page) titleOf(t reflect.Type, title string, f *field) string {
	if f.key == "" || title == "Top level" {
		return cmp.Or(f.key, strings.ToLower(t.Name()))
	}
	return title + "." + f.key
}

func (r *page) policy(k *PolicyKind) {
	t := elem(reflect.TypeOf(k.New()))
	fmt.Fprintf(r, "### `%s`\n\n%s\n\n", k.Name, k.Doc)
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		r.WriteString("One of these, or a list of them.\n\n")
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || isScalar(t) {
		fmt.Fprintf(r, "It takes %s.\n\n", r.what(t))
		return
	}
	r.titles[t] = k.Name
	r.section(t, k.Name)
}

func fallback(f *field) string {
	switch {
	case f.required:
		return "required"
	case f.hasDefault:
		return "`" + strings.ReplaceAll(f.deflt, ",", ", ") + "`"
	}
	return ""
}

func escapeCell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// anchor is the fragment that Markdown gives a heading.
func anchor(title string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '.' || c == '`':
			return -1
		}
		return c
	}, strings.ToLower(title))
}
