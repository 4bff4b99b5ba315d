package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gopura/exchange"
)

// TestGeneratedPagesAreFresh fails when the code has changed and the pages of
// docs/reference have not.
func TestGeneratedPagesAreFresh(t *testing.T) {
	list, err := generated(root(t), gopura(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		have, err := os.ReadFile(filepath.Join(root(t), p.path))
		if err != nil {
			t.Errorf("%v: go run ./internal/docs", err)
		} else if string(have) != string(p.text) {
			t.Errorf("%s is not what the code says today: go run ./internal/docs", p.path)
		}
	}
}

// TestEveryCodeHasAdvice: an operator who meets a code finds what to do.
func TestEveryCodeHasAdvice(t *testing.T) {
	var anchors map[string]bool
	for _, d := range readPages(t) {
		if d.path == "docs/troubleshooting.md" {
			anchors = d.anchors()
		}
	}
	for _, c := range exchange.Codes {
		if !anchors[c.Name] {
			t.Errorf("docs/troubleshooting.md has no heading %s", c.Name)
		}
	}
}

// built builds the command, once, into the folder that TestMain made.
var built = sync.OnceValues(func() (string, error) {
	dir, err := moduleRoot()
	if err != nil {
		return "", err
	}
	return buildGopura(dir, workDir)
})

var workDir string

func TestMain(m *testing.M) {
	var err error
	if workDir, err = os.MkdirTemp("", "gopura-docs-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(workDir)
	os.Exit(code)
}

// gopura is the built command.
func gopura(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
