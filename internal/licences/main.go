package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licences under which a module may be linked into the binary.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "ISC", "MPL-2.0", "CC0-1.0", "Unlicense", "OFL-1.1"}

func main() {
	text := flag.Bool("text", false, "write the texts of all licences to stdout")
	flag.Parse()
	if err := run(*text); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// module is something that is linked into the binary, and whose it is.
type module struct {
	path, version, dir string
	names              []string // of its licences
	files              []string
}

func run(text bool) error {
	list, err := linked()
	if err != nil {
		return err
	}
	var wrong []string
	for i := range list {
		m := &list[i]
		if err := m.look(); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
		switch {
		case len(m.names) == 0:
			wrong = append(wrong, m.path+" has no licence that is known")
		case slices.ContainsFunc(m.names, func(n string) bool { return !slices.Contains(allowed, n) }):
			wrong = append(wrong, m.path+" is under "+strings.Join(m.names, ", "))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not allowed in the binary:\n\t%s", strings.Join(wrong, "\n\t"))
	}
	if !text {
		fmt.Printf("licences: %d modules, all of them under %s\n", len(list), strings.Join(used(list), ", "))
		return nil
	}
	return write(list)
}

// linked returns the modules that packages of the binary are from, and Go.
func linked() ([]module, error) {
	out, err := exec.Command("go", "list", "-deps", "-tags", "grpcnotrace",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", "./cmd/gopura").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	root, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	goroot, version, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	list := []module{
		{path: "Go's standard library", version: version, dir: goroot},
		{path: "the console's scripts and typefaces", dir: "console/ui/vendor"},
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
			list = append(list, module{path: f[0], version: f[1], dir: f[2]})
		}
	}
	slices.SortFunc(list, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return slices.CompactFunc(list, func(a, b module) bool { return a.path == b.path }), nil
}

// look finds the licences at the root of a module.
func (m *module) look() error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		legal := strings.HasPrefix(name, "LICEN") || strings.HasPrefix(name, "COPYING") || strings.HasPrefix(name, "NOTICE")
		if e.IsDir() || !legal || strings.HasSuffix(name, ".GO") {
			continue
		}
		file := filepath.Join(m.dir, e.Name())
		body, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		m.files = append(m.files, file)
		for _, match := range licensecheck.Scan(body).Match {
			if !slices.Contains(m.names, match.ID) && !match.IsURL {
				m.names = append(m.names, match.ID)
			}
		}
	}
	return nil
}

func used(list []module) (names []string) {
	for _, m := range list {
		names = append(names, m.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// write writes every licence with the modules that are under that very text.
func write(list []module) error {
	whose := map[string][]string{}
	var texts []string
	for _, m := range list {
		for _, file := range m.files {
			body, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			t := strings.TrimSpace(string(body))
			if whose[t] == nil {
				texts = append(texts, t)
			}
			whose[t] = append(whose[t], strings.TrimSpace(m.path+" "+m.version))
		}
	}
	fmt.Println("What is linked into gopura beside its own code, and under which terms.")
	for _, t := range texts {
		fmt.Printf("\n%s\n%s\n\n%s\n", strings.Repeat("=", 78), strings.Join(whose[t], "\n"), t)
	}
	return nil
}
