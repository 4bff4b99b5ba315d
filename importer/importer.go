package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopura/config"
)

// Options are what a source is imported with.
type Options struct {
	From     string            // a name of Formats; "": recognised by content
	Services map[string]string // URLs of services by name, in place of what the source says
	Validate bool              // openapi: routes hold requests to the schemas
	Output   string            // where the result will stand: file names in it are relative to that
	ReadFile func(name string) ([]byte, error)
	Exists   func(name string) bool
	// HashPassword makes the line of a file of users of a password that the source has in plain; nil: it can't.
	HashPassword func(password string) (string, error)
}

// Result is a configuration of ours and what of the source is not in it.
type Result struct {
	From   string
	Text   []byte
	Files  map[string][]byte // what it refers to and the source did not have, by name beside the output: keys, secrets
	Losses []Loss
}

// format is a kind of source.
type format struct {
	name string
	is   func(t *config.Tree) bool // nil: it is no YAML or JSON
	fill func(*draft, config.Source, *config.Tree) error
}

var formats = []format{
	{"openapi", isOpenAPI, fillOpenAPI},
	{"kong", isKong, fillKong},
	{"traefik", isTraefik, fillTraefik},
	{"nginx", nil, fillNGINX},
	{"krakend", isKrakenD, fillKrakenD},
}

// Formats are the names of the sources that can be imported.
func Formats() (names []string) {
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// ErrUnknown: the content says not what it is.
var ErrUnknown = errors.New("this is none of the formats that are known by their content: name it with --from")

// Import translates a file.
func Import(src config.Source, o Options) (*Result, error) {
	f, tree, err := recognise(src, o.From)
	if err != nil {
		return nil, err
	}
	d := newDraft(f.name, src.Name, o)
	if err := f.fill(d, src, tree); err != nil {
		return nil, err
	}
	losses := d.report()
	return &Result{f.name, d.render(), d.files, losses}, nil
}

func recognise(src config.Source, from string) (*format, *config.Tree, error) {
	if from == "" && looksLikeNGINX(src) {
		from = "nginx"
	}
	if from != "" {
		i := slices.IndexFunc(formats, func(f format) bool { return f.name == from })
		if i < 0 {
			return nil, nil, fmt.Errorf("%q is none of %s", from, strings.Join(Formats(), ", "))
		}
		if formats[i].is == nil {
			return &formats[i], nil, nil
		}
		tree, err := config.ReadTree(src)
		if err == nil && !tree.IsMap() {
			err = fmt.Errorf("%s: it holds no map, and so nothing to import", src.Name)
		}
		return &formats[i], tree, err
	}
	tree, err := config.ReadTree(src)
	if err != nil {
		return nil, nil, err
	}
	for i := range formats {
		if formats[i].is != nil && formats[i].is(tree) {
			return &formats[i], tree, nil
		}
	}
	return nil, nil, fmt.Errorf("%s: %w", src.Name, ErrUnknown)
}

var nginxWords = regexp.MustCompile(`(?m)^\s*(http|server|events|upstream\s+\S+|location\s+[^{]+)\s*\{`)

func looksLikeNGINX(src config.Source) bool {
	text := src.Data[:min(len(src.Data), 1<<20)]
	return nginxWords.Match(text) && !strings.HasPrefix(strings.TrimSpace(string(text)), "{")
}

// beside is a file name as it must be written into the output.
func (d *draft) beside(name string) string {
	dir := filepath.Dir(d.opts.Output)
	if filepath.IsAbs(name) {
		return name
	}
	rel, err := filepath.Rel(dir, name)
	if err != nil {
		return name
	}
	return filepath.ToSlash(rel)
}
