package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const orderSchema = `{type: object, required: [sku, count], additionalProperties: false, properties: {
  sku: {type: string, pattern: "^[a-z]+$"}, count: {type: integer, minimum: 1, maximum: 100},
  mail: {type: string, format: email}, price: {type: number}, items: {type: array, uniqueItems: true, items: {type: object, required: [id], properties: {id: {type: integer}}}}}}`

// flawsOf is what a client is told: "#/count minimum; …".
func flawsOf(err error) string {
	var list []string
	for _, f := range exchange.AsError(err).Flaws {
		list = append(list, f.Pointer+" "+f.Detail)
	}
	return strings.Join(list, "; ")
}

func TestValidateBody(t *testing.T) {
	spec := decoded(t, "validate: { body: { schema: "+strings.ReplaceAll(orderSchema, "\n", " ")+" }, max_body: 1KiB }")
	for _, c := range []struct {
		name, body string
		want       string // flaws; "": it passes
	}{
		{"right", `{"sku":"tea","count":2}`, ""},
		{"right, spaced", " {\n \"sku\" : \"tea\", \"count\" : 2.0 }\r\n", ""},
		{"digits", `{"sku":"tea","count":1,"price":0.1000000000000000055511151231257827021181583404541015625}`, ""},
		{"too small", `{"sku":"tea","count":0}`, "#/count minimum"},
		{"a text for a number", `{"sku":"tea","count":"2"}`, "#/count type: integer"},
		{"missing", `{"sku":"tea"}`, "#/count required"},
		{"unknown member", `{"sku":"tea","count":1,"secret-member":1}`, "# additionalProperties"},
		{"pattern", `{"sku":"Secret7","count":1}`, "#/sku pattern"},
		{"format", `{"sku":"tea","count":1,"mail":"secret@@"}`, "#/mail format: email"},
		{"deep", `{"sku":"tea","count":1,"items":[{"id":1},{"id":"secret"}]}`, "#/items/1/id type: integer"},
		{"several", `{"sku":"7","count":1000,"items":[{}]}`, "#/count maximum; #/items/0/id required; #/sku pattern"},
		{"same number", `{"sku":"tea","count":1,"items":[{"id":1},{"id":1.0}]}`, "#/items uniqueItems"},
		{"another type", `[]`, "# type: object"},
		{"null", `null`, "# type: object"},
		{"member twice", `{"sku":"tea","count":1,"count":2}`, "# a member is there twice, at byte 30"},
		{"member twice, escaped", `{"sku":"tea","count":1,"\u0063ount":2}`, "# a member is there twice, at byte 35"},
		{"member twice, below", `{"sku":"tea","count":1,"items":[{"id":1,"id":2}]}`, "# a member is there twice, at byte 44"},
		{"two values", `{"sku":"tea","count":1}{}`, "# more than one value"},
		{"cut off", `{"sku":"tea","count":1`, "# not JSON, at byte 22"},
		{"empty", ` `, "# not JSON, at byte 0"},
		{"a comment", `{"sku":"tea","count":1/**/}`, "# not JSON, at byte 22"},
		{"not UTF-8", "{\"sku\":\"\xff\",\"count\":1}", "# not UTF-8"},
		{"too deep", `{"sku":"tea","count":1,"items":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "# deeper than 64"},
		{"a number of gigabytes", `{"sku":"tea","count":1e999999999}`, "# a number with an exponent beyond 400"},
		{"… the other way", `{"sku":"tea","count":1,"price":1e-999999999}`, "# a number with an exponent beyond 400"},
		{"a long number", `{"sku":"tea","count":1,"price":` + strings.Repeat("1", 101) + `}`, "# a number of more than 100 digits"},
	} {
		for _, streamed := range []bool{false, true} {
			x := posting(c.body)
			if streamed {
				x.Request.Body = &pieces{list: strings.SplitAfter(c.body, ",")}
			}
			got := ""
			link, err := spec.Compile(newEnv(t))
			if err != nil {
				t.Fatal(err)
			}
			err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
				b, err := exchange.ReadAll(x.Request.Body, 1<<20)
				got = string(b)
				return err
			})).Serve(x)
			if c.want == "" {
				if err != nil || got != c.body { // the very bytes
					t.Errorf("%s: %v (%s), the service got %q", c.name, err, flawsOf(err), got)
				}
				continue
			}
			if !exchange.RequestInvalid.Is(err) || flawsOf(err) != c.want || got != "" {
				t.Errorf("%s: %v: %s; want %s", c.name, err, flawsOf(err), c.want)
			}
			if strings.Contains(strings.ToLower(fmt.Sprint(err)+flawsOf(err)), "secret") {
				t.Errorf("%s: the answer repeats a value: %v %s", c.name, err, flawsOf(err))
			}
		}
	}
}

func TestValidateRefusesWhatItCanNotRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   exchange.Body
		fields []string
		want   string
	}{
		{"no body", exchange.NoBody, []string{"Content-Type: application/json"}, "request_invalid"},
		{"an empty body of unknown length", &pieces{}, []string{"Content-Type: application/json"}, "request_invalid"},
		{"no type", exchange.BytesBody([]byte(`1`)), nil, "media_type_unsupported"},
		{"another type", exchange.BytesBody([]byte(`1`)), []string{"Content-Type: text/plain"}, "media_type_unsupported"},
		{"two types", exchange.BytesBody([]byte(`1`)), []string{"Content-Type: application/json", "Content-Type: application/json"}, "media_type_unsupported"},
		{"compressed", exchange.BytesBody([]byte(`1`)), []string{"Content-Type: application/json", "Content-Encoding: gzip"}, "media_type_unsupported"},
		{"a type that ends so", exchange.BytesBody([]byte(`1`)), []string{"Content-Type: application/vnd.a+json"}, ""},
		{"too large", exchange.BytesBody([]byte(strings.Repeat(" ", 20) + "1")), []string{"Content-Type: application/json"}, "body_too_large"},
		{"too large, streamed", &pieces{list: []string{strings.Repeat(" ", 16), "1"}}, []string{"Content-Type: application/json"}, "body_too_large"},
		{"as large as it may be, streamed", &pieces{list: []string{strings.Repeat(" ", 15), "1"}}, []string{"Content-Type: application/json"}, ""},
	} {
		x := newExchange("/")
		x.Request.Method, x.Request.Body = "POST", c.body
		for _, f := range c.fields {
			name, value, _ := strings.Cut(f, ": ")
			x.Request.Header.Add(name, value)
		}
		spec := &Validate{Body: &SchemaSpec{Schema: map[string]any{"type": "integer"}}, MaxBody: 16}
		if got := code(t, newEnv(t), spec, x); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, body := range []exchange.Body{exchange.NoBody, &pieces{}} {
		x := posting("")
		x.Request.Body = body
		if got := code(t, newEnv(t), &Validate{Body: &SchemaSpec{Schema: map[string]any{"type": "integer"}}, Optional: true}, x); got != "" {
			t.Errorf("an optional body: %q", got)
		}
	}
}

// In shadow mode the service gets all of a body that was too large to be read.
func TestValidateInShadowLosesNothing(t *testing.T) {
	want := strings.Repeat("a", 40)
	for _, body := range []exchange.Body{exchange.BytesBody([]byte(want)), &pieces{list: strings.SplitAfter(want, "aaa")}} {
		x := posting("")
		x.Request.Body = body
		link, err := (&Validate{Body: &SchemaSpec{Schema: true}, MaxBody: 16, Mode: shadow}).Compile(newEnv(t))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
			b, err := exchange.ReadAll(x.Request.Body, 1<<20)
			got = string(b)
			return err
		})).Serve(x)
		if err != nil || got != want {
			t.Errorf("%v, %q", err, got)
		}
	}
}

func TestValidateQuery(t *testing.T) {
	spec := decoded(t, `validate: { query: { schema: {type: object, required: [q], additionalProperties: false, properties: {q: {type: string, maxLength: 5}, page: {type: integer, minimum: 1}, all: {type: boolean}, ratio: {type: [number, "null"]}, tag: {type: array, maxItems: 2, items: {type: integer}}, "a[]": {type: string}}} } }`)
	for query, want := range map[string]string{
		"q=tea":                      "",
		"q=tea&page=2&all=true":      "",
		"q=7":                        "", // stays a text
		"q=t%65a&&":                  "",
		"q=tea&ratio=1e2":            "",
		"q=tea&tag=1&tag=2":          "",
		"q=tea&tag=1":                "",
		"q=tea&a[]=1":                "",
		"q=tea&tag=x":                "#query/tag/0 type: integer",
		"q=tea&tag=1&tag=2&tag=3":    "#query/tag maxItems",
		"q=tea&page=0":               "#query/page minimum",
		"q=tea&page=two":             "#query/page type: integer",
		"q=tea&page=+2":              "#query/page type: integer",
		"q=tea&page=0x2":             "#query/page type: integer",
		"q=tea&page=1e99999999":      "#query/page type: integer",
		"q=tea&page=":                "#query/page type: integer",
		"q=tea&all=1":                "#query/all type: boolean",
		"q=tea&q=coffee":             "#query/q type: string", // one of them would not have been checked
		"q=tea&%71=coffee":           "#query/q type: string",
		"q=teapot":                   "#query/q maxLength",
		"q=tea&secret=1":             "#query additionalProperties",
		"":                           "#query/q required",
		"page=1":                     "#query/q required",
		"q=%zz":                      "#query not percent-encoded UTF-8",
		"q=%ff":                      "#query not percent-encoded UTF-8",
		"q=%":                        "#query not percent-encoded UTF-8",
		strings.Repeat("a=1&", 1001): "#query more than 1000 parameters",
	} {
		if _, err := serve(t, newEnv(t), spec, newExchange("/?"+query)); flawsOf2(err) != want {
			t.Errorf("%.40s: %s; want %s", query, flawsOf2(err), want)
		}
	}
}

func flawsOf2(err error) string {
	if err == nil {
		return ""
	}
	return flawsOf(err)
}

func TestValidateHeaders(t *testing.T) {
	spec := decoded(t, `validate: { headers: { schema: {required: [x-tenant], properties: {x-tenant: {type: string, pattern: "^[a-z]{3}$"}, x-depth: {type: integer, maximum: 9}}} } }`)
	for fields, want := range map[string]string{
		"X-Tenant: abc":                     "",
		"X-Tenant: abc|X-Depth: 3|X-Any: 1": "",
		"X-Tenant: abc|X-Depth: 30":         "#header/x-depth maximum",
		"X-Tenant: secret":                  "#header/x-tenant pattern",
		"X-Tenant: abc|x-tenant: abd":       "#header/x-tenant type: string",
		"X-Any: abc":                        "#header/x-tenant required",
		"X-Tenant: \xff\xff\xff":            "#header/x-tenant pattern",
	} {
		if _, err := serve(t, newEnv(t), spec, posting("", strings.Split(fields, "|")...)); flawsOf2(err) != want {
			t.Errorf("%s: %s; want %s", fields, flawsOf2(err), want)
		}
	}
}

func TestSchemaFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"order.json":      `{"$ref": "parts/item.json"}`,
		"parts/item.json": `{"type": "integer"}`,
		"outside.json":    `{"$ref": "../other.json"}`,
		"remote.json":     `{"$ref": "https://schemas.test/a.json"}`,
		"cut.json":        `{"type": `,
		"wrong.json":      `{"type": "intger"}`,
		"dangling.json":   `{"$ref": "#/$defs/nothing"}`,
		"lookbehind.json": `{"pattern": "(?<=a)b"}`,
		"../other.json":   `true`,
		"draft4.json":     `{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}`,
	} {
		path := filepath.Join(dir, "conf", name)
		os.MkdirAll(filepath.Dir(path), 0o700)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pos := config.Pos{File: filepath.Join(dir, "conf", "gopura.yaml"), Line: 1, Col: 1}
	spec := &Validate{Body: &SchemaSpec{Pos: pos, File: "order.json"}}
	if got := code(t, newEnv(t), spec, posting(`7`)); got != "" {
		t.Error(got)
	}
	if got := code(t, newEnv(t), spec, posting(`"7"`)); got != "request_invalid" {
		t.Error(got)
	}
	if got := code(t, newEnv(t), &Validate{Body: &SchemaSpec{Pos: pos, File: "draft4.json"}}, posting(`1`)); got != "request_invalid" {
		t.Error(got)
	}
	if files := (&Validate{Body: &SchemaSpec{Pos: pos, File: "order.json"}}); len(files.Files()) != 1 {
		t.Errorf("watched before: %q", files.Files())
	} else if _, err := files.Compile(newEnv(t)); err != nil || len(files.Files()) != 2 || !strings.HasSuffix(files.Files()[1], "parts/item.json") {
		t.Errorf("watched: %q, %v", files.Files(), err)
	}
	inline := &SchemaSpec{Pos: pos, Schema: map[string]any{"$ref": "parts/item.json", "minimum": int64(3)}}
	if got := code(t, newEnv(t), &Validate{Body: inline}, posting(`2`)); got != "request_invalid" {
		t.Error(got)
	}
	for _, s := range []*SchemaSpec{{}, {File: "a", Schema: true}, {File: "missing.json"}, {File: "outside.json"}, {File: "remote.json"}, {File: "cut.json"}, {File: "wrong.json"}, {File: "dangling.json"}, {File: "lookbehind.json"}} {
		s.Pos = pos
		_, err := (&Validate{Body: s}).Compile(newEnv(t))
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, v := range []*Validate{{}, {Headers: &SchemaSpec{Schema: true}}, {Headers: &SchemaSpec{Schema: map[string]any{"properties": map[string]any{"X-A": true}}}}} {
		if _, err := v.Compile(newEnv(t)); err == nil {
			t.Errorf("%+v was accepted", v)
		}
	}
}

// A schema that refers to itself in alternatives doubles the work with each
// level; a small body must not keep a processor busy for ever.
func TestValidateEnds(t *testing.T) {
	expression := `{"$ref": "#/$defs/e", $defs: {e: {anyOf: [
	  {type: object, properties: {and: {$ref: "#/$defs/e"}}, required: [a]}, {type: object, properties: {and: {$ref: "#/$defs/e"}}, required: [b]},
	  {type: object, properties: {and: {$ref: "#/$defs/e"}}, required: [c]}, {type: integer} ]}}}`
	negated := `{"$ref": "#/$defs/e", $defs: {e: {not: {anyOf: [{items: {$ref: "#/$defs/e"}, maxItems: 0}, {items: {$ref: "#/$defs/e"}, type: string}, {type: array, items: {allOf: [{$ref: "#/$defs/e"}, {$ref: "#/$defs/e"}]}, minItems: 2}]}}}}`
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for name, c := range map[string]struct{ schema, body string }{
		"alternatives": {expression, strings.Repeat(`{"and":`, 60) + `"x"` + strings.Repeat("}", 60)},
		"negated":      {negated, strings.Repeat("[", 60) + strings.Repeat("]", 60)},
	} {
		start := time.Now()
		_, err := serve(t, newEnv(t), decoded(t, "validate: { body: { schema: "+flat(c.schema)+" } }"), posting(c.body))
		if d := time.Since(start); d > 5*time.Second || !exchange.RequestInvalid.Is(err) || flawsOf(err) != "# too much to check" {
			t.Errorf("%s: %v: %s in %v", name, err, flawsOf(err), d)
		}
	}
	// What is large but plain is checked to the end.
	spec := decoded(t, "validate: { body: { schema: "+flat(expression)+" } }")
	if got := code(t, newEnv(t), spec, posting(`{"c":1,"and":{"b":1,"and":{"a":1,"and":7}}}`)); got != "" {
		t.Error(got)
	}
	spec = decoded(t, `validate: { body: { schema: {items: {type: object, required: [id], properties: {id: {type: integer, minimum: 0}, at: {type: string, format: date-time}}}} } }`)
	large := "[" + strings.Repeat(`{"id":1,"at":"2027-01-31T12:00:00Z"},`, 20000) + `{"id":2}]`
	if got := code(t, newEnv(t), spec, posting(large)); got != "" {
		t.Error(got)
	}
}

// Many requests at the same time do not count each other's steps.
func TestValidateInParallel(t *testing.T) {
	spec := decoded(t, "validate: { body: { schema: "+strings.ReplaceAll(orderSchema, "\n", " ")+" } }")
	link, err := spec.Compile(newEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				err := link(nodeOK).Serve(posting(fmt.Sprintf(`{"sku":"tea","count":%d}`, i)))
				if (err != nil) != (i == 0) {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// However much is wrong, the client is told a little, and no bytes of its own
// that a terminal or a log would obey.
func TestFlawsAreBounded(t *testing.T) {
	spec := &Validate{Body: &SchemaSpec{Schema: map[string]any{"additionalProperties": map[string]any{"type": "integer"}}}}
	body := "{"
	for i := range 500 {
		body += fmt.Sprintf(`"%d\u001b[31m\u0000~/%s":"x",`, i, strings.Repeat("y", 300))
	}
	_, err := serve(t, newEnv(t), spec, posting(strings.TrimSuffix(body, ",")+"}"))
	e := exchange.AsError(err)
	text, _ := json.Marshal(e.Flaws)
	if n := len(e.Flaws); n != maxFlaws+1 || len(text) > 4<<10 || strings.ContainsAny(fmt.Sprint(e.Flaws, err), "\x1b\x00") || !strings.Contains(e.Flaws[0].Pointer, "~0~1") {
		t.Errorf("%d flaws, %d bytes: %s", n, len(text), e.Flaws[0].Pointer)
	}
}

// What is read is JSON, and what is JSON is read, but for what is refused on
// purpose.
func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":2}`, `[1,2,]`, `{"a" 1}`, `[1 2]`, `1e999`, `"\ud800"`, `{"\ud800":1,"\ud801":2}`, "\ufeff1", `nul`, `[[[`, `-`, `01`, `{,}`, `{"a":}`, ``, ` 1 2`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := readJSON(text)
		valid := json.Valid(text)
		if err == nil && !valid {
			t.Fatalf("%q was read as %v", text, v)
		}
		if err != nil && valid && !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "UTF-8") && !strings.Contains(err.Error(), "number") && !strings.Contains(err.Error(), "deeper") && !strings.Contains(err.Error(), "values") {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzQueryValues(f *testing.F) {
	for _, s := range []string{"a=1&b", "%61=+", "&&=", "a=%f0%9f%98%80", "a=%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		values, err := queryValues([]byte(s))
		if err != nil {
			return
		}
		if _, err := json.Marshal(values); err != nil {
			t.Fatal(err)
		}
	})
}
