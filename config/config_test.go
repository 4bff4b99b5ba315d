package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func testOptions(env map[string]string) Options {
	return Options{Policies: testPolicies, Identities: testIdentities, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

var productionEnv = map[string]string{"GOPURA_TOKEN": "the-admin-token", "PARTNER_TOKEN": "the-partner-token", "STORE_SECRET": "the-secret-of-the-store-0123456789"}

// The production example parses without a warning, and is what it says.
func TestProduction(t *testing.T) {
	doc, err := Load("testdata/production.yaml", testOptions(productionEnv))
	if err != nil {
		var list *Problems
		if errors.As(err, &list) {
			list.Render(os.Stderr, false)
		}
		t.Fatal(err)
	}
	if list := doc.Problems().List; len(list) > 0 {
		t.Errorf("%v", list)
	}
	if len(doc.Services) < 12 || len(doc.Routes) < 30 {
		t.Errorf("%d services, %d routes", len(doc.Services), len(doc.Routes))
	}
	if doc.Admin.Token.Reveal() != "the-admin-token" || doc.Admin.Address != "127.0.0.1:9900" {
		t.Errorf("admin %+v", doc.Admin)
	}
	if s := doc.Services[4]; s.Name != "orders" || s.Retries.Attempts != 0 || s.Breaker == nil || len(s.Targets) != 2 {
		t.Errorf("orders, merged: %+v", s)
	}
}

// Every key of the document is used by the production example.
func TestProductionUsesEverything(t *testing.T) {
	text, err := os.ReadFile("testdata/production.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := newCatalog(Options{Policies: testPolicies, Identities: testIdentities})
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ = elem(typ); typ.Kind() == reflect.Slice; typ = elem(typ.Elem()) {
		}
		if typ.Kind() != reflect.Struct || isScalar(typ) || typ == reflect.TypeFor[Policy]() || seen[typ] {
			return
		}
		seen[typ] = true
		info := c.info(typ)
		for _, f := range info.fields {
			asShort := info.short != nil && info.short.index == f.index
			if !asShort && !bytes.Contains(text, []byte(f.key+":")) && !bytes.Contains(text, []byte(": "+f.key)) {
				t.Errorf("%s.%s is not used", info.name, f.key)
			}
			walk(f.typ)
		}
	}
	walk(reflect.TypeFor[Document]())
}

// The tags are complete: each key has a sentence, and each default, limit and
// word can be read by the decoder.
func TestDescriptor(t *testing.T) {
	c := newCatalog(Options{Policies: testPolicies, Identities: testIdentities})
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ = elem(typ); typ.Kind() == reflect.Slice; typ = elem(typ.Elem()) {
		}
		if typ.Kind() != reflect.Struct || isScalar(typ) || typ == reflect.TypeFor[Policy]() || seen[typ] {
			return
		}
		seen[typ] = true
		info := c.info(typ)
		for _, w := range info.words {
			if err := setScalar(reflect.New(typ).Elem().Field(w.index), w.text); err != nil {
				t.Errorf("%s: word %s: %v", info.name, w.word, err)
			}
		}
		for i := range info.fields {
			f := &info.fields[i]
			if f.doc == "" || !strings.HasSuffix(f.doc, ".") {
				t.Errorf("%s.%s has no sentence", info.name, f.key)
			}
			if f.hasDefault {
				problems := new(Problems)
				d := newDecoder(Options{}, problems, map[string]Pos{})
				d.value(defaultNode(f, Pos{}), reflect.New(f.typ).Elem(), f, f.key)
				for _, p := range problems.List {
					t.Errorf("%s: default: %v", info.name, p)
				}
			}
			for _, text := range []string{f.min, f.max} {
				if text != "" {
					limit(f.typ, text)
				}
			}
			walk(f.typ)
		}
	}
	walk(reflect.TypeFor[Document]())
	for _, k := range testPolicies {
		walk(reflect.TypeOf(k.New()))
	}
}

// golden compares with a file, which -update rewrites.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not fresh: run with -update (%v)", name, err)
	}
}

func TestReference(t *testing.T) {
	golden(t, "testdata/reference.md", Reference(testOptions(nil)))
}

func TestSchemaIsFresh(t *testing.T) {
	golden(t, "testdata/schema.json", Schema(testOptions(nil)))
}

// What the decoder accepts, the schema accepts.
func TestSchemaAccepts(t *testing.T) {
	check := compileSchema(t)
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		a := readArchive(string(text))
		if a.file("plan.txt") == "" {
			continue
		}
		for _, src := range a.sources() {
			if err := check(src.Data); err != nil {
				t.Errorf("%s: %s: %v", name, src.Name, err)
			}
		}
	}
	text, err := os.ReadFile("testdata/production.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := check(text); err != nil {
		t.Error(err)
	}
}

// What only one key is wrong with, the schema refuses, so that an editor
// underlines it.
func TestSchemaRefuses(t *testing.T) {
	check := compileSchema(t)
	for _, text := range []string{
		"lisen: :1",
		"listen: [a]",
		"limits: {fields: many}",
		"timeouts: {head: 5}",
		"timeouts: {head: 5 minutes}",
		"services: {a: {targets: [], balance: best}}",
		"services: {a: {}}",
		"routes: [{match: /, to: a, headrs: {}}]",
		"routes: [{match: /, limit: 5}]",
		"defaults: {nothing: 1}",
	} {
		if err := check([]byte(text)); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

func compileSchema(t *testing.T) func([]byte) error {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(testOptions(nil))))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text []byte) error {
		var v any
		if err := yaml.Load(text, &v); err != nil {
			if strings.Contains(err.Error(), "no documents") {
				return nil
			}
			return err
		}
		return compiled.Validate(plain(v))
	}
}

// plain returns a YAML value as JSON has it: keys are texts.
func plain(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any)
		for k, e := range v {
			m[fmt.Sprint(k)] = plain(e)
		}
		return m
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case string, bool, nil, int, float64:
	default:
		return fmt.Sprint(v)
	}
	return v
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("20.yaml", "routes: [{match: /b, to: app}]")
	write("10.yml", "listen: :8080\nadmin: {token: '${file:token}'}\nservices: {app: http://a:1}\nroutes: [{match: /a, to: app}]")
	write("token", "s3cr3t\n")
	write("notes.txt", "{{")
	write(".hidden.yaml", "{{")
	doc, err := Load(dir, testOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Routes) != 2 || doc.Routes[0].Name != "/a" || doc.Routes[1].Name != "/b" {
		t.Errorf("routes %+v", doc.Routes)
	}
	if doc.Admin.Token.Reveal() != "s3cr3t" {
		t.Error("a file is referred to relative to the configuration")
	}
	if got, want := doc.Routes[1].Pos.String(), filepath.Join(dir, "20.yaml")+":1:10"; got != want {
		t.Errorf("place %s, want %s", got, want)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "no *.yaml") {
		t.Errorf("an empty folder: %v", err)
	}
	write("30.yaml", strings.Repeat("#", maxFile+1))
	if _, err := Load(dir, testOptions(nil)); err == nil || !strings.Contains(err.Error(), "larger than 16MiB") {
		t.Errorf("a large file: %v", err)
	}
	write("30.yaml", "log: {level: '${file:big}'}")
	write("big", strings.Repeat("x", maxReferred+1))
	if _, err := Load(dir, testOptions(nil)); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("a large referred file: %v", err)
	}
}

// Whoever works with the document adds problems of the same form.
func TestDocumentProblems(t *testing.T) {
	doc, err := Parse([]Source{{"g.yaml", []byte("listen: :1\nservices:\n  app: http://${env:HOST}/\nroutes:\n  - match: /\n    to: app\n    limit: 3/s\n")}},
		testOptions(map[string]string{"HOST": "hidden.example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	if doc.Err() != nil {
		t.Fatal("no problem yet")
	}
	doc.Warn(Pos{}, "routes[0].to", "doubtful")
	if doc.Err() != nil {
		t.Error("a warning is no error")
	}
	doc.Problem(Pos{}, "routes[0].limit.rate", "too much")
	doc.Problem(doc.Services[0].Targets[0].Pos, "services.app", "can't connect to %s", doc.Services[0].Targets[0].URL)
	err = doc.Err()
	if err == nil {
		t.Fatal("problems are errors")
	}
	if got, want := err.Error(), "g.yaml:3:8: services.app: can't connect to *** (and one more problem)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var b bytes.Buffer
	doc.Problems().Render(&b, false)
	want := "g.yaml:3:8: error: services.app: can't connect to ***\n" +
		"    3 |   app: http://${env:HOST}/\n" +
		"      |        ^\n" +
		"g.yaml:7:12: error: routes[0].limit.rate: too much\n" +
		"    7 |     limit: 3/s\n" +
		"      |            ^\n" +
		"g.yaml:6:9: warning: routes[0].to: doubtful\n" +
		"    6 |     to: app\n" +
		"      |         ^\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
	b.Reset()
	doc.Problems().Render(&b, true)
	if !strings.Contains(b.String(), "\x1b[1;31merror\x1b[0m: ") {
		t.Errorf("no colour: %q", b.String())
	}
}

// Decode serves settings alone, such as those of one policy in its tests.
func TestDecode(t *testing.T) {
	var spec limitSpec
	if err := Decode(Source{"spec", []byte("{rate: 3/min}")}, &spec, Options{}); err != nil || spec.Rate.Count != 3 || spec.Key != "client.ip" {
		t.Errorf("%+v %v", spec, err)
	}
	var size Size
	if err := Decode(Source{"spec", []byte("1k")}, &size, Options{}); err != nil || size != 1024 {
		t.Errorf("%v %v", size, err)
	}
	if err := Decode(Source{"spec", []byte("{rat: 3/min}")}, &spec, Options{}); err == nil ||
		err.Error() != `spec:1:1: the key "rate" is missing (How often.) (and one more problem)` {
		t.Error(err)
	}
	if err := Decode(Source{"spec", nil}, &spec, Options{}); err == nil {
		t.Error("an empty text is no value")
	}
}

// A secret shows itself to nobody who does not ask for it.
func TestSecretIsHidden(t *testing.T) {
	type holder struct {
		S      Secret
		inner  Secret
		inside struct{ s Secret }
	}
	s := NewSecret("hunter2")
	h := holder{S: s, inner: s}
	h.inside.s = s
	marshalled, _ := json.Marshal(h)
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "s", s, "h", h, "p", &h)
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", h, h, h), fmt.Sprintf("%v %+v", &h, &h),
		string(marshalled), logged.String(),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("shown: %s", text)
		}
	}
	if s.Reveal() != "hunter2" || !(Secret{}).IsZero() || s.IsZero() {
		t.Error("a secret is what it is")
	}
}

// Redaction hides a secret however it got into a message, and nothing else.
func TestRedact(t *testing.T) {
	var s secrets
	for _, text := range []string{"hunter2", "hunter2-long", "a\"b\nc-second-line", "1", ""} {
		s.learn(text)
	}
	for _, c := range [][2]string{
		{"is hunter2 here", "is *** here"},
		{"hunter2-longer", "***er"},
		{fmt.Sprintf("%q", "a\"b\nc-second-line"), `"***"`},
		{"only c-second-line", "only ***"},
		{"10 of 1, x1", "10 of ***, x1"},
		{"nothing", "nothing"},
	} {
		if got := s.redact(c[0]); got != c[1] {
			t.Errorf("redact(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

// Problems have a bound, and what is past it is counted.
func TestProblemsAreBounded(t *testing.T) {
	text := "listen: :1\n"
	for i := range 2 * maxProblems {
		text += fmt.Sprintf("key%d: 1\n", i)
	}
	_, err := Parse([]Source{{"g.yaml", []byte(text)}}, Options{})
	var list *Problems
	if !errors.As(err, &list) || len(list.List) != maxProblems {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "and 999 more problems") {
		t.Error(err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"url", "weight", "least_requests", "to"}
	for _, c := range [][2]string{
		{"ulr", "url"}, {"URL", "url"}, {"wieght", "weight"}, {"least-request", "least_requests"}, {"too", "to"},
		{"something", ""}, {"", ""}, {strings.Repeat("x", 100), ""}, {"ö", ""},
	} {
		if got := nearest(c[0], known); got != c[1] {
			t.Errorf("nearest(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

// FuzzParse: no text makes Parse panic, run long, or show a secret.
func FuzzParse(f *testing.F) {
	if !flag.Parsed() {
		flag.Parse()
	}
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			for _, src := range readArchive(string(text)).sources() {
				if len(src.Data) < 4<<10 {
					f.Add(src.Data)
				}
			}
		}
	}
	if text, err := os.ReadFile("testdata/production.yaml"); err == nil {
		f.Add(text)
	}
	const secret = "Zq9-secret"
	opts := Options{Policies: testPolicies, Identities: testIdentities, Env: func(string) (string, bool) { return secret, true },
		ReadFile: func(string) ([]byte, error) { return []byte(secret), nil }}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Parse([]Source{{"g.yaml", text}}, opts)
		var list *Problems
		switch {
		case err == nil:
			list = doc.Problems()
			dump(doc, opts)
		case !errors.As(err, &list):
			t.Fatalf("%T is no *Problems", err)
		case len(list.List) == 0:
			t.Fatal("an error without a problem")
		}
		var b bytes.Buffer
		list.Render(&b, false)
		if strings.Contains(b.String()+list.Error(), secret) && !bytes.Contains(text, []byte(secret)) {
			t.Fatalf("a secret is shown:\n%s", &b)
		}
		if bytes.ContainsAny(b.Bytes(), "\x1b\x00") {
			t.Fatalf("a control character is shown: %q", &b)
		}
		for _, p := range list.List {
			if p.Pos.File != "g.yaml" || p.Message == "" {
				t.Fatalf("a problem without place or message: %+v", p)
			}
		}
	})
}

// BenchmarkParse is what a reload costs: ten thousand routes.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("listen: :8080\nservices:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "  s%d: {targets: [http://10.0.0.1:%d, http://10.0.0.2:%d], health: /up}\n", i, i+1, i+1)
	}
	text.WriteString("routes:\n")
	for i := range 10000 {
		fmt.Fprintf(&text, "  - match: GET /r%d/{id}\n    to: s%d\n    limit: 10/s\n", i, i%1000)
	}
	src := []Source{{"g.yaml", []byte(text.String())}}
	b.ReportAllocs()
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := Parse(src, testOptions(nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// Hostile texts end, in a time that grows with their length: a quadratic step
// would show.
func TestHostileTexts(t *testing.T) {
	const length = 1 << 16
	times := func(unit string) string { return strings.Repeat(unit, length/len(unit)) }
	count := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < length; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const route = "listen: :1\nroutes:\n  - {match: /, answer: 200}\n"
	for name, text := range map[string]string{
		"list":       "listen: [" + times("a,") + "]",
		"services":   "listen: :1\nservices:\n" + count("  s%d: http://a:1\n"),
		"targets":    "listen: :1\nservices: {a: [" + count("'http://a%d:1',") + "]}",
		"duplicates": "listen: :1\n" + times("a: b\n"),
		"brackets":   "a: " + times("["),
		"braces":     "a: " + times("{a: "),
		"dashes":     times("- "),
		"long":       "listen: " + times("x"),
		"open":       "listen: " + times("${"),
		"references": "listen: " + times("${env:A}"),
		"routes":     "listen: :1\nroutes:\n" + count("  - {match: '/${env:A%d}', answer: 200, limit: x}\n"),
		"json":       "listen: :1\nroutes: [{match: /, answer: {json: [" + times("1,") + "]}}]",
		"anchors":    "a: [" + times("&a x,*a,") + "]",
		"uses":       route + "    \n  - {match: /a, answer: 200, use: [" + count("b%d,") + "]}",
		"methods":    "listen: :1\nroutes: [{match: '" + times("G|") + "G /', answer: 200}]",
		"hosts":      "listen: :1\nroutes: [{match: {host: [" + count("a%d,") + "]}, answer: 200}]",
		"regexp":     "listen: :1\nroutes: [{match: {regexp: '" + times("(a{1000})") + "'}, answer: 200}]",
		"spaces":     times(" ") + "a: b",
		"unknown":    "listen: :1\n" + count("k%d: 1\n"),
		"comments":   times("#\n"),
	} {
		n := 0

		opts := Options{Policies: testPolicies, Identities: testIdentities, Env: func(name string) (string, bool) { n++; return fmt.Sprintf("value-%s-%d", name, n), true }}
		_, err := Parse([]Source{{"g.yaml", []byte(text)}}, opts)
		var list *Problems
		if err != nil && !errors.As(err, &list) {
			t.Errorf("%s: %v", name, err)
		}
		if list != nil && len(list.Error()) > 2*maxMessage {
			t.Errorf("%s: a message of %d bytes", name, len(list.Error()))
		}
	}
}
