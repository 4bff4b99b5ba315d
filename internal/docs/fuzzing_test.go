package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryFuzzTargetIsTold holds the table of docs/security/fuzzing.md against the
// code: every target of the tree stands in it once, and what stands in it is there.
func TestEveryFuzzTargetIsTold(t *testing.T) {
	root := "../.."
	there := map[string]bool{}
	define := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range define.FindAllSubmatch(text, -1) {
			file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			name := strings.TrimSuffix(file.Name.Name, "_test")
			if name == "main" {
				name = filepath.Base(filepath.Dir(path))
			}
			there[name+"."+string(m[1])] = true
		}
		return nil
	})
	if err != nil || len(there) < 50 {
		t.Fatalf("%d targets: %v", len(there), err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/security/fuzzing.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, line := range strings.Split(string(page), "\n") {
		if strings.Count(line, "|") != 5 {
			continue // no row of the four columns of parsers
		}
		for _, m := range regexp.MustCompile("`(\\w+\\.Fuzz\\w+)`").FindAllStringSubmatch(line, -1) {
			switch name := m[1]; {
			case !there[name]:
				t.Errorf("%s is told, and is not there", name)
			case told[name]:
				t.Errorf("%s is told twice", name)
			default:
				told[name] = true
			}
		}
	}
	for name := range there {
		if !told[name] {
			t.Errorf("%s is not told: docs/security/fuzzing.md says what reads which bytes, and what must hold", name)
		}
	}
}
