package openapi

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopura/config"
)

// Whatever a document says, it is read within its limits: nothing is opened that
// lies outside of its folder, and what a schema refers to is found, or is an error.
func FuzzDocument(f *testing.F) {
	for _, name := range []string{"shop.yaml", "old.json"} {
		text, err := os.ReadFile(filepath.Join("../importer/testdata/openapi", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		`{swagger: "2.0", paths: {/a: {get: {parameters: [1, {in: query, name: a, type: array, items: {type: integer}}]}}}}`,
		`{swagger: "2.0", basePath: b, schemes: [http], paths: {/a: {post: {parameters: [{in: body, schema: {$ref: "#/definitions/a"}}]}}}, definitions: {a: {$ref: "#/definitions/a"}}}`,
		`{openapi: 3.0.0, servers: [{url: "{a}", variables: {a: {default: "{a}{a}"}}}], paths: {/a/{b}: {$ref: "other.yaml#/paths/~1a"}}}`,
		`{openapi: 3.1.0, paths: {/a: {put: {requestBody: {content: {application/json: {schema: {allOf: [{$ref: "#/x"}, {$ref: ""}]}}}}, security: [{a: [b]}, 1]}}}}`,
		`{openapi: 3.0.0, paths: {/a: {get: {parameters: [{$ref: "../x"}, {$ref: "#/%zz"}, {$ref: "http://x/"}]}}}, components: {schemas: {a: {nullable: true, type: string, enum: [1]}}, securitySchemes: {a: 1}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 16<<10 {
			return // the seeds are smaller
		}
		read := func(name string) ([]byte, error) {
			if rel, err := filepath.Rel("folder", name); err != nil || !filepath.IsLocal(rel) {
				t.Errorf("%s is opened", name)
			}
			return text, nil
		}
		d, err := Read(config.Source{Name: "folder/api.yaml", Data: text}, read)
		if err != nil {
			return
		}
		for _, s := range d.Servers {
			if len(s.URL) > maxURL {
				t.Errorf("an address of %d bytes", len(s.URL))
			}
		}
		for _, o := range d.Operations {
			for _, p := range o.Parameters {
				follow(t, d, p.Schema)
			}
			if o.Body != nil {
				for _, m := range o.Body.Media {
					follow(t, d, m.Schema)
				}
			}
		}
	})
}

// follow opens what a schema refers to, as the compiler of schemas does.
func follow(t *testing.T, d *Document, schema map[string]any) {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return
	}
	u, err := url.Parse(ref)
	if err != nil {
		t.Errorf("a reference that is no URL: %q", ref)
		return
	}
	name := strings.TrimPrefix(u.Path, "./")
	if name == "api.yaml" {
		name = ""
	}
	if _, err := d.Text(name); err != nil {
		t.Errorf("%q leads to %v", ref, err)
	}
}

// The work that a document asks for grows with its length, and no faster.
func TestHostileDocuments(t *testing.T) {
	read := func(string) ([]byte, error) { return nil, os.ErrNotExist }
	for name, text := range map[string]string{
		"a parameter that is a text": `{swagger: "2.0", paths: {/a: {get: {parameters: [x]}}}}`,
		"variables in variables":     `{openapi: 3.0.0, servers: [{url: "` + strings.Repeat("{a}", 10) + `", variables: {` + doublings() + `}}]}`,
		"many paths":                 `{"openapi": "3.0.0", "paths": {"/": {}` + manyPaths(100_000) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Read(config.Source{Name: "api.yaml", Data: []byte(text)}, read)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range d.Servers {
				if len(s.URL) > maxURL {
					t.Errorf("an address of %d bytes", len(s.URL))
				}
			}
		})
	}
}

// doublings are variables each of which says the next ten times.
func doublings() string {
	var b strings.Builder
	for c := byte('a'); c < 'm'; c++ {
		b.WriteString(string(c) + `: {default: "` + strings.Repeat("{"+string(c+1)+"}", 10) + `"}, `)
	}
	return b.String()
}

func manyPaths(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"/path-%d":{}`, i)
	}
	return b.String()
}
