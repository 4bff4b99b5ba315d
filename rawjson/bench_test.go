package rawjson

import (
	"encoding/json"
	"strings"
	"testing"
)

// Each benchmark has its counterpart in encoding/json next to it: what counts
// is the ratio.

func BenchmarkCheck(b *testing.B) {
	for _, c := range []struct {
		name string
		doc  []byte
	}{{"4KB", orders(18)}, {"4KB-indented", indented(orders(12))}, {"1MB", orders(4800)}, {"text", textDocument()}, {"numbers", numbersDocument()}} {
		b.Run(c.name+"/Check", func(b *testing.B) {
			perByte(b, c.doc, func() error { _, err := Check(c.doc, Limits{}); return err })
		})
		b.Run(c.name+"/json.Valid", func(b *testing.B) {
			perByte(b, c.doc, func() error { json.Valid(c.doc); return nil })
		})
		b.Run(c.name+"/json.Unmarshal", func(b *testing.B) {
			perByte(b, c.doc, func() error { var v any; return json.Unmarshal(c.doc, &v) })
		})
	}
}

func perByte(b *testing.B, doc []byte, f func() error) {
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}

// textDocument is articles: long strings, some of them not in ASCII.
func textDocument() []byte {
	article := `{"title":"Ein längerer Titel","text":"` + strings.Repeat("The quick brown fox jumps over the lazy dog, again and again. ", 8) + strings.Repeat("日本語の文章。", 4) + `"}`
	return []byte("[" + strings.Repeat(article+",", 6) + article + "]")
}

func numbersDocument() []byte {
	return []byte("[" + strings.Repeat("1234567,-12.345,0,17,1e10,", 160) + "1]")
}

// A member at the end of a document that is checked already, against decoding
// it, which is what encoding/json has for that.
func BenchmarkMember(b *testing.B) {
	doc := orders(18)
	v := parse(b, string(doc))
	b.Run("Value.Member", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := v.Member("total"); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("Check+Member", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, _ := Parse(doc, Limits{})
			if _, ok := v.Member("total"); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("json.Unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v struct{ Total json.RawMessage }
			json.Unmarshal(doc, &v)
		}
	})
}

// Three documents of 4 KB become one, as in an aggregation.
func BenchmarkSplice(b *testing.B) {
	doc := orders(18)
	names := []string{"user", "orders", "reviews"}
	buf := make([]byte, 0, 16<<10)
	b.Run("rawjson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var w Builder
			w.Reset(buf)
			w.Object()
			for _, n := range names {
				v, err := Parse(doc, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				w.Name(n)
				w.Raw(v)
			}
			w.EndObject()
		}
	})
	b.Run("json.RawMessage", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			all := map[string]json.RawMessage{}
			for _, n := range names {
				var m json.RawMessage
				json.Unmarshal(doc, &m)
				all[n] = m
			}
			json.Marshal(all)
		}
	})
	b.Run("json-any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			all := map[string]any{}
			for _, n := range names {
				var m any
				json.Unmarshal(doc, &m)
				all[n] = m
			}
			json.Marshal(all)
		}
	})
}

func BenchmarkShape(b *testing.B) {
	s, err := CompileShape(Spec{Pick: []string{"items[].id", "items[].address.city", "total"}, Rename: []Renamed{{"total", "count"}}})
	if err != nil {
		b.Fatal(err)
	}
	doc := orders(18)
	v, buf := parse(b, string(doc)), make([]byte, 0, 16<<10)
	b.Run("Shape", func(b *testing.B) {
		perByte(b, doc, func() error { _, err := s.Append(buf, v); return err })
	})
	b.Run("json", func(b *testing.B) {
		type order struct {
			ID      json.RawMessage `json:"id"`
			Address struct {
				City json.RawMessage `json:"city"`
			} `json:"address"`
		}
		perByte(b, doc, func() error {
			var in struct {
				Items []order `json:"items"`
				Total json.RawMessage
			}
			if err := json.Unmarshal(doc, &in); err != nil {
				return err
			}
			_, err := json.Marshal(map[string]any{"items": in.Items, "count": in.Total})
			return err
		})
	})
}

func BenchmarkDecompress(b *testing.B) {
	doc := orders(50)
	body, buf := zipped(b, "gzip", doc), make([]byte, 0, 16<<10)
	perByte(b, doc, func() error { _, err := Decompress(buf, "gzip", body, 1<<20); return err })
}
