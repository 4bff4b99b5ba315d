package expr

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"gopura/rawjson"
)

var (
	userDoc    = `{"id": 9007199254740993, "email":"a b@x.org", "name":"Ann \"A\" \u00fc", "big":123456789012345678901234567890, "huge":18446744073709551615, "price":1.50, "none":null, "ok":true, "tags":["x","y"], "dots":"..", "empty":"", "a-b":{"c":1}}`
	ordersDoc  = `{"items":[{"id":"o1","n":2,"price":10.5},{"id":"o2","n":3,"price":4.25,"extra":[ 1, 2 ]}],"total":2}`
	reviewsDoc = `[{"stars":5},{"stars":1}]`
)

func parsed(t testing.TB, text string) rawjson.Value {
	t.Helper()
	v, err := rawjson.Parse([]byte(text), rawjson.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// parts is an environment with the results of three calls, and those results.
// The call "lost" was not answered.
func parts(t testing.TB) (*Env, Vars) {
	t.Helper()
	env, err := newEnv(t).With([]string{"user", "orders", "reviews", "lost"})
	if err != nil {
		t.Fatal(err)
	}
	return env, Vars{parsed(t, userDoc), parsed(t, ordersDoc), parsed(t, reviewsDoc), {}}
}

// A document that is repeated for each element of another has an end.
func TestJSONIsBounded(t *testing.T) {
	env, vars := parts(t)
	vars[0] = parsed(t, `{"text":"`+strings.Repeat("x", 1<<20)+`"}`)
	vars[1] = parsed(t, "["+strings.Repeat("1,", 200)+"1]")
	p, err := env.Compile(`orders.map(o, {"o": o, "user": user})`, Any)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := p.JSON(nil, request(), vars); err == nil {
		t.Errorf("%d bytes", len(b))
	}
}

func TestJSON(t *testing.T) {
	env, vars := parts(t)
	x := request()
	for _, c := range []struct{ text, want string }{
		// Parts of documents are spliced in as they are.
		{`{"user": user, "orders": orders.items, "reviews": reviews}`, `{"user":` + userDoc + `,"orders":` + ordersDoc[9:strings.Index(ordersDoc, `,"total"`)] + `,"reviews":` + reviewsDoc + `}`},
		{`user.id`, `9007199254740993`}, {`user.big`, `123456789012345678901234567890`}, {`user.price`, `1.50`},
		{`user.name`, `"Ann \"A\" \u00fc"`}, {`orders.items[1].extra`, `[ 1, 2 ]`}, {`user["a-b"].c`, `1`}, {`lost`, `null`}, {`user.none`, `null`},
		{`[user.id, lost, "é", 1.5, true, null, b"hi"]`, `[9007199254740993,null,"é",1.5,true,null,"aGk="]`},
		// The order is that of the expression, however deep.
		{`{"z": 1, "a": {"y": user.id, "b": [{"d": 1, "c": 2}]}}`, `{"z":1,"a":{"y":9007199254740993,"b":[{"d":1,"c":2}]}}`},
		{`orders.items.map(o, {"z": o.id, "a": o.n})`, `[{"z":"o1","a":2},{"z":"o2","a":3}]`},
		// Facts and computed leaves.
		{`{"path": path.id, "n": size(orders.items), "who": jwt.sub, "plan": header["x-plan"]}`, `{"path":"a b","n":2,"who":"alice","plan":"gold"}`},
		{`{"total": orders.total + 1, "ids": orders.items.map(o, o.id)}`, `{"total":3,"ids":["o1","o2"]}`},
		{`orders.items.filter(o, o.n > 2)`, `[{"id":"o2","n":3,"price":4.25,"extra":[ 1, 2 ]}]`},
		{`orders.items + reviews`, `[{"id":"o1","n":2,"price":10.5},{"id":"o2","n":3,"price":4.25,"extra":[ 1, 2 ]},{"stars":5},{"stars":1}]`},
		{`user.ok ? user["a-b"] : null`, `{"c":1}`}, {`has(user.email) ? user.big : 0`, `123456789012345678901234567890`},
		{`user.?missing.orValue([])`, `[]`}, {`lost == null ? "gone" : lost`, `"gone"`}, {`lost.?items.orValue("none")`, `"none"`},
		{`user.tags.join("+")`, `"x+y"`}, {`user.tags[0] + user.email`, `"xa b@x.org"`}, {`"x" in user.tags`, `true`}, {`"email" in user`, `true`},
		{`user.tags == ["x", "y"]`, `true`}, {`orders.items[0] == {"id": "o1", "n": 2, "price": 10.5}`, `true`}, {`user.map(k, k)[1]`, `"email"`},
		{`orders.items.exists(o, o.price > 10.0)`, `true`}, {`size(user["a-b"])`, `1`},
		// Numbers.
		{`user.id + 1`, `9007199254740994`}, {`user.huge - 1u`, `18446744073709551614`}, {`user.big > 5.0`, `true`}, {`user.big == 1.2345678901234568e29`, `true`},
		{`user.big == user.big`, `true`}, {`string(user.big)`, `"123456789012345678901234567890"`}, {`user.price * 2.0`, `3`}, {`type(user.id) == int`, `true`},
		{`1.0 / 0.0`, `null`}, {`duration("90s")`, `"90s"`}, {`timestamp("2024-01-01T00:00:00Z")`, `"2024-01-01T00:00:00Z"`},
	} {
		p, err := env.Compile(c.text, Any)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, err := p.JSON(nil, x, vars)
		if err != nil || string(got) != c.want || !json.Valid(got) {
			t.Errorf("%s:\n got %s %v\nwant %s", c.text, got, err, c.want)
		}
		if raw, err := p.Raw(x, vars); err != nil || string(raw.Bytes()) != c.want {
			t.Errorf("Raw %s: %s %v", c.text, raw.Bytes(), err)
		}
	}
}

// With and without CEL the same is missing, in the same words.
func TestWhatIsMissingIsAnError(t *testing.T) {
	env, vars := parts(t)
	for _, c := range []struct{ text, want string }{
		{`user.phone`, `no such key: phone`}, {`{"a": user.phone}`, `no such key: phone`}, {`[1].map(n, user.phone)`, `no such key: phone`},
		{`lost.items`, `no such key: items`}, {`lost.items[0] == 1`, `no such key: items`}, {`user.email.x`, `no such key: x`},
		{`reviews[2]`, `index out of bounds: 2`}, {`{"a": reviews[1 + 1]}`, `index out of bounds: 2`}, {`user[0]`, `no such index: 0`},
		{`user.id + "x"`, `no such overload`},
	} {
		p := mustCompile(t, env, c.text, Any)
		if got, err := p.JSON([]byte("before"), request(), vars); err == nil || !strings.Contains(err.Error(), c.want) || string(got) != "before" {
			t.Errorf("%s: %q %v", c.text, got, err)
		}
	}
}

func TestConditionsAndTexts(t *testing.T) {
	env, vars := parts(t)
	for text, want := range map[string]bool{`user.ok`: true, `lost != null`: false, `size(orders.items) > 1 && path.id != ""`: true, `reviews.all(r, r.stars > 1)`: false} {
		if got, err := mustCompile(t, env, text, Bool).BoolWith(request(), vars); got != want || err != nil {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	if _, err := mustCompile(t, env, `user.email`, Bool).BoolWith(request(), vars); err == nil {
		t.Error("a text is a condition")
	}
	for text, want := range map[string]string{`user.name`: `Ann "A" ü`, `user.big`: "123456789012345678901234567890", `user.price`: "1.50", `user.none`: "", `user.ok`: "true", `user.id`: "9007199254740993", `reviews.size()`: "2"} {
		if got, err := mustCompile(t, env, text, String).AppendWith(nil, request(), vars); string(got) != want || err != nil {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	for _, text := range []string{`user`, `orders.items`} {
		if _, err := mustCompile(t, env, text, String).AppendWith(nil, request(), vars); err == nil {
			t.Errorf("%s has a text", text)
		}
	}
	// Value is what explanations show.
	if v, err := mustCompile(t, env, `user`, Any).Value(request()); v != nil || err == nil {
		t.Errorf("a program without its values: %v %v", v, err)
	}
}

func TestTemplatesWithParts(t *testing.T) {
	env, vars := parts(t)
	for _, c := range []struct {
		text, want string
		place      Place
	}{
		{`/by/{user.email}?ids={orders.items[0].id}&n={size(reviews)}`, `/by/a%20b%40x.org?ids=o1&n=2`, URL},
		{`/u/{user.id}/{path.id}`, `/u/9007199254740993/a%20b`, Path},
		{`/u?q={user.empty}`, `/u?q=`, URL},
		{`Bearer {user.email}`, `Bearer a b@x.org`, Header},
		{`{lost}|{user.none}`, `|`, Plain},
	} {
		tpl, err := env.TemplateFor(c.text, c.place)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.AppendWith(nil, request(), vars); string(got) != c.want || err != nil {
			t.Errorf("%s: %q %v", c.text, got, err)
		}
	}
	for text, place := range map[string]Place{`/u/{user.dots}/x`: URL, `/u/{user.empty}/x`: Path, `/u/{user.none}`: URL, `/u?q={user.none}`: URL, `/u?q={lost}`: Path,
		`/{user.?phone.orValue("")}`: URL, `https://{user.dots}/`: URL, `x: {"a\nb" + user.empty}`: Header} {
		tpl, err := env.TemplateFor(text, place)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.AppendWith(nil, request(), vars); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
}

func TestNamesOfWith(t *testing.T) {
	env, _ := parts(t)
	p := mustCompile(t, env, `{"a": orders.items.map(user, user.x), "b": reviews, "c": orders}`, Any)
	if got := p.Vars(); !slices.Equal(got, []string{"orders", "reviews"}) {
		t.Errorf("Vars: %v", got)
	}
	tpl, err := env.TemplateFor(`/{reviews[0].x}/{user.id}{user.name}`, URL)
	if err != nil || !slices.Equal(tpl.Vars(), []string{"reviews", "user"}) {
		t.Errorf("Vars: %v %v", tpl, err)
	}
	for name, want := range map[string]string{"jwt": "fact", "request": "fact", "in": "word", "int": "type", "a-b": "not a name", "1a": "not a name", "": "missing", "user": "twice", "ü": "not a name"} {
		if _, err := env.With([]string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := env.Compile(`usr.id`, Any); err == nil || !strings.Contains(err.Error(), "did you mean user?") {
		t.Errorf("a name misspelt: %v", err)
	}
	inner, err := env.With([]string{"item"})
	if err != nil {
		t.Fatal(err)
	}
	mustCompile(t, inner, `item.id + user.id`, Any)
	if _, err := newEnv(t).Compile(`user.id`, Any); err == nil {
		t.Error("With changed the environment it came from")
	}
}

func TestDocumentsAreNotWalkedWithoutEnd(t *testing.T) {
	env, vars := parts(t)
	vars[2] = parsed(t, `[`+strings.Repeat(`1,`, 20000)+`1]`)
	p := mustCompile(t, env, `reviews.map(a, reviews.map(b, a + b))`, Any)
	if _, err := p.JSON(nil, request(), vars); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("20,000 × 20,000 steps: %v", err)
	}
}

func TestPartsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes a sync.Pool forget")
	}
	env, vars := parts(t)
	x, buf := request(), make([]byte, 0, 4096)
	p := mustCompile(t, env, `{"user": user, "orders": orders.items, "reviews": reviews, "id": path.id}`, Any)
	if n := testing.AllocsPerRun(100, func() { p.JSON(buf, x, vars) }); n != 0 {
		t.Errorf("JSON: %v allocations", n)
	}
	tpl, err := env.TemplateFor(`/by/{user.email}?ids={orders.items[0].id}`, URL)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { tpl.AppendWith(buf, x, vars) }); n != 0 {
		t.Errorf("template: %v allocations", n)
	}
}

func BenchmarkJSON(b *testing.B) {
	env, vars := parts(b)
	x, buf := request(), make([]byte, 0, 4096)
	for name, text := range map[string]string{
		"literal":  `{"user": user, "orders": orders.items, "reviews": reviews}`,
		"computed": `{"user": user, "n": size(orders.items), "reviews": reviews}`,
		"cel":      `true ? {"user": user, "orders": orders.items, "reviews": reviews} : {}`,
		"map":      `orders.items.map(o, {"id": o.id, "n": o.n})`,
	} {
		b.Run(name, func(b *testing.B) {
			p := mustCompile(b, env, text, Any)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.JSON(buf, x, vars); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
