package rawjson

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct{ media, body, want string }{
		{"application/json", ` {"a":1.0} `, `{"a":1.0}`},
		{"", `1`, `1`},
		{"Application/Problem+JSON; charset=\"UTF-8\"", `{}`, `{}`},
		{"application/json", "\xef\xbb\xbf{}", `{}`},
		{"application/json; charset=ISO-8859-1", "\"K\xf6ln\"", `"Köln"`},
		{"application/json;charset=us-ascii", `"a"`, `"a"`},

		{"application/x-ndjson", "{\"a\":1}\n\r\n 2 \n\"x\"", `[{"a":1},2,"x"]`},
		{"application/jsonl", "", `[]`},

		{"application/x-www-form-urlencoded", "a=1&b=x+y%21&a=2&c&=e&&%C3%BC=%zz", `{"a":["1","2"],"b":"x y!","c":"","":"e","ü":"%zz"}`},
		{"application/x-www-form-urlencoded", "", `{}`},

		{"text/plain; charset=utf-8", "a \"b\"\n\x00ü", `"a \"b\"\n\u0000ü"`},
		{"text/html", "", `""`},
		{"text/plain; format=flowed; charset=latin1", "\xe9", `"é"`},

		{"text/xml", `<a/>`, `{"a":""}`},
		{"application/xml", `<?xml version="1.0" encoding="UTF-8"?><!-- c --><order id="7" xml:lang="en"> <item>a</item> <item>b</item><note/><x:y>1 &lt; 2 &#x41;<![CDATA[<&>]]></x:y> paid <item k="v">c</item></order>`,
			`{"order":{"@id":"7","@xml:lang":"en","item":["a","b",{"@k":"v","#text":"c"}],"note":"","x:y":"1 < 2 A<&>","#text":"paid"}}`},
		{"application/atom+xml", `<f><e><t>1</t></e><e><t>2</t></e></f>`, `{"f":{"e":[{"t":"1"},{"t":"2"}]}}`},
		{"text/xml; charset=iso-8859-1", `<?xml version="1.0" encoding="UTF-8"?><a>` + "\xfc" + `</a>`, `{"a":"ü"}`},
		{"text/xml", `<?xml version="1.0" encoding="ISO-8859-1"?><a>` + "\xfc" + `</a>`, `{"a":"ü"}`},
	} {
		v, err := Decode([]byte("before"), c.media, []byte(c.body), Limits{})
		if err != nil || string(v.Bytes()) != c.want {
			t.Errorf("%s %q:\n got %s %v\nwant %s", c.media, c.body, v.Bytes(), err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		media, body, want string
		limits            Limits
	}{
		{"application/octet-stream", "x", `the media type is not understood: "application/octet-stream"`, Limits{}},
		{"application/json; charset=utf-16", "x", `the charset is not understood: "utf-16"`, Limits{}},
		{"text/plain; charset=us-ascii", "aü", `the charset is not understood: byte 1 is not US-ASCII`, Limits{}},
		{"text/plain", "a\xff", `json: invalid UTF-8 at byte 1`, Limits{}},
		{"application/json", "{", `json: unexpected end at byte 1`, Limits{}},
		{"application/x-ndjson", "{}\n{\n{}", `json: unexpected end at byte 4`, Limits{}},
		{"application/x-ndjson", "[[1]]\n", `json: nesting is too deep at byte 1`, Limits{Depth: 2}},
		{"application/x-ndjson", "1\n2\n3\n", `json: too many members at byte 4`, Limits{Members: 2}},
		{"application/x-www-form-urlencoded", "a&b&c", `json: too many members at byte 5`, Limits{Members: 2}},
		{"application/x-www-form-urlencoded", "a=%ff", `json: invalid UTF-8 at byte 5`, Limits{}},
		{"application/xml", `<a><b></a></b>`, `without its beginning`, Limits{}},
		{"application/xml", `<a>`, `unexpected EOF`, Limits{}},
		{"application/xml", ``, `unexpected EOF`, Limits{}},
		{"application/xml", `<a/><b/>`, `second root`, Limits{}},
		{"application/xml", `<a/>x`, `text outside`, Limits{}},
		{"application/xml", `<a>&bomb;</a>`, `invalid character entity`, Limits{}},
		{"application/xml", `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `document type`, Limits{}},
		{"application/xml", `<a x="1" x="2"/>`, `named twice`, Limits{}},
		{"application/xml", strings.Repeat("<a>", 1000), `too deep`, Limits{}},
		{"application/xml", "<a>" + strings.Repeat("<b/>", 11) + "</a>", `too many`, Limits{Members: 10}},
		{"application/xml", `<?xml version="1.0" encoding="koi8-r"?><a/>`, `the charset is not understood`, Limits{}},
		{"application/json", `[1,2]`, `too long`, Limits{Bytes: 4}},
		{"text/plain", "\x00\x00\x00\x00", `too long`, Limits{Bytes: 5}},
	} {
		v, err := Decode(nil, c.media, []byte(c.body), c.limits)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.40q: %s %v, want %s", c.media, c.body, v.Bytes(), err, c.want)
		}
	}
	v, err := Decode(nil, "text/plain", []byte("a\xff"), Limits{UTF8: ReplaceUTF8})
	if err != nil || string(v.Bytes()) != `"a`+"\uFFFD"+`"` {
		t.Errorf("replaced: %s %v", v.Bytes(), err)
	}
}

func TestDecodingJSONCopiesNothing(t *testing.T) {
	body := orders(10)
	wantNoAllocs(t, "Decode", func() { Decode(nil, "application/json; charset=utf-8", body, Limits{}) })
}

func zipped(t testing.TB, format string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	default:
		w, _ = flate.NewWriter(&b, 5)
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func TestDecompress(t *testing.T) {
	doc := orders(100)
	for _, c := range []struct{ encoding, format string }{{"gzip", "gzip"}, {"X-GZIP", "gzip"}, {"deflate", "zlib"}, {"deflate", "raw"}, {"deflate", "raw"}} {
		got, err := Decompress([]byte("before"), c.encoding, zipped(t, c.format, doc), len(doc))
		if err != nil || string(got) != "before"+string(doc) {
			t.Errorf("%s: %d bytes, %v", c.encoding, len(got), err)
		}
		if _, err := Decompress(nil, c.encoding, zipped(t, c.format, doc), len(doc)-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s, one byte too many: %v", c.encoding, err)
		}
		if _, err := Decompress(nil, c.encoding, zipped(t, c.format, doc)[:200], len(doc)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s, cut off: %v", c.encoding, err)
		}
		for n := range 12 {
			if _, err := Decompress(nil, c.encoding, zipped(t, c.format, doc)[:n], len(doc)); err == nil {
				t.Errorf("%s, cut off after %d bytes: accepted", c.encoding, n)
			}
		}
		if got, err := Decompress(nil, c.encoding, zipped(t, c.format, nil), 0); err != nil || len(got) != 0 {
			t.Errorf("%s, nothing: %v", c.encoding, err)
		}
	}
	if got, err := Decompress(nil, " identity ", doc, len(doc)); err != nil || &got[0] != &doc[0] {
		t.Errorf("identity: %v", err)
	}
	if _, err := Decompress(nil, "", doc, 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("identity, too large: %v", err)
	}
	for _, encoding := range []string{"br", "gzip, gzip"} {
		if _, err := Decompress(nil, encoding, doc, 1<<20); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
}

// A bomb costs no more memory than its limit.
func TestBomb(t *testing.T) {
	bomb := zipped(t, "gzip", make([]byte, 64<<20))
	Decompress(nil, "gzip", bomb, 1) // the pool has its reader
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Decompress(nil, "gzip", bomb, 256<<10)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; !raceEnabled && used > 768<<10 {
		t.Errorf("%d KB for a limit of 256 KB", used>>10)
	}
}
