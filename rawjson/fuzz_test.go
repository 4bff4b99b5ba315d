package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func seedDocuments(f *testing.F) {
	for _, list := range [][]string{valid, invalid, badUTF8Texts} {
		for _, text := range list {
			f.Add([]byte(text))
		}
	}
	f.Add(orders(2))
	f.Add([]byte(`{"a":1,"\u0061":2,"a":{"b":1,"b":2}}`))
}

// Where everything that is not JSON's grammar is forgiven, the scanner accepts
// what encoding/json accepts, and the values are the same. Where it is not, the
// scanner refuses for one of two reasons more.
func FuzzCheck(f *testing.F) {
	seedDocuments(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		lenient := Limits{Depth: 10000, UTF8: ReplaceUTF8, Duplicates: KeepLast}
		kind, err := Check(b, lenient)
		if is := json.Valid(b); is != (err == nil) {
			t.Fatalf("encoding/json: %v, Check: %v", is, err)
		}
		strict := lenient
		strict.UTF8, strict.Duplicates = RefuseUTF8, RefuseDuplicates
		_, refused := Check(b, strict)
		var e *Error
		if refused != nil && (!errors.As(refused, &e) || e.Offset < 0 || e.Offset > len(b)) {
			t.Fatalf("%#v", refused)
		}
		if err != nil {
			if refused == nil {
				t.Fatalf("strict accepts what lenient refuses: %v", err)
			}
			return
		}
		v, err := Parse(b, lenient)
		if err != nil || v.Kind() != kind {
			t.Fatalf("Parse: %s, %v", v.Kind(), err)
		}
		if same := bytes.Equal(v.Bytes(), bytes.Trim(b, " \t\r\n")); same != (refused == nil) {
			t.Fatalf("refused: %v, but untouched: %v: %s", refused, same, v.Bytes())
		}
		if refused != nil && e.Reason != badUTF8 && e.Reason != twice {
			t.Fatal(refused)
		}
		if _, err := Check(v.Bytes(), strict); err != nil {
			t.Fatalf("repaired, and yet: %v: %q", err, v.Bytes())
		}
		if got, want := decoded(v), decodedByStd(t, string(b)); !reflect.DeepEqual(got, want) {
			t.Fatalf("\n got %#v\nwant %#v", got, want)
		}
	})
}

// Numbers are exact where they say that they are.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "1", "9007199254740993", "18446744073709551615", "-9223372036854775808", "0.1", "1e23", "1.50", "4.9e-324", "1e400", "00", "123456789012345678e-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse([]byte(s), Limits{})
		if err != nil || v.Kind() != Number {
			return
		}
		if n, ok := v.Int64(); ok {
			b, _ := json.Marshal(n)
			if string(b) != string(v.Bytes()) {
				t.Fatalf("%s: %d", v.Bytes(), n)
			}
		}
		if n, ok := v.Uint64(); ok {
			b, _ := json.Marshal(n)
			if string(b) != string(v.Bytes()) {
				t.Fatalf("%s: %d", v.Bytes(), n)
			}
		}
		if x, exact := v.Float64(); exact {
			b, err := json.Marshal(x)
			if err != nil || !parse(t, string(b)).Same(v) {
				t.Fatalf("%s: %s %v", v.Bytes(), b, err)
			}
		}
	})
}

// Whatever is written in a legal order is valid JSON.
func FuzzBuilder(f *testing.F) {
	f.Add([]byte("{kv[1]}"), "text\x00\xff\u2028")
	f.Add([]byte("[[{}{}]nnfffss"), "")
	f.Add([]byte("0"), "\xf1\xee%2))\xd1\"")
	f.Fuzz(func(t *testing.T, program []byte, text string) {
		var b Builder
		b.Reset([]byte("before"))
		b.Array()
		open := []byte{']'}
		name := func() {
			if open[len(open)-1] == '}' {
				b.Name(text)
			}
		}
		raw := parse(t, `{ "x" : [ 1 ] }`)
		for _, c := range program {
			switch c % 10 {
			case 0, 1:
				name()
				b.Object()
				open = append(open, '}')
			case 2:
				name()
				b.Array()
				open = append(open, ']')
			case 3, 4:
				if len(open) > 1 {
					if open[len(open)-1] == '}' {
						b.EndObject()
					} else {
						b.EndArray()
					}
					open = open[:len(open)-1]
				}
			case 5:
				name()
				b.String(text)
			case 6:
				name()
				b.Raw(raw)
			case 7:
				name()
				b.Float(float64(c) * 1e-7)
			case 8:
				name()
				b.Int(-int64(c))
			default:
				name()
				b.StringBytes([]byte(text))
			}
		}
		for i := len(open) - 1; i >= 0; i-- {
			if open[i] == '}' {
				b.EndObject()
			} else {
				b.EndArray()
			}
		}
		out := b.Value().Bytes()
		if _, err := Check(out, Limits{Duplicates: KeepLast, Depth: 1 << 20}); err != nil || !json.Valid(out) {
			t.Fatalf("%v: %s", err, out)
		}
		if got, want := parse(t, string(AppendString(nil, text))).String(), string([]rune(text)); got != want {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// What is shaped is valid, with each name once.
func FuzzShape(f *testing.F) {
	f.Add([]byte(shapeDoc), "", "user.address.city", "user.mail", "id", "key", "user", uint8(0))
	f.Add([]byte(shapeDoc), "items[]", "", "[].n", "[].id", "n", "", uint8(1))
	f.Add([]byte(`{"a":{"a":{"a":1},"b":2},"b":3}`), "", "", "", "a.a", "b", "a", uint8(2))
	f.Add([]byte(`[[{"a":1}],{"a":null}]`), "[][0]", "", `"a\"".b`, "", "", "", uint8(0))
	f.Fuzz(func(t *testing.T, doc []byte, take, pick, drop, from, to, flatten string, collision uint8) {
		spec := Spec{Take: take, Collision: Collision(collision % 3)}
		for list, path := range map[*[]string]string{&spec.Pick: pick, &spec.Drop: drop, &spec.Flatten: flatten} {
			if path != "" {
				*list = []string{path}
			}
		}
		if from != "" {
			spec.Rename = []Renamed{{from, to}}
		}
		s, err := CompileShape(spec)
		if err != nil {
			if _, ok := err.(*SpecError); !ok {
				t.Fatal(err)
			}
			return
		}
		v, err := Parse(doc, Limits{})
		if err != nil {
			return
		}
		out, err := s.Append(nil, v)
		if err != nil {
			if _, ok := err.(*CollisionError); !ok || len(out) > 0 || spec.Collision != RefuseCollision {
				t.Fatal(err)
			}
			return
		}
		if _, err := Check(out, Limits{Depth: 256}); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if applied, err := s.Apply(v); err != nil || !bytes.Equal(applied.Bytes(), out) {
			t.Fatalf("Apply: %s %v", applied.Bytes(), err)
		}
	})
}

// What is merged is valid, with each name once.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`[{"id":1,"a":1},{"id":2}]`), []byte(`[{"id":1.0,"b":1},{"id":"x"}]`), "id", "id", "as", uint8(1))
	f.Add([]byte(`[{"id":1,"a":1},{"id":2}]`), []byte(`[{"id":1,"a":1},{"id":1}]`), "id", "id", "", uint8(2))
	f.Fuzz(func(t *testing.T, left, right []byte, leftKey, rightKey, as string, how uint8) {
		m, err := CompileMerge(MergeSpec{Kind: MergeKind(how % 3), LeftKey: leftKey, RightKey: rightKey, As: as,
			Many: how&4 != 0, Inner: how&8 != 0, Collision: Collision(how >> 4 % 3)})
		if err != nil {
			return
		}
		l, err := Parse(left, Limits{})
		if err != nil {
			return
		}
		r, err := Parse(right, Limits{})
		if err != nil {
			return
		}
		if out, err := m.Append(nil, l, r); err == nil {
			if _, err := Check(out, Limits{Depth: 256}); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	})
}

// Whatever a body is, what comes out of it is a checked value or an error.
func FuzzDecode(f *testing.F) {
	for _, c := range []struct{ media, body string }{
		{"application/json", `{"a":1}`}, {"application/x-ndjson", "1\n{}\n"}, {"text/plain", "a\xff"}, {"text/plain; charset=latin1", "\xe9"},
		{"application/x-www-form-urlencoded", "a=1&a=2&b=%20+&=&&c"},
		{"text/xml", `<a x="1"><b>1</b><c/><b y:z="&lt;">t<!-- c --></b><![CDATA[x]]></a>`}, {"text/xml", `<?xml version="1.0" encoding="iso-8859-1"?><a>` + "\xfc</a>"},
		{"text/xml", `<!DOCTYPE a><a/>`}, {"text/xml; charset=", `<a:b:c xmlns=""/>`}, {"x/y; charset=\"utf-8", ""},
	} {
		f.Add(c.media, []byte(c.body), false)
		f.Add(c.media, []byte(c.body), true)
	}
	f.Fuzz(func(t *testing.T, media string, body []byte, replace bool) {
		l := Limits{Bytes: 64 << 10, Depth: 20, Members: 1000}
		if replace {
			l.UTF8, l.Duplicates = ReplaceUTF8, KeepFirst
		}
		v, err := Decode(nil, media, body, l)
		if err != nil {
			return
		}
		if _, err := Check(v.Bytes(), Limits{Depth: 20, Members: 1000}); err != nil {
			t.Fatalf("%v: %q", err, v.Bytes())
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, format := range []string{"gzip", "zlib", "raw"} {
		f.Add(zipped(f, format, orders(1)), format == "gzip")
		f.Add(zipped(f, format, make([]byte, 100<<10)), format == "gzip")
	}
	f.Fuzz(func(t *testing.T, body []byte, gz bool) {
		encoding := "deflate"
		if gz {
			encoding = "gzip"
		}
		out, err := Decompress([]byte("x"), encoding, body, 10_000)
		if err == nil && (len(out) > 10_001 || cap(out) > 40_000) {
			t.Fatalf("%d bytes in %d", len(out), cap(out))
		}
	})
}
