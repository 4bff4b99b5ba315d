package openapi

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"gopura/config"
)

// place is a value and where it stands: the file below the folder ("" is the
// document) and the JSON pointer in it.
type place struct {
	file, pointer string
	tree          *config.Tree
}

func (p place) get(keys ...string) place {
	for _, k := range keys {
		p.pointer += "/" + escape(k)
	}
	p.tree = p.tree.Get(keys...)
	return p
}

func (p place) item(i int) place {
	return place{p.file, p.pointer + "/" + strconv.Itoa(i), p.tree.Items[i]}
}

func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// resolve follows $ref until there is none.
func (d *Document) resolve(p place) (place, error) {
	for range maxChain {
		ref := p.tree.Get("$ref")
		if !ref.IsText() {
			return p, nil
		}
		next, err := d.follow(p.file, ref)
		if err != nil {
			return p, err
		}
		p = next
	}
	return p, fmt.Errorf("%v: a chain of more than %d references", p.tree.Pos, maxChain)
}

func (d *Document) follow(from string, ref *config.Tree) (place, error) {
	file, fragment, _ := strings.Cut(ref.Text, "#")
	p := place{file: from}
	if file != "" {
		u, err := url.Parse(file)
		if err != nil || u.IsAbs() || u.Host != "" {
			return p, fmt.Errorf("%v: %q refers to another site, and nothing is fetched: put it into a file beside this one", ref.Pos, ref.Text)
		}
		p.file = path.Join(path.Dir(from), u.Path)
		if !filepath.IsLocal(p.file) {
			return p, fmt.Errorf("%v: %q leads out of the folder", ref.Pos, ref.Text)
		}
		if p.file == path.Base(d.Name) {
			p.file = ""
		}
	}
	tree, err := d.file(p.file)
	if err != nil {
		return p, fmt.Errorf("%v: %w", ref.Pos, err)
	}
	p.tree = tree
	if fragment == "" {
		return p, nil
	}
	fragment, err = url.PathUnescape(fragment)
	if err != nil || fragment[0] != '/' {
		return p, fmt.Errorf("%v: %q is no reference by JSON pointer", ref.Pos, ref.Text)
	}
	for _, step := range strings.Split(fragment, "/")[1:] {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if i, err := strconv.Atoi(step); err == nil && p.tree.IsList() && i >= 0 && i < len(p.tree.Items) {
			p = p.item(i)
		} else {
			p = p.get(step)
		}
	}
	if p.tree == nil {
		return p, fmt.Errorf("%v: %q leads nowhere", ref.Pos, ref.Text)
	}
	return p, nil
}

// file returns another file of the folder, read once.
func (d *Document) file(name string) (*config.Tree, error) {
	if t, ok := d.files[name]; ok {
		if t == nil {
			return nil, fmt.Errorf("%s can't be read", name)
		}
		return t, nil
	}
	if len(d.files) > maxOtherFiles {
		return nil, fmt.Errorf("more than %d files", maxOtherFiles)
	}
	full := filepath.Join(d.dir, filepath.FromSlash(name))
	d.files[name] = nil
	d.Files = append(d.Files, full)
	text, err := d.read(full)
	if err != nil {
		return nil, err
	}
	t, err := config.ReadTree(config.Source{Name: full, Data: text})
	if err == nil {
		d.files[name] = t
	}
	return t, err
}

// Text returns a file that a schema refers to as JSON Schema; "" is the
// document itself. It is for the compiler of schemas.
func (d *Document) Text(name string) (any, error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if v, ok := d.texts[name]; ok {
		return v, nil
	}
	t, err := d.file(name)
	if err != nil {
		return nil, err
	}
	v := t.Value()
	c := converter{old: d.old}
	c.document(v, name == "")
	if d.texts == nil {
		d.texts = map[string]any{}
	}
	d.texts[name] = v
	return v, nil
}

// Base is what references to the document begin with in its own schemas.
func (d *Document) Base() string {
	return (&url.URL{Path: path.Base(filepath.ToSlash(d.Name))}).String()
}

// reference is a schema that stands at p.
func (d *Document) reference(p place) map[string]any {
	file := p.file
	if file == "" {
		file = path.Base(filepath.ToSlash(d.Name))
	}
	u := url.URL{Path: file, Fragment: p.pointer}
	return map[string]any{"$ref": "./" + strings.TrimPrefix(u.String(), "./")}
}
