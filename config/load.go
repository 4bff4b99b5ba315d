package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxFiles is how many files of a folder are read.
const maxFiles = 1000

// Load reads a file, or all *.yaml and *.yml files of a folder in the order of
// their names, merged. The error is a *Problems when the content is at fault.
func Load(path string, opts Options) (*Document, error) {
	src, err := readSources(path)
	if err != nil {
		return nil, err
	}
	return Parse(src, opts)
}

func readSources(path string) ([]Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	names := []string{path}
	if info.IsDir() {
		if names, err = folder(path); err != nil {
			return nil, err
		}
	}
	var src []Source
	for _, name := range names {
		data, err := readSource(name)
		if err != nil {
			return nil, err
		}
		src = append(src, Source{name, data})
	}
	return src, nil
}

// folder returns the configuration files of a folder; hidden ones are none.
func folder(path string) ([]string, error) {
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		names = append(names, filepath.Join(path, e.Name()))
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%s: no *.yaml or *.yml file in this folder", path)
	case len(names) > maxFiles:
		return nil, fmt.Errorf("%s: more than %d files", path, maxFiles)
	}
	return names, nil
}

func readSource(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// readAll returns the merged map of all texts.
func readAll(src []Source, problems *Problems) *node {
	m := merger{root: &node{kind: mapping}, problems: problems, sections: make(map[string]*sectionIndex)}
	for i, s := range src {
		problems.source(s)
		if i == 0 {
			m.root.pos = Pos{File: s.Name}
		}
		switch n := readYAML(s, problems); {
		case n == nil || n.null():
		case n.kind != mapping:
			problems.add(Problem{Pos: n.pos, Message: fmt.Sprintf("expected a map of settings, got %v", n.kind)})
		default:
			for _, e := range n.entries {
				m.add(e)
			}
		}
	}
	return m.root
}

// merger joins the settings of several files: maps join, lists append;
// anything else may be set once.
type merger struct {
	root     *node
	problems *Problems
	sections map[string]*sectionIndex
}

// sectionIndex is a top-level key that has been seen.
type sectionIndex struct {
	at    int // its entry of the root
	value *node
	keys  map[string]Pos // of value, once a second file has joined
}

func (m *merger) add(e entry) {
	s := m.sections[e.key]
	switch {
	case s == nil:
		m.sections[e.key] = &sectionIndex{at: len(m.root.entries), value: e.value}
		m.root.entries = append(m.root.entries, e)
	case s.value.kind == list && e.value.kind == list:
		s.value.items = append(s.value.items, e.value.items...)
	case s.value.kind == mapping && e.value.kind == mapping:
		if s.keys == nil {
			s.keys = make(map[string]Pos)
			for _, inner := range s.value.entries {
				s.keys[inner.key] = inner.pos
			}
		}
		for _, inner := range e.value.entries {
			if before, set := s.keys[inner.key]; set {
				m.twice(join(e.key, inner.key), inner, before)
				continue
			}
			s.keys[inner.key] = inner.pos
			s.value.entries = append(s.value.entries, inner)
		}
	default:
		m.twice(e.key, e, m.root.entries[s.at].pos)
	}
}

func (m *merger) twice(path string, e entry, before Pos) {
	m.problems.add(Problem{Pos: e.pos, Path: path, Message: fmt.Sprintf("the key %s is set twice; first at %v", quote(e.key), before)})
}
