package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)

// later are pages that appear only when somebody makes them.
var later = map[string]string{"docs/benchmarks.md": "make bench"}

// TestLinksResolve follows the links between pages, to files and to headings.
func TestLinksResolve(t *testing.T) {
	pages := map[string]document{}
	for _, d := range readPages(t) {
		pages[d.path] = d
	}
	for _, d := range pages {
		for _, l := range d.prose {
			for _, m := range linkPattern.FindAllStringSubmatch(l.text, -1) {
				target, fragment, _ := strings.Cut(m[1]+m[2], "#")
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				file := d.path
				if target != "" {
					file = path.Join(path.Dir(d.path), target)
				}
				if _, err := os.Stat(filepath.Join(root(t), file)); err != nil {
					if later[file] == "" {
						t.Errorf("%s:%d: there is no %s", d.path, l.number, file)
					}
					continue
				}
				if other, ok := pages[file]; ok && fragment != "" && !other.anchors()[fragment] {
					t.Errorf("%s:%d: %s has no heading #%s", d.path, l.number, file, fragment)
				}
			}
		}
	}
}

// TestPagesAreReached: every page is linked from another, so that a reader of
// the README finds it.
func TestPagesAreReached(t *testing.T) {
	reached := map[string]bool{"README.md": true}
	pages := readPages(t)
	for _, d := range pages {
		for _, l := range d.prose {
			for _, m := range linkPattern.FindAllStringSubmatch(l.text, -1) {
				target, _, _ := strings.Cut(m[1]+m[2], "#")
				if file := path.Join(path.Dir(d.path), target); target != "" && file != d.path {
					reached[file] = true
				}
			}
		}
	}
	for _, d := range pages {
		if !reached[d.path] {
			t.Errorf("no page links to %s", d.path)
		}
	}
}
