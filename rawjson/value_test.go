package rawjson

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) Value {
	t.Helper()
	v, err := Parse([]byte(text), Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestWalking(t *testing.T) {
	v := parse(t, ` { "a" : [ 1 , [ 2 ] , { } ] , "b\n" : "x\u00fc\ud834\udd1e\ud800\"" , "": null,"n":{"deep]":"}","q":"\\"}, "t":true } `)
	if v.Kind() != Object || v.Len() != 5 || v.Bytes()[0] != '{' || v.Bytes()[len(v.Bytes())-1] != '}' {
		t.Fatalf("%s %d", v.Kind(), v.Len())
	}
	var names []string
	for n, m := range v.Members() {
		names = append(names, n.String()+"="+m.Kind().String())
	}
	if want := []string{"a=array", "b\n=string", "=null", "n=object", "t=bool"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	a, _ := v.Member("a")
	if e, ok := a.Index(1); !ok || string(e.Bytes()) != "[ 2 ]" {
		t.Errorf("a[1]: %s", e.Bytes())
	}
	if _, ok := a.Index(3); ok {
		t.Error("a[3] is there")
	}
	if _, ok := a.Index(-1); ok {
		t.Error("a[-1] is there")
	}
	if b, ok := v.Member("b\n"); !ok || b.String() != "xü𝄞\uFFFD\"" {
		t.Errorf("b: %q", b.String())
	}
	if n, _ := v.Member("n"); n.Len() != 2 {
		t.Errorf("n: %s", n.Bytes())
	}
	if b, ok := v.Member("t"); !ok {
		t.Error("no t")
	} else if is, ok := b.Bool(); !is || !ok {
		t.Error("t is not true")
	}
	if e, ok := v.Member(""); !ok || !e.IsNull() {
		t.Error("the empty name is not found")
	}
	for _, v := range []Value{{}, a, parse(t, `"a"`)} {
		if _, ok := v.Member("a"); ok {
			t.Errorf("%s has a member", v.Bytes())
		}
	}
	if (Value{}).Kind() != None || (Value{}).Len() != 0 || (Value{}).String() != "" {
		t.Error("the zero Value is something")
	}
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		text   string
		i      int64
		isInt  bool
		u      uint64
		isUint bool
	}{
		{"0", 0, true, 0, true}, {"7", 7, true, 7, true}, {"-7", -7, true, 0, false}, {"-0", 0, false, 0, false},
		{"9223372036854775807", math.MaxInt64, true, math.MaxInt64, true}, {"9223372036854775808", 0, false, 1 << 63, true},
		{"-9223372036854775808", math.MinInt64, true, 0, false}, {"-9223372036854775809", 0, false, 0, false},
		{"18446744073709551615", 0, false, math.MaxUint64, true}, {"18446744073709551616", 0, false, 0, false},
		{"1.0", 0, false, 0, false}, {"1e2", 0, false, 0, false}, {"123456789012345678901234567890", 0, false, 0, false}, {`"1"`, 0, false, 0, false},
	} {
		v := parse(t, c.text)
		if i, ok := v.Int64(); ok != c.isInt || ok && i != c.i {
			t.Errorf("%s: Int64 %d %v", c.text, i, ok)
		}
		if u, ok := v.Uint64(); ok != c.isUint || ok && u != c.u {
			t.Errorf("%s: Uint64 %d %v", c.text, u, ok)
		}
	}
}

func TestFloat64SaysWhetherDigitsSurvive(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-0": true, "0.0": true, "1.5": true, "1.50": true, "0.1": true, "1e3": true, "1E+3": true, "123456789012345": true, "0.000": true, "00e0"[1:]: true,
		"9007199254740992": true, "9007199254740993": false, "0.1000000000000000055511151231257827": false, "123456789012345678901234567890": false,
		"100000000000000000000000": true, "1e400": false, "1e-400": false, "0e400": true, "1.7976931348623157e308": true, "5e-324": true, "4.9e-324": false, "3e-324": false,
		"0.30000000000000004": true, "0.300000000000000044": false, "12345678901234567e-1": false, "1234567890123456.7": false, "120e-1": true,
	} {
		f, exact := parse(t, text).Float64()
		if exact != want {
			t.Errorf("%s: %v, exact %v", text, f, exact)
		}
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{{"1", "1.0", true}, {"10e-1", "1", true}, {"0.5", "5e-1", true}, {"-1", "1", false}, {"0", "-0", true}, {"0", "0e9", true}, {"9007199254740992", "9007199254740993", false}, {"1e2", "100", true}, {"1001", "1.001e3", true}} {
		if got := parse(t, c.a).Same(parse(t, c.b)); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestNames(t *testing.T) {
	v := parse(t, `{"plain":1,"\u0061bc":2,"a\"b":3,"a\\n":4}`)
	for name, want := range map[string]string{"plain": "1", "abc": "2", `a"b`: "3", `a\n`: "4"} {
		if m, ok := v.Member(name); !ok || string(m.Bytes()) != want {
			t.Errorf("%s: %s", name, m.Bytes())
		}
	}
	for _, name := range []string{"plai", "plainn", `a\"b`, `\u0061bc`, "", "a\n"} {
		if m, ok := v.Member(name); ok {
			t.Errorf("%s: %s", name, m.Bytes())
		}
	}
}

// A table finds what the value finds, before and after it has an index.
func TestTable(t *testing.T) {
	v := parse(t, string(orders(50)))
	items, _ := v.Member("items")
	tab := Table{Value: items}
	for i := range 60 {
		want, ok := items.Index(i)
		if got, ok2 := tab.Index(i); ok != ok2 || string(got.Bytes()) != string(want.Bytes()) {
			t.Fatalf("element %d differs", i)
		}
	}
	tab = Table{Value: v}
	for range 10 {
		for _, name := range []string{"items", "next", "nothing"} {
			want, ok := v.Member(name)
			if got, ok2 := tab.Member(name); ok != ok2 || string(got.Bytes()) != string(want.Bytes()) {
				t.Fatalf("%s differs", name)
			}
		}
	}
	if tab.Len() != 3 || tab.Len() != 3 {
		t.Error(tab.Len())
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	v := parse(t, string(orders(20)))
	p, err := CompilePath("items[15].address.city")
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		city, _ := p.Find(v)
		if !city.Is("Köln") {
			t.Fail()
		}
		for n, m := range v.Members() {
			if n.Is("items") {
				for e := range m.Elements() {
					e.Kind()
				}
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// decoded is v as encoding/json decodes it, made by walking.
func decoded(v Value) any {
	switch v.Kind() {
	case Object:
		m := map[string]any{}
		for n, e := range v.Members() {
			m[n.String()] = decoded(e)
		}
		return m
	case Array:
		a := []any{}
		for e := range v.Elements() {
			a = append(a, decoded(e))
		}
		return a
	case String:
		return v.String()
	case Number:
		return json.Number(v.String())
	case Bool:
		b, _ := v.Bool()
		return b
	}
	return nil
}

func decodedByStd(t testing.TB, text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

func TestValuesAreThoseOfEncodingJSON(t *testing.T) {
	for _, text := range append(valid, string(orders(3))) {
		if got, want := decoded(parse(t, text)), decodedByStd(t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", text, got, want)
		}
	}
}
