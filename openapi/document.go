package openapi

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"gopura/config"
)

// Document is an OpenAPI document.
type Document struct {
	Name       string // its file
	Version    string // as written: 2.0, 3.0.3, 3.1.0
	Title      string
	Servers    []Server
	Operations []*Operation // in the order of the text
	Schemes    []Scheme
	Files      []string // that it is made of, itself first

	files   map[string]*config.Tree // by path below the folder; nil: can't be read
	read    func(name string) ([]byte, error)
	dir     string
	old     bool // schemas are those of 3.0 or Swagger 2
	swagger bool

	reading sync.Mutex
	texts   map[string]any // files as JSON Schema
}

// Server is where an API is served.
type Server struct {
	Pos         config.Pos
	URL         string // variables are set to their defaults
	Description string
}

// Operation is one method of one path.
type Operation struct {
	Pos        config.Pos
	ID         string
	Method     string // upper case
	Path       string // as written, below the server's
	Summary    string
	Match      string // x-gopura-match: the route that a gateway of ours has for it
	Deprecated bool
	Tags       []string
	Servers    []Server // of its own; none: the document's
	Parameters []Parameter
	Body       *Body
	Security   []Requirement // alternatives
	Secured    bool          // Security is not empty, and no alternative is
}

// Parameter is a parameter of the path, the query or a header.
type Parameter struct {
	Pos      config.Pos
	Name     string
	In       string // path, query, header, cookie
	Required bool
	Schema   map[string]any // JSON Schema, or a reference to it; nil: none
	Types    []string       // of the schema: what a text may stand for
	Items    []string       // of its items
	Split    string         // what stands between the items of a list that is one text
	Opaque   string         // why a value can't be taken apart: deepObject, content
}

// Body is what a request may carry.
type Body struct {
	Pos      config.Pos
	Required bool
	Media    []Media
}

// Media is a type of body and its schema.
type Media struct {
	Type   string
	Schema map[string]any // a reference; nil: none
}

// Requirement is what must be proven together: schemes by name, with scopes.
type Requirement []Need

// Need is one scheme of a requirement.
type Need struct {
	Scheme string
	Scopes []string
}

// Scheme is a way to prove who is calling.
type Scheme struct {
	Pos                            config.Pos
	Name, Type, Scheme, In, Header string
	Discovery                      string // of openIdConnect
	TokenURL                       string // of oauth2
}

// ErrVersion: it is no OpenAPI document that can be read.
var ErrVersion = errors.New("no OpenAPI document: neither openapi: 3.x nor swagger: \"2.0\"")

const (
	maxOperations = 20_000
	maxChain      = 32 // references that lead to references
	maxOtherFiles = 200
)

// Read reads a document. read opens the files of its folder that it refers to.
func Read(src config.Source, read func(name string) ([]byte, error)) (*Document, error) {
	tree, err := config.ReadTree(src)
	if err != nil {
		return nil, err
	}
	d := &Document{Name: src.Name, dir: path.Dir(src.Name), read: read, files: map[string]*config.Tree{"": tree}, Files: []string{src.Name}}
	d.Version = tree.String("openapi")
	switch {
	case tree.String("swagger") == "2.0":
		d.Version, d.swagger, d.old = "2.0", true, true
	case strings.HasPrefix(d.Version, "3.0"):
		d.old = true
	case !strings.HasPrefix(d.Version, "3."):
		return nil, fmt.Errorf("%v: %w", src.Name, ErrVersion)
	}
	d.Title = tree.String("info", "title")
	d.Servers = d.servers(tree)
	d.schemes(tree)
	return d, d.operations(tree)
}
