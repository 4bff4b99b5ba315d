package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const packagesHead = `# Packages

` + note + `

What each package does, in the first sentence of its documentation, and which packages of ours it may import: the import law
of ` + "`deps_test.go`" + `, which a test enforces. The whole story is on the page [architecture](../architecture.md#packages).

| package | | may import |
|---|---|---|
`

var (
	lawTable = regexp.MustCompile(`(?s)var law = map\[string\]string\{\n(.*?)\n}`)
	lawRow   = regexp.MustCompile(`(?m)^\t"([a-z0-9/]+)":\s+"([a-z0-9/ ]*)"`)
)

// packages returns the page of the packages of the module at root.
func packages(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, "deps_test.go"))
	if err != nil {
		return nil, err
	}
	table := lawTable.FindSubmatch(text)
	if table == nil {
		return nil, errors.New("deps_test.go: the import law is not where it was")
	}
	var b bytes.Buffer
	b.WriteString(packagesHead)
	for _, m := range lawRow.FindAllSubmatch(table[1], -1) {
		name := string(m[1])
		is, err := synopsis(root, name)
		if err != nil {
			return nil, err
		}
		may := "nothing of ours"
		if words := strings.Fields(string(m[2])); len(words) > 0 {
			may = "`" + strings.Join(words, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, cell(is), may)
	}
	b.WriteString("\nTools, which no package may import:\n\n| package | |\n|---|---|\n")
	tools, err := filepath.Glob(filepath.Join(root, "internal", "*", "doc.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range tools {
		name := "internal/" + filepath.Base(filepath.Dir(path))
		is, err := synopsis(root, name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, cell(is))
	}
	return b.Bytes(), nil
}

// synopsis is the first sentence of a package's documentation.
func synopsis(root, name string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(name), "*.go"))
	if err != nil {
		return "", err
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return "", err
		}
		if f.Doc != nil && !strings.HasSuffix(path, "_test.go") {
			text := new(doc.Package).Synopsis(f.Doc.Text())
			words := strings.SplitN(text, " ", 3) // Package name …
			return words[len(words)-1], nil
		}
	}
	return "", fmt.Errorf("package %s has no documentation", name)
}
