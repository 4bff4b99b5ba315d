package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run writes the generated pages below the root of the module.
func run() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gopura-docs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := buildGopura(root, dir)
	if err != nil {
		return err
	}
	list, err := generated(root, binary)
	if err != nil {
		return err
	}
	for _, p := range list {
		path := filepath.Join(root, filepath.FromSlash(p.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if old, err := os.ReadFile(path); err == nil && string(old) == string(p.text) {
			continue
		}
		if err := os.WriteFile(path, p.text, 0o644); err != nil {
			return err
		}
		fmt.Println("wrote", p.path)
	}
	return nil
}

// moduleRoot is the folder above this one that has the go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in this folder or above it")
		}
		dir = parent
	}
}
