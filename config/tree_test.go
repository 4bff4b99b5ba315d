package config

import (
	"encoding/json"
	"testing"
)

// A text in YAML and the same in JSON are one tree, each with its own places.
func TestTree(t *testing.T) {
	yaml := Source{"a.yaml", []byte("a: &x {n: 1.5, t: yes}\nb: [*x, null, 'é']\n")}
	text := Source{"a.json", []byte("{\"a\": {\"n\": 1.5, \"t\": \"yes\"},\n\t\"b\": [{\"n\": 1.5, \"t\": \"yes\"}, null, \"é\"]}")}
	var values []string
	for _, src := range []Source{yaml, text} {
		tree, err := ReadTree(src)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(tree.Value())
		values = append(values, string(b))
		if p := tree.Get("b").Pos.Line; p != 2 {
			t.Errorf("%s: b is in line %d", src.Name, p)
		}
		if got := tree.List("b")[2]; got.Text != "é" || got.Pos.Col < 5 {
			t.Errorf("%s: the last is %q at %v", src.Name, got.Text, got.Pos)
		}
		if tree.Get("b", "a", "c") != nil || tree.String("a", "n") != "1.5" || tree.Get("c").IsMap() {
			t.Errorf("%s: what is not there", src.Name)
		}
	}
	if values[0] != values[1] {
		t.Errorf("%s\n%s", values[0], values[1])
	}
	for _, wrong := range []string{`{"a": 1, "a": 2}`, `{"a": }`, `{} {}`, `{"a": [1}`, "{\"a\": \"\xff\"}"} {
		if _, err := ReadTree(Source{"x.json", []byte(wrong)}); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": null}], "c": "\u00e9"}`))
	f.Add([]byte("a: &a [1, *a]\n"))
	f.Add([]byte("a:\n  - b: c\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range []string{"x.yaml", "x.json"} {
			tree, err := ReadTree(Source{name, text})
			if err == nil {
				tree.Value()
			}
		}
	})
}
