package diagram_test

import (
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopura/config"
	"gopura/diagram"
	"gopura/gateway"
)

var update = flag.Bool("update", false, "rewrite the expected pictures")

func load(t *testing.T, path string) *config.Document {
	t.Helper()
	doc, err := gateway.Check(func() (*config.Document, error) { return config.Load(path, gateway.ConfigOptions()) })
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestShop draws one configuration in every format.
func TestShop(t *testing.T) {
	g := diagram.Of(load(t, "testdata/shop.yaml"), diagram.Options{})
	for file, got := range map[string]string{"shop.mmd": g.Mermaid(), "shop.dot": g.DOT(), "shop.svg": g.SVG()} {
		path := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs (run with -update when that is right):\n%s", path, got)
		}
	}
}

// TestDocs: the pictures in the documentation and in the README are these.
func TestDocs(t *testing.T) {
	for name, file := range map[string]string{"graph.svg": "testdata/shop.yaml", "readme.svg": readme(t)} {
		want := diagram.Of(load(t, file), diagram.Options{}).SVG()
		path := filepath.Join("..", "docs", "img", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("docs/img/%s is not what gopura graph draws (run with -update): %v", name, err)
		}
	}
}

// readme is a file with the configuration in the README.
func readme(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(text, "```\n")
	if !ok {
		t.Fatal("no configuration in the README")
	}
	// There is no such certificate here; that there is one is what is drawn.
	text = strings.Replace(text, "{ certificates: { cert: /etc/gopura/tls/shop.crt, key: /etc/gopura/tls/shop.key } }", "self_signed", 1)
	t.Setenv("GOPURA_ADMIN_TOKEN", "not-shown")
	path := filepath.Join(t.TempDir(), "gopura.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestManyRoutes puts those together that go the same way.
func TestManyRoutes(t *testing.T) {
	text := "listen: :8080\nservices: { a: http://10.0.0.1, b: http://10.0.0.2 }\nroutes:\n"
	for i := range 1000 {
		text += fmt.Sprintf("  - { match: /r%d, to: %s }\n", i, [...]string{"a", "b"}[i%2])
	}
	path := filepath.Join(t.TempDir(), "gopura.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got := diagram.Of(load(t, path), diagram.Options{}).Mermaid()
	if n := strings.Count(got, "500 routes"); n != 2 || !strings.Contains(got, "/r0, /r2, /r4, …") {
		t.Errorf("%d groups:\n%s", n, got)
	}
	if all := diagram.Of(load(t, path), diagram.Options{Most: 5000}); len(all.Nodes) < 1000 {
		t.Errorf("%d nodes", len(all.Nodes))
	}
}

// TestNamesDoNoHarm: what stands in a configuration is text, in every format.
func TestNamesDoNoHarm(t *testing.T) {
	for _, name := range []string{`</text><script>alert(1)</script>`, `"]; evil [label="`, "a\\\"b", "]]>&amp;", "`${x}`", strings.Repeat("long", 100)} {
		n := &diagram.Node{ID: "route0", Column: diagram.Routes, Title: name, Lines: []string{name}}
		m := &diagram.Node{ID: "service0", Column: diagram.Services, Title: name}
		g := &diagram.Graph{Nodes: []*diagram.Node{n, m}, Edges: []diagram.Edge{{From: n, To: m, Label: name}}}
		svg := g.SVG()
		if strings.Contains(svg, "<script") {
			t.Errorf("%q runs in the SVG", name)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%q breaks the SVG: %v", name, err)
			}
		}
		if s := g.Mermaid(); strings.Contains(s, "<script") || strings.Count(s, `"`) != 6 {
			t.Errorf("%q breaks the Mermaid:\n%s", name, s)
		}
		if s := g.DOT(); strings.Contains(strings.ReplaceAll(s, `\"`, ""), "; evil [label=\"\"") {
			t.Errorf("%q breaks the DOT:\n%s", name, s)
		}
	}
}
