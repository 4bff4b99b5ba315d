package config

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite plan.txt and problems.txt of the golden tests")

// The policies of the tests: one of each way to describe settings.
type (
	headersSpec struct {
		Pos      Pos      `yaml:"-"`
		Request  editSpec `yaml:"request" doc:"Edits of the request."`
		Response editSpec `yaml:"response" doc:"Edits of the response."`
	}
	editSpec struct {
		Set    []Pair   `yaml:"set" doc:"Fields that replace."`
		Remove []string `yaml:"remove" one:"true" doc:"Fields that go."`
	}
	prefixSpec struct {
		Prefix string `yaml:"prefix" short:"true" required:"true" doc:"What the path loses."`
	}
	limitSpec struct {
		Rate Rate              `yaml:"rate" short:"true" required:"true" doc:"How often."`
		Key  string            `yaml:"key" default:"client.ip" doc:"Counted by what."`
		Mode string            `yaml:"mode" enum:"enforce,shadow" default:"enforce" doc:"Refuse, or only count."`
		Tags map[string]string `yaml:"tags" doc:"Labels."`
	}
)

func (p *prefixSpec) Check(at *At) {
	if !strings.HasPrefix(p.Prefix, "/") {
		at.Problem("prefix", "%s does not begin with /", at.Shown("prefix", p.Prefix))
	}
}

var testPolicies = []PolicyKind{
	{Name: "headers", New: func() any { return new(headersSpec) }, Doc: "Edits header fields."},
	{Name: "strip_prefix", New: func() any { return new(prefixSpec) }, Doc: "Takes a prefix off the path."},
	{Name: "max_body", New: func() any { return new(Size) }, Doc: "The largest request body."},
	{Name: "limit", New: func() any { return new(limitSpec) }, Doc: "How often a client may ask."},
}

type (
	tokenSpec struct {
		Pos    Pos    `yaml:"-"`
		Issuer string `yaml:"issuer" short:"true" required:"true" doc:"Who signs."`
		Secret Secret `yaml:"secret" doc:"What it signs with."`
	}
	nobodySpec struct {
		Pos Pos `yaml:"-"`
	}
)

var testIdentities = []PolicyKind{
	{Name: "token", New: func() any { return new(tokenSpec) }, Doc: "A signed token."},
	{Name: "nobody", New: func() any { return new(nobodySpec) }, Doc: "Anybody."},
}

// archive is a txtar archive: a comment, then files.
type archive struct {
	comment string
	files   []archiveFile
}

type archiveFile struct{ name, text string }

func readArchive(text string) *archive {
	a := new(archive)
	into := &a.comment
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(line, "-- ")
		if name, end := strings.CutSuffix(strings.TrimSpace(name), " --"); ok && end {
			a.files = append(a.files, archiveFile{name: name})
			into = &a.files[len(a.files)-1].text
			continue
		}
		*into += line
	}
	return a
}

func (a *archive) file(name string) string {
	for _, f := range a.files {
		if f.name == name {
			return f.text
		}
	}
	return ""
}

func (a *archive) set(name, text string) {
	for i := range a.files {
		if a.files[i].name == name {
			if a.files[i].text = text; text == "" {
				a.files = append(a.files[:i], a.files[i+1:]...)
			}
			return
		}
	}
	if text != "" {
		a.files = append(a.files, archiveFile{name, text})
	}
}

func (a *archive) String() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, f := range a.files {
		b.WriteString("-- " + f.name + " --\n" + f.text)
	}
	return b.String()
}

// options returns what a golden file gives besides YAML: the environment in
// env, everything else as files for ${file:…}.
func (a *archive) options() Options {
	return Options{
		Policies: testPolicies, Identities: testIdentities,
		Env: func(name string) (string, bool) {
			for line := range strings.Lines(a.file("env")) {
				if k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); k == name {
					return strings.ReplaceAll(v, `\n`, "\n"), true
				}
			}
			return "", false
		},
		ReadFile: func(path string) ([]byte, error) {
			for _, f := range a.files {
				if f.name == path {
					return []byte(f.text), nil
				}
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("no such file")}
		},
	}
}

func (a *archive) sources() (src []Source) {
	for _, f := range a.files {
		if strings.HasSuffix(f.name, ".yaml") {
			src = append(src, Source{f.name, []byte(f.text)})
		}
	}
	return src
}

// TestGolden reads each testdata/*.txtar: YAML in, the plan and the problems
// out. -update rewrites; a person reads the difference.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d golden files, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			a := readArchive(string(text))
			plan, problems := run(t, a)
			for _, out := range []archiveFile{{"plan.txt", plan}, {"problems.txt", problems}} {
				if *update {
					a.set(out.name, out.text)
				} else if want := a.file(out.name); out.text != want {
					t.Errorf("%s:\n%s\nwant:\n%s", out.name, out.text, want)
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(a.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// run parses an archive. Nothing that it returns holds a value of env.
func run(t *testing.T, a *archive) (plan, problems string) {
	opts := a.options()
	doc, err := Parse(a.sources(), opts)
	var list *Problems
	switch {
	case err == nil:
		plan, list = dump(doc, opts), doc.Problems()
	case !errors.As(err, &list):
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := list.Render(&b, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(a.file("env")) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if len(value) > 3 && strings.Contains(b.String()+list.Error(), value) && !strings.Contains(a.sources()[0].Name+string(a.sources()[0].Data), value) {
			t.Errorf("the problems show %q", value)
		}
	}
	return plan, b.String()
}
