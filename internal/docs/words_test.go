package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopura/config"
	"gopura/expr"
	"gopura/gateway"
	"gopura/policy"
	"gopura/telemetry"
)

// TestCommandsExist: every gopura subcommand and flag that a page names is one.
func TestCommandsExist(t *testing.T) {
	flags := commandFlags(t)
	for _, d := range writtenPages(t) {
		for _, l := range commandLines(d) {
			for _, call := range calls(l.text, "gopura") {
				checkCall(t, d, l, call, flags)
			}
		}
		for _, s := range d.spans() {
			if m := regexp.MustCompile(`^(--[a-z][a-z-]*)( |=|$)`).FindStringSubmatch(s.text); m != nil {
				known := false
				for _, list := range flags {
					known = known || slices.Contains(list, m[1])
				}
				if !known {
					t.Errorf("%s:%d: no subcommand has the flag %s", d.path, s.number, m[1])
				}
			}
		}
	}
}

func checkCall(t *testing.T, d document, l line, call []string, flags map[string][]string) {
	t.Helper()
	if len(call) == 0 || strings.HasPrefix(call[0], "-") {
		return
	}
	list, ok := flags[call[0]]
	if !ok {
		t.Errorf("%s:%d: there is no gopura %s", d.path, l.number, call[0])
		return
	}
	for _, word := range call[1:] {
		name, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(name, "-") && len(name) > 1 && !slices.Contains(list, name) {
			t.Errorf("%s:%d: gopura %s has no flag %s", d.path, l.number, call[0], name)
		}
	}
}

// commandFlags returns the flags of each subcommand, from its help.
func commandFlags(t *testing.T) map[string][]string {
	t.Helper()
	top, err := help(gopura(t))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{"help": nil}
	for _, name := range subcommands(top) {
		text, err := help(gopura(t), name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = flagsIn(text)
		for _, below := range subcommands(text) {
			if text, err := help(gopura(t), name, below); err == nil {
				all[name] = append(all[name], flagsIn(text)...)
			}
		}
	}
	return all
}

func flagsIn(help string) (flags []string) {
	_, text, _ := strings.Cut(help, "\nFlags:\n")
	for _, f := range regexp.MustCompile(`(?m)(?:^|\s)(--?[a-zA-Z][a-z-]*)`).FindAllString(text, -1) {
		flags = append(flags, strings.TrimSpace(f))
	}
	return flags
}

// commandLines are the lines that could be typed: spans, and blocks of
// commands.
func commandLines(d document) []line {
	list := d.spans()
	for _, b := range d.blocks {
		switch b.language {
		case "console":
			for _, c := range b.commands() {
				list = append(list, line{c.line, c.text})
			}
		case "sh", "ini":
			list = append(list, b.lines...)
		}
	}
	return list
}

// calls returns the words after each call of a program in a line.
func calls(text, program string) (list [][]string) {
	if i := strings.Index(" "+text, " #"); i >= 0 {
		text = text[:i] // a comment
	}
	for _, part := range regexp.MustCompile(`&&|\|\||[|;&]|\$\(|=`).Split(text, -1) {
		words := strings.Fields(part)
		for len(words) > 0 && (words[0] == "sudo" || words[0] == "exec") {
			words = words[1:]
		}
		if len(words) > 0 && filepath.Base(words[0]) == program && (words[0] == program || strings.Contains(words[0], "bin/")) {
			list = append(list, words[1:])
		}
	}
	return list
}

// TestMakeTargetsExist: every chore that a page names is one.
func TestMakeTargetsExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(text), -1) {
		targets[m[1]] = true
	}
	for _, d := range writtenPages(t) {
		for _, l := range commandLines(d) {
			for _, call := range calls(l.text, "make") {
				if len(call) > 0 && !targets[call[0]] {
					t.Errorf("%s:%d: there is no make %s", d.path, l.number, call[0])
				}
			}
		}
	}
}

// TestMetricsExist: every gopura_… that a page names is a metric.
func TestMetricsExist(t *testing.T) {
	known := map[string]bool{"gopura_target": true} // the cookie
	for _, m := range telemetry.Names() {
		known[m.Name] = true
		if m.Kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[m.Name+suffix] = true
			}
		}
	}
	metric := regexp.MustCompile(`\bgopura_[a-z_]+\b`)
	for _, d := range writtenPages(t) {
		lines := d.prose
		for _, b := range d.blocks {
			lines = append(lines, b.lines...)
		}
		for _, l := range lines {
			for _, name := range metric.FindAllString(l.text, -1) {
				if !known[name] {
					t.Errorf("%s:%d: there is no metric %s", d.path, l.number, name)
				}
			}
		}
	}
}

// TestKeysExist: every dotted key of the configuration (`shutdown.grace`) and
// every fact (`client.ip`) that a page names is one.
func TestKeysExist(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(config.Schema(gateway.ConfigOptions()), &schema); err != nil {
		t.Fatal(err)
	}
	s := schemaWalk{defs: schema["$defs"].(map[string]any)}
	facts := map[string]bool{}
	for _, f := range expr.Facts() {
		facts[f.Name] = true
		name, _, dotted := strings.Cut(f.Name, ".")
		if facts[name] = facts[name] || dotted; !dotted {
			facts[name+".*"] = true // any key
		}
	}
	starts := []any{schema, s.defs["Service"], s.defs["Route"]} // `retries.on` is within a service
	dotted := regexp.MustCompile(`^[a-z_]+(\.[a-z_0-9]+)+$`)
	for _, d := range writtenPages(t) {
		for _, span := range d.spans() {
			words := strings.Split(span.text, ".")
			if !dotted.MatchString(span.text) || slices.Contains([]string{"go", "yaml", "md", "json", "svg", "key", "crt", "txt"}, words[len(words)-1]) {
				continue
			}
			begins, known := facts[words[0]], facts[span.text] || facts[words[0]+".*"]
			for _, start := range starts {
				begins = begins || s.has(start, words[:1])
				known = known || s.has(start, words)
			}
			for _, start := range []string{"Service", "Route", "Listener"} { // `service.retries`
				if strings.EqualFold(words[0], start) {
					begins, known = true, known || s.has(s.defs[start], words[1:])
				}
			}
			if begins && !known {
				t.Errorf("%s:%d: %s is neither a key of the configuration nor a fact", d.path, span.number, span.text)
			}
		}
	}
}

type schemaWalk struct{ defs map[string]any }

// has reports whether a schema, in any of its forms, has properties that lead
// along the words.
func (s schemaWalk) has(schema any, words []string) bool {
	if len(words) == 0 {
		return true
	}
	m, ok := schema.(map[string]any)
	if !ok {
		return false
	}
	if name, ok := m["$ref"].(string); ok && s.has(s.defs[strings.TrimPrefix(name, "#/$defs/")], words) {
		return true
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		list, _ := m[key].([]any)
		for _, form := range list {
			if s.has(form, words) {
				return true
			}
		}
	}
	if s.has(m["items"], words) || s.has(m["additionalProperties"], words) {
		return true
	}
	properties, _ := m["properties"].(map[string]any)
	next, ok := properties[words[0]]
	return ok && s.has(next, words[1:])
}

// TestFilesExist: every file of the project that a page names is there.
func TestFilesExist(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for dir := range strings.Lines(string(out)) {
		rel, _ := filepath.Rel(root(t), strings.TrimSpace(dir))
		folders = append(folders, rel)
	}
	file := regexp.MustCompile(`^(?:[a-z0-9]+/)*[a-z0-9_]+(?:_test)?\.go$`)
	path := regexp.MustCompile(`^(?:\./)?((?:[a-z0-9]+/)+)\*?$`)
	for _, d := range writtenPages(t) {
		for _, s := range d.spans() {
			switch {
			case file.MatchString(s.text):
				found := slices.ContainsFunc(append(folders, ""), func(dir string) bool {
					_, err := os.Stat(filepath.Join(root(t), dir, s.text))
					return err == nil
				})
				if !found {
					t.Errorf("%s:%d: there is no file %s", d.path, s.number, s.text)
				}
			case path.MatchString(s.text):
				if _, err := os.Stat(filepath.Join(root(t), path.FindStringSubmatch(s.text)[1])); err != nil {
					t.Errorf("%s:%d: there is no folder %s", d.path, s.number, s.text)
				}
			}
		}
	}
}

// TestPoliciesAreNamed: every policy stands on some page of the guides.
func TestPoliciesAreNamed(t *testing.T) {
	named := map[string]bool{}
	for _, d := range writtenPages(t) {
		for _, s := range d.spans() {
			if strings.HasPrefix(d.path, "docs/") {
				named[s.text] = true
			}
		}
	}
	for _, k := range policy.Kinds {
		if !named[k.Name] {
			t.Errorf("no page of docs/ names the policy `%s`", k.Name)
		}
	}
}
