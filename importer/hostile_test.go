package importer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gopura/config"
)

// What a source asks for grows with its length, and no faster. Each of these takes
// a moment; when something in it is compared with all that came before, or is
// compiled anew each time, none of them ends within the time of a test run.
func TestHostileSources(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	none := func(string) ([]byte, error) { return nil, os.ErrNotExist }
	for _, c := range []struct{ name, from, text string }{
		{"expressions", "traefik", "http:\n  routers:\n" + many(1000, "    a#: {rule: \"PathRegexp(`^/a#(b|c){1,40}`)\", service: s}\n")},
		{"expressions of locations", "nginx", "server { " + many(1000, "location ~ \"^/a#(b|c){1,40}\" { return 200; }\n") + "}"},
		{"directives that are not known", "nginx", "server { " + strings.Repeat("a;", 200_000) + "}"},
		{"alternatives in alternatives", "traefik", "http:\n  routers:\n    a: {rule: \"" + strings.Repeat("(Path(`/a`)||Path(`/b`))&&", 400) + "Path(`/`)\", service: s}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Import(config.Source{Name: "x", Data: []byte(c.text)}, Options{From: c.from, ReadFile: none, Exists: func(string) bool { return false }}); err != nil {
				t.Error(err)
			}
		})
	}
	d := newDraft("", "", Options{})
	for range 200_000 {
		d.unique("route", "x")
	}
	if got := d.unique("route", "x"); got != "x-200001" {
		t.Error(got)
	}
}

// A name that looks like the next of another one is not given twice.
func TestUnique(t *testing.T) {
	d := newDraft("", "", Options{})
	seen := map[string]bool{}
	for _, name := range []string{"a", "a-2", "a", "a", "a-2", "a-3", "a", "a-2-2"} {
		got := d.unique("service", name)
		if seen[got] {
			t.Errorf("%s was given twice", got)
		}
		seen[got] = true
	}
}

// A file without anything in it is no source, whatever it is said to be.
func TestEmptySources(t *testing.T) {
	for _, from := range append(Formats(), "") {
		for _, text := range []string{"", " ", "# nothing\n", "---\n"} {
			if _, err := Import(config.Source{Name: "x", Data: []byte(text)}, Options{From: from}); err == nil && from != "nginx" {
				t.Errorf("%q is imported as %q", text, from)
			}
		}
	}
}
