package policy

import (
	"encoding"
	"encoding/json"
	"mime"
	"regexp"
	"strings"
	"testing"

	"gopura/config"
	"gopura/exchange"
	"gopura/openapi"
)

// What settings of one line are written as is read as the same.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{"10/s", "1000/day per identity.sub", "5/week", "1/month per a per b", "10 per client.ip", "64KiB/s per connection", "60s per identity.sub", "0", "10/s per ", "1y"} {
		f.Add(s)
	}
	type text interface {
		encoding.TextMarshaler
		encoding.TextUnmarshaler
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, pair := range [][2]text{{&allowanceText{}, &allowanceText{}}, {&slotsText{}, &slotsText{}}, {&flowText{}, &flowText{}}, {&timeText{}, &timeText{}}} {
			once, again := pair[0], pair[1]
			if once.UnmarshalText([]byte(s)) != nil {
				continue
			}
			b, err := once.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if tt, ok := once.(*timeText); ok && tt.Time > 1<<52 {
				continue // nanoseconds are lost in a number with a fraction
			}
			if a, ok := once.(*allowanceText); ok && a.Per > 1<<52 {
				continue
			}
			if err := again.UnmarshalText(b); err != nil {
				t.Errorf("%T: %q was written as %q, which is none: %v", once, s, b, err)
			} else if c, _ := again.MarshalText(); string(c) != string(b) {
				t.Errorf("%T: %q was written as %q, and that as %q", once, s, b, c)
			}
		}
	})
}

// Methods of both kinds, on a pointer.
type (
	allowanceText struct{ Allowance }
	slotsText     struct{ Slots }
	flowText      struct{ Flow }
	timeText      struct{ CacheTime }
)

// A type is let in only if the standard library takes it for the same.
func FuzzMediaType(f *testing.F) {
	for _, s := range []string{"application/json", "Application/JSON; charset=utf-8", "application/problem+json", "application/json, text/html", "application/json ;", "+json", "application/+json", "text/json\t"} {
		f.Add("application/json", s)
		f.Add("application/*+json", s)
	}
	f.Add("*/*", "a")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		m, err := parseMediaType(pattern)
		if err != nil || !exchange.ValidValue(value) {
			return
		}
		var h exchange.Header
		h.Add("Content-Type", value)
		if !takes([]mediaType{m}, &h) {
			return
		}
		first, _, _ := strings.Cut(value, ";")
		std, _, err := mime.ParseMediaType(first)
		if err != nil {
			t.Fatalf("%q is taken for %q: %v", value, pattern, err)
		}
		expr := "(?i)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".+") + "$"
		if !regexp.MustCompile(expr).MatchString(std) {
			t.Errorf("%q is taken for %q, and is %q", value, pattern, std)
		}
		h.Add("content-type", value)
		if takes([]mediaType{m}, &h) {
			t.Errorf("twice %q is taken", value)
		}
	})
}

// An agent says yes with true at the place where it is looked for, and with nothing else.
func FuzzDecision(f *testing.F) {
	for _, s := range []string{`{"result":{"allow":true}}`, `{"result":{"allow":"true"}}`, `{"result":true}`, `{"result":{"allow":false,"allow":true}}`, `{"Result":{"allow":true}}`, `[]`, `{"result":{"allow":true}} {}`} {
		f.Add([]byte(s))
	}
	a := new(agentClient)
	a.Result = []string{"allow"}
	f.Fuzz(func(t *testing.T, text []byte) {
		allowed, err := a.read(text)
		var said map[string]any
		if json.Unmarshal(text, &said) != nil && err == nil && allowed {
			t.Fatalf("%s is a yes", text)
		}
		result, _ := said["result"].(map[string]any)
		if err == nil && allowed != (result["allow"] == true) {
			t.Errorf("%s is %v", text, allowed)
		}
	})
}

// refers finds the words by which a schema depends on where it stands.
var refers = regexp.MustCompile(`\$(ref|id|anchor|schema|dynamic|recursive|vocab)|\\`)

// A schema says of a value the same however often it is asked, and its opposite when
// it is turned round; what it says is short.
func FuzzSchema(f *testing.F) {
	for _, s := range []string{
		orderSchema2, `{"properties":{"a":{"type":["integer","null"]}},"required":["a"]}`, `{"oneOf":[{"const":1},{"minimum":0}]}`, `{"not":{"pattern":"^(a+)+$"}}`,
		`{"multipleOf":0.01,"maximum":1e300}`, `{"uniqueItems":true,"items":{"$ref":"#"}}`, `{"allOf":[{"$ref":"#"}]}`, `{"patternProperties":{"(":true}}`, `{"format":"ipv6","minLength":1e99}`, `{"$ref":"../x.json"}`,
	} {
		for _, v := range []string{`{"a":1}`, `[1,1.0,"x"]`, `"aaaaaaaaaaaaaaaaaaaaaaaaaaaa!"`, `1e300`} {
			f.Add([]byte(s), []byte(v))
		}
	}
	f.Fuzz(func(t *testing.T, text, value []byte) {
		if len(text) > 2<<10 || len(value) > 4<<10 {
			return
		}
		schema, err := readJSON(text)
		if err != nil {
			return
		}
		v, err := readJSON(value)
		if err != nil {
			return
		}
		flaws, spent, ok := judged(t, schema, v)
		if !ok || spent || refers.Match(text) {
			return
		}
		turned, spent, ok := judged(t, map[string]any{"not": schema}, v)
		if !ok || spent {
			return
		}
		if (flaws == 0) == (turned == 0) {
			t.Errorf("%s says %d of %s, and turned round %d", text, flaws, value, turned)
		}
	})
}

const orderSchema2 = `{"type":"object","properties":{"sku":{"type":"string","maxLength":5},"count":{"type":"integer","minimum":1}},"required":["sku"],"additionalProperties":false}`

func judged(t *testing.T, schema, v any) (flaws int, spent, ok bool) {
	s, err := compileSchema(&SchemaSpec{Schema: schema})
	if err != nil {
		return 0, false, false
	}
	list := s.check(nil, "", v)
	if again := s.check(nil, "", v); len(again) != len(list) {
		t.Errorf("%d flaws, and then %d", len(list), len(again))
	}
	if len(list) > 10*maxFlaws {
		t.Errorf("%d flaws", len(list))
	}
	for _, l := range list {
		spent = spent || l.Detail == errBudget.Error()
		if len(l.Pointer) > maxSteps*(maxStep+10) {
			t.Errorf("a pointer of %d bytes", len(l.Pointer))
		}
	}
	return len(list), spent, true
}

// Whatever an OpenAPI document says, its operations compile or are refused, and
// judge a request without a panic; nothing is read beside it.
func FuzzOpenAPI(f *testing.F) {
	for _, s := range []string{
		`{openapi: 3.0.0, paths: {/a/{id}: {post: {parameters: [{in: path, name: id, schema: {type: integer}}, {in: query, name: q, schema: {type: array, items: {type: number}}, explode: false}, {in: header, name: X-A, schema: {enum: [a]}}], requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/a"}}}}}}}, components: {schemas: {a: {type: object, nullable: true, properties: {b: {$ref: "#/components/schemas/a"}}}}}}`,
		`{swagger: "2.0", consumes: ["application/json"], paths: {/a: {put: {parameters: [{in: body, name: b, schema: {type: file}}, {in: query, name: q, type: array, collectionFormat: pipes, items: {type: boolean}}]}}}}`,
		`{openapi: 3.1.0, paths: {/a: {get: {parameters: [{in: query, name: q, schema: {$ref: "b.yaml#/x"}}, {in: query, name: r, content: {a/b: {}}}], requestBody: {content: {"*/*": {}, "a/*+json": {schema: true}}}}}}}`,
	} {
		f.Add([]byte(s), "q=1&q=2|3&r", `{"b":{"b":null}}`)
	}
	f.Fuzz(func(t *testing.T, text []byte, query, body string) {
		if len(text) > 4<<10 || len(body) > 4<<10 {
			return
		}
		doc, err := openapi.Read(config.Source{Name: "/nowhere/api.yaml", Data: text}, func(string) ([]byte, error) { return nil, errAllowance })
		if err != nil {
			return
		}
		values, err := queryValues([]byte(query))
		if err != nil {
			return
		}
		v, err := readJSON([]byte(body))
		if err != nil {
			return
		}
		for i, op := range doc.Operations {
			if i == 4 {
				return
			}
			a := apiSchemas{doc: doc, path: "/nowhere/api.yaml"}
			for _, in := range []string{"path", "query", "header"} {
				if s := a.part(op, in); s != nil {
					s.parameters(nil, in, values)
				}
			}
			if op.Body == nil {
				continue
			}
			for _, m := range a.media(op.Body) {
				if m.schema != nil {
					m.schema.check(nil, "", v)
				}
			}
		}
	})
}
