package importer_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopura/config"
	"gopura/gateway"
	"gopura/identity"
	"gopura/importer"
	"gopura/trial"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each source in testdata gives the configuration beside it, which passes gopura
// check, and the report. Where there is a file of tests (NAME.tests), requests go
// where the source would have sent them.
func TestGolden(t *testing.T) {
	sources, _ := filepath.Glob("testdata/*/*")
	if len(sources) < 2 {
		t.Fatalf("only %d files", len(sources))
	}
	for _, path := range sources {
		if ext := filepath.Ext(path); ext == ".out" || ext == ".report" || ext == ".tests" || isFolder(path) || strings.HasSuffix(path, ".part.conf") || strings.HasPrefix(filepath.Base(path), "_") {
			continue
		}
		modes := []string{""}
		if filepath.Base(filepath.Dir(path)) == "openapi" {
			modes = append(modes, "validate")
		}
		for _, mode := range modes {
			t.Run(strings.TrimPrefix(path, "testdata/")+mode, func(t *testing.T) { golden(t, path, mode) })
		}
	}
}

func golden(t *testing.T, path, mode string) {
	stem := strings.TrimSuffix(path, filepath.Ext(path)) + mode
	r := importFile(t, path, importer.Options{Validate: mode != ""})
	if want := filepath.Base(filepath.Dir(path)); r.From != want {
		t.Errorf("taken for %s", r.From)
	}
	var report bytes.Buffer
	for _, l := range r.Losses {
		fmt.Fprintln(&report, strings.TrimPrefix(l.String(), filepath.Dir(path)+"/"))
	}
	same(t, stem+".out", r.Text)
	same(t, stem+".report", report.Bytes())
	load := loader(t, path, r)
	if _, err := gateway.Check(load(nil)); err != nil {
		t.Errorf("gopura check: %v", err)
		return
	}
	tests, err := os.ReadFile(stem + ".tests")
	if err != nil {
		return
	}
	doc, err := load(tests)()
	if err != nil {
		t.Fatal(err)
	}
	for i := range doc.Tests {
		for _, f := range trial.Run(load(tests), &doc.Tests[i]).Failures {
			t.Errorf("%s: %s", doc.Tests[i].Name, f)
		}
	}
}

func importFile(t *testing.T, path string, o importer.Options) *importer.Result {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o.ReadFile, o.HashPassword = os.ReadFile, identity.HashPassword
	o.Output = filepath.Join(filepath.Dir(path), "gopura.yaml")
	o.Exists = func(name string) bool { _, err := os.Stat(name); return err == nil }
	r, err := importer.Import(config.Source{Name: path, Data: data}, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// loader returns how to load a result, and more text, with the files that the
// source has and those that the result brings.
func loader(t *testing.T, path string, r *importer.Result) func(more []byte) func() (*config.Document, error) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	for name, text := range r.Files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err == nil {
			err = os.WriteFile(full, text, 0o600)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return func(more []byte) func() (*config.Document, error) {
		src := []config.Source{{Name: filepath.Join(dir, "gopura.yaml"), Data: r.Text}}
		if more != nil {
			src = append(src, config.Source{Name: filepath.Join(dir, "tests.yaml"), Data: more})
		}
		return func() (*config.Document, error) { return config.Parse(src, gateway.ConfigOptions()) }
	}
}

func same(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is not what it was; go test ./importer -update rewrites it. It is now:\n%s", file, got)
	}
}

func isFolder(path string) bool { info, err := os.Stat(path); return err == nil && info.IsDir() }
