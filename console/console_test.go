package console

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	f := New()
	page := f.At(Root)
	if page == nil || page.Type != "text/html; charset=utf-8" || !strings.Contains(string(page.Body), "<title>Gopura console</title>") {
		t.Fatalf("%s is not the page", Root)
	}
	for _, absent := range []string{"", "/", "/console", "/console/index.html", "/console/ui/main.js", "/console//main.js", "/console/../console/main.js", "/console/vendor/", "/console/%6dain.js"} {
		if f.At(absent) != nil {
			t.Errorf("%q is served", absent)
		}
	}
	if a, b := f.At(Root+"main.js"), New().At(Root+"main.js"); a == nil || a.ETag != b.ETag || a.ETag == page.ETag {
		t.Error("an ETag is not that of the content")
	}
}

// what a file of the console refers to
var references = regexp.MustCompile(`(?:^|\n|})(?:import|export) ?(?:[{*][^'"\n]*?from *)?['"]([^'"\n]+)['"]|(?:src|href)="([^"#$]+)"|url\(([^)]+)\)`)

// TestComplete follows every reference: all lead to files that are here, none
// elsewhere.
func TestComplete(t *testing.T) {
	f := New()
	for name, file := range f.byPath {
		if strings.HasPrefix(name, Root+"vendor/licences") || strings.HasPrefix(file.Type, "font/") {
			continue
		}
		for _, m := range references.FindAllStringSubmatch(string(file.Body), -1) {
			ref := m[1] + m[2] + m[3]
			base := path.Dir(name)
			if name == Root || strings.HasSuffix(name, ".js") && m[2] != "" { // a template: of the page
				base = Root
			}
			if f.At(path.Join(base, ref)) == nil {
				t.Errorf("%s refers to %s, which is not here", name, ref)
			}
		}
	}
}

// TestNothingIsMarkup holds the sources to what the policy demands: text never
// becomes markup, and no code is made of text.
func TestNothingIsMarkup(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function|setAttribute\(['"]style|https?://[a-z]+\.[a-z]`)
	err := fs.WalkDir(os.DirFS("ui"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "vendor/") || !strings.HasSuffix(name, ".js") && !strings.HasSuffix(name, ".html") {
			return err
		}
		body, err := os.ReadFile(path.Join("ui", name))
		for i, line := range strings.Split(string(body), "\n") {
			if m := forbidden.FindString(line); m != "" {
				t.Errorf("ui/%s:%d: %s", name, i+1, m)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLicences are beside what they are of.
func TestLicences(t *testing.T) {
	text := string(New().At(Root + "vendor/licences.txt").Body)
	for _, what := range []string{"preact 11.2.0", "htm 3.1.1", "uplot 1.6.32", "The MIT License", "Apache License", "SIL Open Font License", "geist 5.3.0", "geist-mono 5.3.0"} {
		if !strings.Contains(text, what) {
			t.Errorf("licences.txt says nothing of %s", what)
		}
	}
}
