package apidoc_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"gopura/apidoc"
	"gopura/config"
	"gopura/gateway"
	"gopura/importer"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const golden = "testdata/openapi.yaml"

func describe(t *testing.T, host string) (*gateway.Offline, *apidoc.Document) {
	t.Helper()
	o, err := gateway.CompileOffline(func() (*config.Document, error) {
		return config.Load("testdata/gopura.yaml", gateway.ConfigOptions())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o, apidoc.Describe(o, apidoc.Options{Title: "Shop", Version: "1.4.0", Servers: []string{"https://api.example.com"}, Host: host})
}

// The document is what it was, as YAML and as JSON, and a validator of the
// standard has nothing to say.
func TestDocument(t *testing.T) {
	_, d := describe(t, "")
	text := d.YAML()
	if *update {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s is not what it was; go test ./apidoc -update rewrites it", golden)
	}
	asJSON, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{text, asJSON} {
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	one, err1 := config.ReadTree(config.Source{Name: "a.yaml", Data: text})
	other, err2 := config.ReadTree(config.Source{Name: "b.json", Data: asJSON})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if !equal(one, other) {
		t.Error("YAML and JSON say different things")
	}
}

func equal(a, b *config.Tree) bool {
	return a.Text == b.Text && slices.EqualFunc(a.Items, b.Items, equal) &&
		slices.EqualFunc(a.Fields, b.Fields, func(x, y config.TreeField) bool { return x.Key == y.Key && equal(x.Value, y.Value) })
}

// What can't be described is told, and one host can be asked for.
func TestMissing(t *testing.T) {
	_, d := describe(t, "")
	all := strings.Join(d.Missing, "\n")
	for _, part := range []string{"another route has this path and method", "the methods of live are learned from the service itself"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not told: %s", part, all)
		}
	}
	if _, d := describe(t, "other.example.com"); strings.Contains(strings.Join(d.Missing, "\n"), "another route") {
		t.Errorf("told for another host: %v", d.Missing)
	}
}

// What is imported of the document takes the requests that the gateway takes: the
// matches are the same, those of gRPC methods being one by one.
func TestRoundTrip(t *testing.T) {
	o, d := describe(t, "shop.example.com")
	r, err := importer.Import(config.Source{Name: "openapi.yaml", Data: d.YAML()}, importer.Options{ReadFile: os.ReadFile, Output: "gopura.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := gateway.Check(func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: "gopura.yaml", Data: r.Text}}, gateway.ConfigOptions())
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Text)
	}
	var got []string
	for _, r := range again.Routes {
		got = append(got, r.Match.Text)
	}
	for _, r := range o.Document.Routes {
		if r.GRPC == nil && len(r.Match.Headers) == 0 && !slices.Contains(got, r.Match.Text) {
			t.Errorf("%s is not there; there are\n%s", r.Match.Text, strings.Join(got, "\n"))
		}
	}
}
