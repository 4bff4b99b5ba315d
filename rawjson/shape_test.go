package rawjson

import (
	"errors"
	"strings"
	"testing"
)

const shapeDoc = `{"id":7,"user":{"name":"Ann","mail":"a@x","address":{"city":"Ulm","zip":"1"}},"items":[{"id":1,"n":2},{"id":3,"n":null},4,null],"total":2.00,"data":{"items":[{"id":5}]},"odd.name":{"x":1},"scalar":5}`

func TestShape(t *testing.T) {
	for _, c := range []struct {
		name string
		spec Spec
		want string
	}{
		{"nothing", Spec{}, shapeDoc},
		{"pick, in the order of the document", Spec{Pick: []string{"total", "id"}}, `{"id":7,"total":2.00}`},
		{"pick deep", Spec{Pick: []string{"user.address.city", "items[].id", "missing.x"}}, `{"user":{"address":{"city":"Ulm"}},"items":[{"id":1},{"id":3},null]}`},
		{"pick leaves nothing through that is not picked", Spec{Pick: []string{"scalar.x", "user[].name", "items.id"}}, `{}`},
		{"pick a quoted name", Spec{Pick: []string{`"odd.name".x`}}, `{"odd.name":{"x":1}}`},
		{"drop", Spec{Drop: []string{"user", "items", "data.items[].id", `"odd.name"`, "missing", "scalar.x"}}, `{"id":7,"total":2.00,"data":{"items":[{}]},"scalar":5}`},
		{"rename stays in its place", Spec{Pick: []string{"id", "user.name", "total"}, Rename: []Renamed{{"user", "who"}, {"user.name", "n\"ame"}}}, `{"id":7,"who":{"n\"ame":"Ann"},"total":2.00}`},
		{"flatten", Spec{Pick: []string{"id", "user"}, Flatten: []string{"user", "user.address"}}, `{"id":7,"name":"Ann","mail":"a@x","city":"Ulm","zip":"1"}`},
		{"flatten what is no object", Spec{Pick: []string{"id", "scalar"}, Flatten: []string{"scalar"}}, `{"id":7,"scalar":5}`},
		{"flatten and pick below", Spec{Pick: []string{"id", "user.name"}, Flatten: []string{"user"}}, `{"id":7,"name":"Ann"}`},
		{"flatten and rename below", Spec{Pick: []string{"id", "user.name"}, Flatten: []string{"user"}, Rename: []Renamed{{"user.name", "who"}}}, `{"id":7,"who":"Ann"}`},
		{"own name stays", Spec{Pick: []string{"id", "items"}, Rename: []Renamed{{"items", "id"}}, Collision: KeepOwn}, `{"id":7}`},
		{"new name wins", Spec{Pick: []string{"id", "scalar"}, Rename: []Renamed{{"scalar", "id"}}, Collision: TakeNew}, `{"id":5}`},
		{"names change places", Spec{Pick: []string{"id", "scalar"}, Rename: []Renamed{{"scalar", "id"}, {"id", "scalar"}}}, `{"scalar":7,"id":5}`},
		{"take", Spec{Take: "user.address"}, `{"city":"Ulm","zip":"1"}`},
		{"take an element", Spec{Take: "items[1].id"}, `3`},
		{"take all", Spec{Take: "items[].id"}, `[1,3]`},
		{"take, then pick", Spec{Take: "data.items", Pick: []string{"[].id"}}, `[{"id":5}]`},
		{"take all, then rename", Spec{Take: "items[]", Rename: []Renamed{{"[].id", "key"}}}, `[{"key":1,"n":2},{"key":3,"n":null},4,null]`},
		{"take nothing", Spec{Take: "user.phone"}, `null`},
		{"take nothing of a list", Spec{Take: "user[].phone"}, `[]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := CompileShape(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			v := parse(t, shapeDoc)
			got, err := s.Append([]byte("x"), v)
			if err != nil || string(got) != "x"+c.want {
				t.Errorf("\n got %s %v\nwant %s", got, err, c.want)
			}
			if applied, err := s.Apply(v); err != nil || string(applied.Bytes()) != c.want {
				t.Errorf("Apply: %s %v", applied.Bytes(), err)
			}
			if _, err := Check(got[1:], Limits{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestShapeCollision(t *testing.T) {
	for _, spec := range []Spec{{Rename: []Renamed{{"id", "total"}}}, {Rename: []Renamed{{"user.name", "id"}}, Flatten: []string{"user"}}} {
		s, err := CompileShape(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Append([]byte("x"), parse(t, shapeDoc))
		var e *CollisionError
		if !errors.As(err, &e) || string(got) != "x" {
			t.Errorf("%v: %s %v", spec, got, err)
		}
	}
}

// With many members names are found by a map.
func TestShapeCollisionInLargeObjects(t *testing.T) {
	var b strings.Builder
	for i := range 40 {
		b.WriteString(`"m` + strings.Repeat("x", i) + `":1,`)
	}
	doc := parse(t, `{`+b.String()+`"o":{"mxx":2,"new":3}}`)
	for rule, want := range map[Collision]string{KeepOwn: `"mxx":1`, TakeNew: `"mxx":2`} {
		s, err := CompileShape(Spec{Flatten: []string{"o"}, Collision: rule})
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Apply(doc)
		if err != nil || !strings.Contains(string(v.Bytes()), want) || v.Len() != 41 {
			t.Errorf("%s %v", v.Bytes(), err)
		}
	}
}

func TestSpecsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Pick: []string{""}}, `pick "": a name is missing`},
		{Spec{Pick: []string{"a..b"}}, `pick "a..b": a name is missing`},
		{Spec{Pick: []string{"a."}}, `pick "a.": a name is missing`},
		{Spec{Pick: []string{"a[x]"}}, `pick "a[x]": write [] for all elements or [0] for one`},
		{Spec{Pick: []string{"a[0]"}}, `pick "a[0]": it must say [], all elements: one alone can't be changed`},
		{Spec{Pick: []string{"a[]b"}}, `pick "a[]b": a dot is missing before "b"`},
		{Spec{Pick: []string{`"a`}}, `pick "\"a": the quotes do not close`},
		{Spec{Pick: []string{"a", "a"}}, `pick "a": it is picked already: a`},
		{Spec{Pick: []string{"a", "a.b"}}, `pick "a.b": it is picked already: a`},
		{Spec{Pick: []string{"a.b", "a"}}, `pick "a": it is picked already: a.b`},
		{Spec{Pick: []string{"a"}, Drop: []string{"b"}}, `drop "b": it is not picked`},
		{Spec{Pick: []string{"a.b"}, Drop: []string{"a"}}, `drop "a": it is picked: a.b`},
		{Spec{Drop: []string{"items[]"}}, `drop "items[]": it must end in the name of a member`},
		{Spec{Drop: []string{"a"}, Rename: []Renamed{{"a", "b"}}}, `rename "a": it is dropped: a`},
		{Spec{Rename: []Renamed{{"a", ""}}}, `rename "a": the new name is missing`},
		{Spec{Rename: []Renamed{{"a", "c"}, {"b", "c"}}}, `rename "b": another member gets the name c: a`},
		{Spec{Rename: []Renamed{{"a", "c"}, {"a", "d"}}}, `rename "a": it is renamed twice`},
		{Spec{Rename: []Renamed{{"a", "c"}}, Flatten: []string{"a"}}, `flatten "a": it is renamed: what is lifted has no name of its own`},
		{Spec{Take: "a[-1]"}, `take "a[-1]": write [] for all elements or [0] for one`},
	} {
		_, err := CompileShape(c.spec)
		var e *SpecError
		if !errors.As(err, &e) || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.spec, err, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	const users = `[{"id":1,"name":"a"},{"id":"1","name":"text"},{"id":2,"name":"b"},{"name":"nokey"},{"id":null},5]`
	const posts = `[{"user":{"id":1.0},"t":"x"},{"user":{"id":1},"t":"y"},{"user":{"id":3},"t":"z"},null]`
	for _, c := range []struct {
		name        string
		spec        MergeSpec
		left, right string
		want        string
	}{
		{"concat", MergeSpec{}, `[1,2]`, ` [ "a" ] `, `[1,2,"a"]`},
		{"concat with nothing", MergeSpec{}, `null`, `[]`, `[]`},
		{"join, the first", MergeSpec{Kind: Join, LeftKey: "id", RightKey: "user.id", As: "post"}, users, posts,
			`[{"id":1,"name":"a","post":{"user":{"id":1.0},"t":"x"}},{"id":"1","name":"text","post":null},{"id":2,"name":"b","post":null},{"name":"nokey","post":null},{"id":null,"post":null},5]`},
		{"join, all, inner", MergeSpec{Kind: Join, LeftKey: "id", RightKey: "user.id", As: "name", Many: true, Inner: true}, users, posts,
			`[{"id":1,"name":[{"user":{"id":1.0},"t":"x"},{"user":{"id":1},"t":"y"}]}]`},
		{"union, the left stays", MergeSpec{Kind: Union, LeftKey: "id", Collision: KeepOwn}, `[{"id":1,"a":1},{"id":2}]`, `[{"id":3},{"id":1,"a":2,"b":3}]`, `[{"id":1,"a":1,"b":3},{"id":2},{"id":3}]`},
		{"union, the right wins", MergeSpec{Kind: Union, LeftKey: "id", Collision: TakeNew}, `[{"id":1,"a":1}]`, `[{"id":1,"a":2,"b":3}]`, `[{"id":1,"a":2,"b":3}]`},
		{"union, no contradiction", MergeSpec{Kind: Union, LeftKey: "id"}, `[{"id":1,"a":1}]`, `[{"id":1,"b":3}]`, `[{"id":1,"a":1,"b":3}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := CompileMerge(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Append(nil, parse(t, c.left), parse(t, c.right))
			if err != nil || string(got) != c.want {
				t.Errorf("\n got %s %v\nwant %s", got, err, c.want)
			}
		})
	}
	m, _ := CompileMerge(MergeSpec{Kind: Union, LeftKey: "id"})
	if _, err := m.Append(nil, parse(t, `[{"id":1,"a":1}]`), parse(t, `[{"id":1,"a":2}]`)); err == nil {
		t.Error("a contradiction is not seen")
	}
	if _, err := m.Append(nil, parse(t, `{}`), Value{}); err == nil || !strings.Contains(err.Error(), "left side is no list but: object") {
		t.Error(err)
	}
	for _, s := range []MergeSpec{{Kind: Join, LeftKey: "id"}, {Kind: Union}, {Kind: Union, LeftKey: "a[].b"}} {
		if _, err := CompileMerge(s); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

// Lists whose objects all have the same key would join to something far larger
// than both.
func TestJoinIsBounded(t *testing.T) {
	left := parse(t, "["+strings.Repeat(`{"k":1},`, 20_000)+`{"k":1}]`)
	for _, many := range []bool{false, true} {
		right := `[{"k":1,"text":"` + strings.Repeat("x", 10_000) + `"}]`
		if many {
			right = "[" + strings.Repeat(`{"k":1},`, 20_000) + `{"k":1}]`
		}
		m, err := CompileMerge(MergeSpec{Kind: Join, LeftKey: "k", As: "r", Many: many})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := m.Append(nil, left, parse(t, right)); !errors.Is(err, errJoined) {
			t.Errorf("many %v: %d bytes, %v", many, len(b), err)
		}
	}
}

func TestShapeAllocatesLittle(t *testing.T) {
	s, err := CompileShape(Spec{Pick: []string{"items[].id", "items[].address", "total"}, Rename: []Renamed{{"total", "count"}}, Flatten: []string{"items[].address"}, Collision: KeepOwn})
	if err != nil {
		t.Fatal(err)
	}
	v, buf := parse(t, string(orders(20))), make([]byte, 0, 16<<10)
	wantNoAllocs(t, "Append", func() { s.Append(buf, v) })
}
