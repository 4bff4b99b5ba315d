package expr

import (
	"errors"
	"strings"
	"testing"

	"gopura/exchange"
)

func TestTemplates(t *testing.T) {
	env, x := newEnv(t), request()
	x.Request.Query = []byte("v=a/b+c%0d&u=..&q=%26x%3D1&ok=1")
	for _, c := range []struct {
		place      Place
		text, want string
	}{
		{Plain, "", ""},
		{Plain, "no holes", "no holes"},
		{Plain, "{{{path.id}}}", "{a b}"},
		{Plain, `{ {"a": "}"}.a }{"{"}{'\'}'}{r'\'}{"""}"}""" + 'x'}`, `}{'}\}"}x`},
		{Header, "{client.ip}, {jwt.sub}", "10.1.2.3, alice"},
		{Header, "{jwt.none}", ""},
		{Path, "/v2/{path.id}", "/v2/a%20b"},        // inserted as the path has it
		{Path, `/v2/{path["*"]}`, "/v2/x/y%20z"},    // the rest keeps its slashes
		{Path, `/v2/{path.id + ""}`, "/v2/a%20b"},   // computed: decoded, then encoded
		{Path, `/v2/{query.v}`, "/v2/a%2Fb%20c%0D"}, // no slash and no control gets in
		{Path, `/x{request.path}?{request.query}`, "/x/users/a%20b?v=a/b+c%0d&u=..&q=%26x%3D1&ok=1"},
		{Path, `/x?p={request.path}&id={path.id}`, "/x?p=%2Fusers%2Fa%2520b&id=a%20b"},
		{Path, `/x?q={query.q}`, "/x?q=%26x%3D1"}, // no second parameter gets in
		{Path, `/{"?#%"}`, "/%3F%23%25"},
		{Query, `q={query.q}`, "q=%26x%3D1"},
		{URL, `https://{request.host}{request.path}?{request.query}`, "https://shop.example/users/a%20b?v=a/b+c%0d&u=..&q=%26x%3D1&ok=1"},
		{URL, `{request.scheme}://{request.host}:8443/{query.ok}#{query.ok}`, "https://shop.example:8443/1#1"},
		{Host, `{request.host}:8080`, "shop.example:8080"},
		{URL, `{request.path}/x`, "/users/a%20b/x"},
		{URL, `{"https://evil.example"}`, "https%3A%2F%2Fevil.example"}, // a value names no other host
	} {
		tpl, err := env.TemplateFor(c.text, c.place)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, err := tpl.Append([]byte("<"), x)
		if err != nil || string(got) != "<"+c.want {
			t.Errorf("%s = %q, %v; want %q", c.text, got, err, "<"+c.want)
		}
		if s, ok := tpl.Constant(); ok && s != c.want {
			t.Errorf("%s: constant %q", c.text, s)
		}
	}
}

// A value that may not stand in its place is never half of a result.
func TestTemplateRefusesUnsafeValues(t *testing.T) {
	env, x := newEnv(t), request()
	x.Request.Query = []byte("crlf=a%0d%0aX:1&nul=%00&del=%7f&host=evil.example/x&at=u@h&bad=javascript")
	x.Request.Path = []byte("//evil.example")
	for _, c := range []struct {
		place Place
		text  string
	}{
		{Header, "a {query.crlf}"}, {Header, "{query.nul}"}, {Header, "{query.del}"}, {Header, `{"a" + query.crlf}`},
		{Host, "{query.at}"}, {Host, "{query.none}"}, {URL, "https://{query.host}/"}, {URL, "https://{query.at}/"}, {URL, "https://{query.none}/"},
		{URL, "{query.bad}://example.com/"}, {URL, "{request.path}"}, {URL, "/{request.path}"},
	} {
		tpl, err := env.TemplateFor(c.text, c.place)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if got, err := tpl.Append([]byte("<"), x); !errors.Is(err, ErrUnsafe) || string(got) != "<" {
			t.Errorf("%s = %q, %v; want ErrUnsafe and nothing", c.text, got, err)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	env := newEnv(t)
	for _, c := range []struct {
		place  Place
		text   string
		offset int
		want   string
	}{
		{Plain, "a{", 1, "{ without its }"},
		{Plain, "a}b", 1, "} without its {"},
		{Plain, "a{ }", 1, "{} without an expression"},
		{Plain, `a{"}`, 1, "{ without its }"},
		{Plain, "/v2/{path.id}/{qury.x}", 15, "unknown fact qury"},
		{Plain, "{[1]}", 1, "the expression must be a text"},
		{Header, "a\nb", 0, "a header value holds no control characters"},
		{Path, "/a b", 0, "a path or URL is written in ASCII"},
		{Path, "/%4{path.id}", 0, "% must be followed by two hexadecimal digits"},
		{Path, "/a#b", 2, "a fragment (#) is never sent"},
		{Path, "/a?b#c", 4, "a fragment (#) is never sent"},
		{Host, "a/b", 0, "a host is written as"},
		{Query, "a=b#c", 3, "a fragment (#) is never sent"},
	} {
		_, err := env.TemplateFor(c.text, c.place)
		var e *Error
		if !errors.As(err, &e) || e.Offset != c.offset || !strings.HasPrefix(e.Error(), c.want) {
			t.Errorf("%q: got %v %+v; want %d %s", c.text, err, e, c.offset, c.want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "a", "{{", "}}", "{", "}", "{}", "/v2/{path.id}?q={query.v}", `{ {"a":"}"}.a }`, `{'''}'''}`, `{r"\"}`,
		"https://{request.host}/{path[\"*\"]}", "{request.scheme}://{header[\"host2\"]}", "%{query.v}", "{jwt.age}"} {
		for place := range uint8(6) {
			f.Add(s, place, "v=%0d%0a/../%2e", "a b")
		}
	}
	env := newEnv(f)
	f.Fuzz(func(t *testing.T, text string, place uint8, query, header string) {
		tpl, err := env.TemplateFor(text, Place(place%6))
		if err != nil {
			return
		}
		x := request()
		x.Request.Query = []byte(query)
		x.Request.Header.Add("X-H", header)
		out, err := tpl.Append(nil, x)
		if err != nil {
			if len(out) != 0 {
				t.Fatalf("%q: half a result %q", text, out)
			}
			return
		}
		if c, ok := tpl.Constant(); ok && c != string(out) {
			t.Fatalf("%q: constant %q, appended %q", text, c, out)
		}
		switch Place(place % 6) {
		case Header:
			if !exchange.ValidValue(out) {
				t.Fatalf("%q: not a field value: %q", text, out)
			}
		case Path, Query, URL:
			// Raw parts come from a request that the front end has checked; of
			// the query that means visible ASCII.
			for _, c := range []byte(query) {
				if c <= ' ' || c >= 0x7f {
					return
				}
			}
			for _, c := range out {
				if c <= ' ' || c >= 0x7f {
					t.Fatalf("%q: %q", text, out)
				}
			}
		}
	})
}
