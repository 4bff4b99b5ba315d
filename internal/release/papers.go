package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// papers are the files of an archive beside the binary: man pages, completions,
// units, licences.
func papers(binary string) ([]paper, error) {
	list := []paper{}
	top, err := help(binary)
	if err != nil {
		return nil, err
	}
	names, shorts := subcommands(top)
	list = append(list, paper{"man/man1/gopura.1", manual("gopura", "an API gateway", top, names), 0o644})
	for _, name := range names {
		text, err := help(binary, name)
		if err != nil {
			return nil, err
		}
		list = append(list, paper{"man/man1/gopura-" + name + ".1", manual("gopura-"+name, shorts[name], text, names), 0o644})
	}
	for shell, file := range map[string]string{"bash": "gopura.bash", "zsh": "_gopura", "fish": "gopura.fish"} {
		out, err := exec.Command(binary, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion for %s: %w", shell, err)
		}
		list = append(list, paper{"completions/" + file, out, 0o644})
	}
	text, err := exec.Command("go", "run", "-tags", "grpcnotrace", "./internal/licences", "-text").Output()
	if err != nil {
		return nil, fmt.Errorf("licences: %w", err)
	}
	list = append(list, paper{"THIRD-PARTY.txt", text, 0o644})
	units, err := filepath.Glob("packaging/*.s[eo]*")
	if err != nil {
		return nil, err
	}
	for _, file := range append(units, "README.md", "SECURITY.md") {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		list = append(list, paper{strings.Replace(file, "packaging/", "systemd/", 1), body, 0o644})
	}
	slices.SortFunc(list, func(a, b paper) int { return cmp.Compare(a.name, b.name) })
	return list, nil
}

func help(binary string, command ...string) (string, error) {
	out, err := exec.Command(binary, append(command, "--help")...).Output()
	if err != nil {
		return "", fmt.Errorf("gopura %s --help: %w", strings.Join(command, " "), err)
	}
	return string(out), nil
}

// subcommands are the names in the help of the command as a whole, and what it
// says of each.
func subcommands(top string) (names []string, shorts map[string]string) {
	shorts = map[string]string{}
	_, list, _ := strings.Cut(top, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "help" && words[0] != "completion" {
			names = append(names, words[0])
			short := strings.Join(words[1:], " ")
			shorts[words[0]] = strings.ToLower(short[:1]) + short[1:]
		}
	}
	return names, shorts
}
