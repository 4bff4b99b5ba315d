package openapi

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gopura/config"
)

// Methods are the operations that a path may have, in the order in which they
// are told.
var Methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (d *Document) operations(tree *config.Tree) error {
	paths := place{tree: tree}.get("paths")
	for _, f := range paths.tree.Map() {
		if !strings.HasPrefix(f.Key, "/") {
			continue // an extension
		}
		item, err := d.resolve(place{pointer: paths.pointer + "/" + escape(f.Key), tree: f.Value})
		if err != nil {
			return err
		}
		for _, field := range item.tree.Map() {
			if !isMethod(field.Key) || !field.Value.IsMap() {
				continue
			}
			if len(d.Operations) == maxOperations {
				return fmt.Errorf("%v: more than %d operations", field.Pos, maxOperations)
			}
			o, err := d.operation(tree, f.Key, item, field)
			if err != nil {
				return err
			}
			d.Operations = append(d.Operations, o)
		}
	}
	return nil
}

func isMethod(key string) bool {
	for _, m := range Methods {
		if m == key {
			return true
		}
	}
	return false
}

func (d *Document) operation(tree *config.Tree, path string, item place, field config.TreeField) (*Operation, error) {
	at := item.get(field.Key)
	o := &Operation{Pos: field.Pos, ID: field.Value.String("operationId"), Method: strings.ToUpper(field.Key), Path: path,
		Summary: field.Value.String("summary"), Match: field.Value.String("x-gopura-match"), Deprecated: field.Value.Bool(false, "deprecated"), Tags: field.Value.Strings("tags"), Servers: d.servers(field.Value)}
	if o.Servers == nil && !d.swagger {
		o.Servers = d.servers(item.tree)
	}
	if err := d.parameters(o, item, at); err != nil {
		return nil, err
	}
	body := at.get("requestBody")
	if body.tree != nil {
		var err error
		if body, err = d.resolve(body); err != nil {
			return nil, err
		}
		o.Body = &Body{Pos: body.tree.Pos, Required: body.tree.Bool(false, "required")}
		for _, m := range body.tree.Map("content") {
			media := Media{Type: strings.ToLower(m.Key)}
			if m.Value.Get("schema") != nil {
				media.Schema = d.reference(body.get("content", m.Key, "schema"))
			}
			o.Body.Media = append(o.Body.Media, media)
		}
	}
	d.security(o, tree, field.Value)
	return o, nil
}

// parameters are those of the path, unless the operation has one of that name.
func (d *Document) parameters(o *Operation, item, at place) error {
	seen := map[string]bool{}
	for _, list := range []place{at.get("parameters"), item.get("parameters")} {
		if list.tree == nil {
			continue
		}
		for i := range list.tree.Items {
			p, err := d.resolve(list.item(i))
			if err != nil {
				return err
			}
			in, name := p.tree.String("in"), p.tree.String("name")
			if key := in + " " + name; seen[key] {
				continue
			} else {
				seen[key] = true
			}
			if d.swagger && (in == "body" || in == "formData") {
				d.oldBody(o, p, in)
				continue
			}
			par := Parameter{Pos: p.tree.Pos, Name: name, In: in, Required: p.tree.Bool(false, "required") || in == "path"}
			d.describe(&par, p)
			o.Parameters = append(o.Parameters, par)
		}
	}
	return nil
}

// describe adds what the schema and the style of a parameter say.
func (d *Document) describe(par *Parameter, p place) {
	if p.tree.Get("content") != nil {
		par.Opaque = "content"
		return
	}
	if style := p.tree.String("style"); style != "" && style != "form" && style != "simple" {
		par.Opaque = style
		return
	}
	s := p.get("schema")
	if d.swagger {
		s = p
		schema, _ := p.tree.Value().(map[string]any)
		if schema == nil {
			schema = map[string]any{} // it is no map: nothing is said
		}
		for _, key := range []string{"name", "in", "description", "required", "collectionFormat", "allowEmptyValue"} {
			delete(schema, key)
		}
		(&converter{old: true}).schema(schema)
		par.Schema = schema
	} else if s.tree != nil {
		par.Schema = d.reference(s)
	}
	par.Types = d.types(s)
	if r, err := d.resolve(s); err == nil {
		par.Items = d.types(r.get("items"))
	}
	switch format := p.tree.String("collectionFormat"); {
	case !d.swagger:
		if par.In != "query" && par.In != "cookie" || !p.tree.Bool(true, "explode") {
			par.Split = ","
		}
	case format == "pipes":
		par.Split = "|"
	case format == "ssv":
		par.Split = " "
	case format == "tsv":
		par.Split = "\t"
	case format != "multi":
		par.Split = ","
	}
	for _, t := range par.Types {
		if t == "object" {
			par.Opaque = "object"
		}
	}
}

// types returns what a schema says about type, references and alternatives
// followed.
func (d *Document) types(p place) (list []string) {
	left := 64 // schemas that are looked into
	var look func(p place)
	look = func(p place) {
		if left--; left < 0 || p.tree == nil {
			return
		}
		r, err := d.resolve(p)
		if err != nil {
			return
		}
		list = append(list, r.tree.Strings("type")...)
		for _, key := range []string{"allOf", "anyOf", "oneOf"} {
			all := r.get(key)
			if all.tree == nil {
				continue
			}
			for i := range all.tree.Items {
				look(all.item(i))
			}
		}
	}
	look(p)
	return list
}

func (d *Document) oldBody(o *Operation, p place, in string) {
	if o.Body == nil {
		o.Body = &Body{Pos: p.tree.Pos}
	}
	o.Body.Required = o.Body.Required || p.tree.Bool(false, "required")
	types := d.files[""].Get("paths", o.Path, strings.ToLower(o.Method)).Strings("consumes")
	if types == nil {
		types = d.files[""].Strings("consumes")
	}
	if in == "formData" {
		if types == nil {
			types = []string{"application/x-www-form-urlencoded", "multipart/form-data"}
		}
		if o.Body.Media == nil {
			for _, t := range types {
				o.Body.Media = append(o.Body.Media, Media{Type: strings.ToLower(t)})
			}
		}
		return
	}
	if types == nil {
		types = []string{"application/json"}
	}
	for _, t := range types {
		o.Body.Media = append(o.Body.Media, Media{strings.ToLower(t), d.reference(p.get("schema"))})
	}
}

func (d *Document) servers(t *config.Tree) (list []Server) {
	if d.swagger {
		return d.oldServers(t)
	}
	for _, s := range t.List("servers") {
		list = append(list, Server{s.Pos, address(s), s.String("description")})
	}
	return list
}

// maxURL is how long the address of a server may become; what is longer is cut.
const maxURL = 4 << 10

var variable = regexp.MustCompile(`\{[^{}]*\}`)

// address is the URL of a server, its variables set to their defaults. They are set
// once: a default that names another variable stays as it is.
func address(s *config.Tree) string {
	left := maxURL
	text := variable.ReplaceAllStringFunc(s.String("url"), func(name string) string {
		v := s.Get("variables", name[1:len(name)-1])
		if v == nil {
			return name
		}
		set := v.String("default")
		if left -= len(set); left < 0 {
			return ""
		}
		return set
	})
	return strings.ToValidUTF8(text[:min(len(text), maxURL)], "")
}

func (d *Document) oldServers(t *config.Tree) (list []Server) {
	host, base := t.String("host"), t.String("basePath")
	if host == "" && base == "" {
		return nil
	}
	schemes := t.Strings("schemes")
	if schemes == nil || host == "" {
		schemes = []string{"https"}
	}
	for _, s := range schemes {
		u := url.URL{Path: base}
		if host != "" {
			u.Scheme, u.Host = s, host
		}
		list = append(list, Server{t.Pos, u.String(), ""})
	}
	return list
}

func (d *Document) security(o *Operation, tree, op *config.Tree) {
	list := op.Get("security")
	if list == nil {
		list = tree.Get("security")
	}
	if list == nil {
		return
	}
	o.Secured = len(list.Items) > 0
	for _, alternative := range list.Items {
		var r Requirement
		for _, f := range alternative.Map() {
			r = append(r, Need{f.Key, f.Value.Strings()})
		}
		if len(r) == 0 {
			o.Secured = false
		}
		o.Security = append(o.Security, r)
	}
}

func (d *Document) schemes(t *config.Tree) {
	where := t.Map("components", "securitySchemes")
	if d.swagger {
		where = t.Map("securityDefinitions")
	}
	for _, f := range where {
		p, err := d.resolve(place{tree: f.Value})
		if err != nil {
			continue // who needs it has a scheme that is not known
		}
		s := Scheme{Pos: f.Pos, Name: f.Key, Type: p.tree.String("type"), Scheme: strings.ToLower(p.tree.String("scheme")), In: p.tree.String("in"),
			Header: p.tree.String("name"), Discovery: p.tree.String("openIdConnectUrl")}
		if s.Type == "basic" { // Swagger 2
			s.Type, s.Scheme = "http", "basic"
		}
		for _, flow := range p.tree.Map("flows") {
			s.TokenURL = flow.Value.String("tokenUrl")
		}
		d.Schemes = append(d.Schemes, s)
	}
}

// Find returns an operation by its id, or by "METHOD /path".
func (d *Document) Find(name string) *Operation {
	for _, o := range d.Operations {
		if o.ID == name && name != "" || o.Method+" "+o.Path == name {
			return o
		}
	}
	return nil
}

// PathName is the name of a path parameter in a pattern of ours: letters,
// digits and underscores.
func PathName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9') {
			return r
		}
		return '_'
	}, name)
	if clean == "" || '0' <= clean[0] && clean[0] <= '9' {
		return "p" + clean
	}
	return clean
}
