package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestLessonsNameTests sees to it that the tests which a page of docs/security
// calls as witnesses exist.
func TestLessonsNameTests(t *testing.T) {
	root := "../.."
	tests := map[string]bool{}
	def := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	files, err := filepath.Glob(filepath.Join(root, "*/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob(filepath.Join(root, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(root, "*/*/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Concat(files, top, deeper) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range def.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs/security/*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	witness := regexp.MustCompile("`(Test\\w+|[\\w-]+\\.txt)`")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range witness.FindAllSubmatch(text, -1) {
			name := string(m[1])
			if filepath.Ext(name) == ".txt" {
				if _, err := os.Stat(filepath.Join(root, "gateway/testdata/script", name)); err != nil {
					t.Errorf("%s names %s, which is no script", filepath.Base(page), name)
				}
			} else if !tests[name] {
				t.Errorf("%s names %s, which is no test", filepath.Base(page), name)
			}
		}
	}
}
