package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestCheckAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range valid {
		if !json.Valid([]byte(text)) {
			t.Errorf("encoding/json refuses %q", text)
		}
		if _, err := Check([]byte(text), Limits{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range invalid {
		if json.Valid([]byte(text)) {
			t.Errorf("encoding/json accepts %q", text)
		}
		if _, err := Check([]byte(text), Limits{}); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestErrorsSayWhereAndWhy(t *testing.T) {
	for _, c := range []struct {
		text, want string
		limits     Limits
		limit      bool
	}{
		{text: `{"a":1,}`, want: "json: unexpected character at byte 7"},
		{text: `[1,2`, want: "json: unexpected end at byte 4"},
		{text: `{"a":tru}`, want: "json: invalid literal at byte 8"},
		{text: `[01]`, want: "json: unexpected character at byte 2"},
		{text: `[1.]`, want: "json: invalid number at byte 3"},
		{text: `["a\x"]`, want: "json: invalid escape in a string at byte 4"},
		{text: "[\"a\n\"]", want: "json: control character in a string at byte 3"},
		{text: "[\"ab\xff\"]", want: "json: invalid UTF-8 at byte 4"},
		{text: `{"a":1,"b":2,"a":3}`, want: "json: member is named twice at byte 13"},
		{text: `{"a":1,"\u0061":3}`, want: "json: member is named twice at byte 7"},
		{text: `1 2`, want: "json: something follows the value at byte 2"},
		{text: `[[[1]]]`, want: "json: nesting is too deep at byte 2", limits: Limits{Depth: 2}, limit: true},
		{text: `[1,2,3]`, want: "json: too many members at byte 4", limits: Limits{Members: 2}, limit: true},
		{text: `[1,2,3]`, want: "json: document is too long at byte 6", limits: Limits{Bytes: 6}, limit: true},
	} {
		_, err := Check([]byte(c.text), c.limits)
		var e *Error
		if !errors.As(err, &e) || err.Error() != c.want || e.Limit != c.limit {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
	if _, err := Check([]byte(`[[1,2]]`), Limits{Depth: 2, Members: 3, Bytes: 7}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

func TestDeepNestingIsRefusedNotFollowed(t *testing.T) {
	deep := bytes.Repeat([]byte("["), 1<<20)
	if _, err := Check(deep, Limits{}); err == nil {
		t.Error("a million brackets are accepted")
	}
	deep = append(deep, bytes.Repeat([]byte("]"), 1<<20)...)
	if _, err := Check(deep, Limits{Depth: 1 << 20, Members: 1 << 21}); err != nil {
		t.Error(err)
	}
}

func TestDuplicates(t *testing.T) {
	for _, c := range []struct{ text, first, last string }{
		{`{"a":1,"a":2}`, `{"a":1}`, `{"a":2}`},
		{`{"a":1,"b":2,"a":3}`, `{"a":1,"b":2}`, `{"b":2,"a":3}`},
		{`[{"a":{"x":1,"\u0078":2}}]`, `[{"a":{"x":1}}]`, `[{"a":{"\u0078":2}}]`},
	} {
		if v, err := Parse([]byte(c.text), Limits{Duplicates: KeepFirst}); err != nil || string(v.Bytes()) != c.first {
			t.Errorf("%s: first: %s %v", c.text, v.Bytes(), err)
		}
		if v, err := Parse([]byte(c.text), Limits{Duplicates: KeepLast}); err != nil || string(v.Bytes()) != c.last {
			t.Errorf("%s: last: %s %v", c.text, v.Bytes(), err)
		}
	}
}

// In large objects names are found by a hash table that nested objects share.
func TestDuplicatesInLargeObjects(t *testing.T) {
	for _, n := range []int{15, 16, 17, 18, 100, 5000} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"name%d":{"name%d":%d},`, i, i, i)
		}
		// The same names again, one level deeper, and between them.
		inner := "{" + strings.TrimSuffix(b.String(), ",") + "}"
		text := "{" + b.String() + `"inner":` + inner + `,"` + strings.Repeat("z", 20) + `":[` + inner + "," + inner + "]"
		if _, err := Check([]byte(text+"}"), Limits{}); err != nil {
			t.Errorf("%d names: %v", n, err)
		}
		for _, name := range []string{`"name0"`, fmt.Sprintf(`"name%d"`, n-1), `"\u006eame7"`, `"inner"`} {
			if _, err := Check([]byte(text+","+name+":1}"), Limits{}); err == nil || !strings.Contains(err.Error(), "twice") {
				t.Errorf("%d names and %s again: %v", n, name, err)
			}
		}
	}
}

func TestReplaceUTF8(t *testing.T) {
	for _, text := range badUTF8Texts {
		if _, err := Check([]byte(text), Limits{}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%q: %v", text, err)
		}
		v, err := Parse([]byte(text), Limits{UTF8: ReplaceUTF8})
		want := strings.ToValidUTF8(text, "\uFFFD")
		if err != nil || len(v.Bytes()) < len(want) || !json.Valid(v.Bytes()) || bytes.ContainsRune(v.Bytes(), 0xff) {
			t.Errorf("%q: %q %v", text, v.Bytes(), err)
		}
	}
	// Two names that are the same when replaced.
	if _, err := Parse([]byte("{\"\xff\":1,\"\xfe\":2}"), Limits{UTF8: ReplaceUTF8}); err == nil {
		t.Error("replaced names are not compared")
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	doc := orders(40)
	wantNoAllocs(t, "Check", func() { Check(doc, Limits{}) })
	wantNoAllocs(t, "Parse", func() { Parse(doc, Limits{}) })
}
