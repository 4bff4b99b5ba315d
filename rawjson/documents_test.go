package rawjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Documents for tests and benchmarks.

// orders is a list of orders as a service would send it, about 190 bytes each.
func orders(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"sku":"A-%04d-X","title":"A thing that somebody ordered","price":%d.50,"currency":"EUR",`+
			`"tags":["new","sale"],"address":{"street":"Main \"Street\" 7","city":"K\u00f6ln","zip":"50667"},"paid":true,"note":null}`, 1234567890123+i, i, i%100)
	}
	fmt.Fprintf(&b, `],"total":%d,"next":"/orders?page=2"}`, n)
	return []byte(b.String())
}

// valid and invalid are the corner cases of RFC 8259, by what they show.
var valid = []string{
	`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `1.0`, `0.5`, `1e1`, `1E+2`, `1e-2`, `-1.5e10`, `123456789012345678901234567890`, `0e0`, `1e400`,
	`""`, `"a"`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\u0041"`, `"\uD834\uDD1E"`, `"\ud800"`, `"\udc00\ud800"`, `"\u0000"`, `"ü€𝄞"`, "\"\u007f\"", "\"\u2028\"",
	`"1234567"`, `"12345678"`, `"1234567\n12345678"`, `"a long text that needs more than one word of eight bytes \\"`, `"#$#$#$#$!!!!"`,
	`[]`, `[ ]`, `[1]`, `[1,2]`, `[[]]`, `[[],[[]],{}]`, ` [ 1 , "a" ] `, `[null,true,false]`, `[1,[2,[3,[4]]]]`,
	`{}`, `{ }`, `{"a":1}`, `{"":0}`, `{"a":1,"b":{"c":[]}}`, "\t{\n\"a\" :\r1 }\n", `{"a":{"a":{"a":1}}}`, `{"\u0061":1,"b":2}`, `{"a\"b":1}`,
	"        1        ", "[\n                  1,\n                  2\n]",
	`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":{"a":1,"b":2},"k":11,"l":12,"m":13,"n":14,"o":15,"p":16,"q":17,"r":18,"s":{"a":1},"t":20}`,
}

var invalid = []string{
	``, ` `, `nul`, `nulll`, `tru`, `True`, `NaN`, `Infinity`, `undefined`, `'a'`, `a`,
	`+1`, `01`, `-01`, `-`, `--1`, `1.`, `.5`, `1.e1`, `1e`, `1e+`, `1ee1`, `0x1`, `1a`, `- 1`, `1 2`, `1,`, `0.`, `-.1`, `1e1.5`, `１`,
	`"`, `"a`, `"\`, `"\"`, `"\x"`, `"\u"`, `"\u12"`, `"\u123"`, `"\u12g4"`, `"\U0041"`, "\"\n\"", "\"\t\"", "\"\x00\"", "\"1234567\x1f\"", `"a"b`, `"1234567`, `"12345678`, `"123456789`, `"\'"`, `"\a"`,
	`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[,]`, `[1,,2]`, `[1 2]`, `[1}`, `[1]]`, `[[1]`, `[:]`, `["a":1]`, `[1;2]`,
	`{`, `}`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a",1}`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`, `{"a":1]`, `{"a"::1}`, `{"a":}`, `{:1}`, `{null:1}`, `{"a":1}}`, `{"a" 1}`,
	"\ufeff1", "\xff", "[1\x00]", "\x00", "1\x00", "/**/1", "1 // a", "#1", "[\v1]", "[\u00a01]", "\f1",
}

var badUTF8Texts = []string{"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc0\xaf\"", "\"abcdefgh\xe2\x82\"", "{\"\xff\":1}", "[\"ok\",\"\x80\"]"}

func indented(doc []byte) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", "  "); err != nil {
		panic(err)
	}
	return b.Bytes()
}
