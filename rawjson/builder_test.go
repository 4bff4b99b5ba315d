package rawjson

import (
	"encoding/json"
	"math"
	"testing"
)

func TestBuilder(t *testing.T) {
	var b Builder
	b.Reset([]byte("before:"))
	b.Object()
	b.Name("a\"b")
	b.Array()
	b.Int(-1)
	b.Uint(math.MaxUint64)
	b.Float(1.5)
	b.Float(1e300)
	b.Float(math.NaN())
	b.Bool(true)
	b.Null()
	b.Array()
	b.EndArray()
	b.Object()
	b.EndObject()
	b.EndArray()
	b.Name("raw")
	b.Raw(parse(t, " { \"x\" : 1.00 } "))
	b.Name("none")
	b.Raw(Value{})
	b.Name("")
	b.String("\x00\x1f\"\\/\n\r\té\xff\u2028")
	b.EndObject()
	want := `before:{"a\"b":[-1,18446744073709551615,1.5,1e+300,null,true,null,[],{}],"raw":{ "x" : 1.00 },"none":null,"":"\u0000\u001f\"\\/\n\r\té` + "\uFFFD\u2028" + `"}`
	if string(b.Bytes()) != want {
		t.Errorf("\n got %s\nwant %s", b.Bytes(), want)
	}
	if !json.Valid(b.Value().Bytes()) {
		t.Error("not valid")
	}
}

func TestBuilderDoesNotAllocate(t *testing.T) {
	v, buf := parse(t, string(orders(20))), make([]byte, 0, 16<<10)
	if n := testing.AllocsPerRun(100, func() {
		var b Builder
		b.Reset(buf)
		b.Object()
		for _, name := range [...]string{"user", "orders", "reviews"} {
			b.Name(name)
			b.Raw(v)
		}
		b.Name("n")
		b.Int(12345)
		b.EndObject()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
