package gateway_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopura/config"
	"gopura/gateway"
)

var update = flag.Bool("update", false, "rewrite the golden files of composed routes")

// TestComposeGolden compiles each testdata/compose/*.txt: a configuration in; its
// problems, and the trees of its plans, out. -update rewrites; a person reads
// the difference.
func TestComposeGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/compose/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no golden files", err)
	}
	const mark = "-- out --\n"
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(text), mark)
			got := compiled(t, in)
			if *update {
				if err := os.WriteFile(name, []byte(in+mark+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// compiled returns the problems of a configuration, and the trees of its plans.
func compiled(t *testing.T, text string) string {
	t.Helper()
	var doc *config.Document
	var out bytes.Buffer
	o, err := gateway.CompileOffline(func() (d *config.Document, err error) {
		doc, err = config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, gateway.ConfigOptions())
		return doc, err
	})
	var problems *config.Problems
	switch {
	case errors.As(err, &problems):
	case err != nil:
		t.Fatal(err)
	default:
		defer o.Close()
		problems = doc.Problems()
	}
	if err := problems.Render(&out, false); err != nil {
		t.Fatal(err)
	}
	if o == nil {
		return out.String()
	}
	for i := range doc.Routes {
		if tree := o.Tree(i); tree != "" {
			out.WriteString(doc.Routes[i].Name + "\n" + tree)
		}
	}
	return out.String()
}
