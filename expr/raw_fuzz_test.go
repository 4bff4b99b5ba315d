package expr

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"gopura/rawjson"
)

// With and without CEL an expression comes to the same JSON, or to an error.
func FuzzJSON(f *testing.F) {
	for _, doc := range []string{userDoc, ordersDoc, reviewsDoc, `{"a":[{"b":1.50},{"b":null}]}`, `null`, `"x"`, `123456789012345678901`, `{"a":{"b":"\u00fc"},"c":-0}`, `{"a":[1,[2]]}`, `[{"a":true}]`} {
		f.Add([]byte(doc))
	}
	env, err := newEnv(f).With([]string{"v"})
	if err != nil {
		f.Fatal(err)
	}
	var planned, computed []*Program
	for _, text := range []string{`v`, `v.a`, `v.a.b`, `v.a[0].b`, `v[0]`, `v[0].a`, `{"z": v, "a": v.a, "l": [v, 1, "x", null]}`, `{"z": {"y": v.c, "n": path.id}}`, `{"n": has(v.a) ? v.a : 0}`} {
		planned = append(planned, mustCompile(f, env, text, Any))
		computed = append(computed, mustCompile(f, env, `true ? (`+text+`) : dyn(0)`, Any))
	}
	x := request()
	f.Fuzz(func(t *testing.T, doc []byte) {
		v, err := rawjson.Parse(doc, rawjson.Limits{})
		if err != nil {
			return
		}
		for i, p := range planned {
			if p.plan == nil || computed[i].plan != nil {
				t.Fatalf("%s: not what is compared", p.text)
			}
			a, err1 := p.JSON(nil, x, Vars{v})
			b, err2 := computed[i].JSON(nil, x, Vars{v})
			if (err1 == nil) != (err2 == nil) {
				t.Fatalf("%s of %s:\n%s %v\n%s %v", p.text, doc, a, err1, b, err2)
			}
			if err1 != nil {
				continue
			}
			for _, out := range [][]byte{a, b} {
				if _, err := rawjson.Check(out, rawjson.Limits{Depth: 256}); err != nil {
					t.Fatalf("%s of %s: %s: %v", p.text, doc, out, err)
				}
			}
			if !reflect.DeepEqual(numbers(t, a), numbers(t, b)) {
				t.Fatalf("%s of %s:\n%s\n%s", p.text, doc, a, b)
			}
		}
	})
}

// numbers decodes JSON, with each number as the nearest double.
func numbers(t *testing.T, b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return plain(v)
}

func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f
		}
		return string(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}
