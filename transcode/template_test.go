package transcode

import (
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"/v1/{name=messages/*}":           "v1 messages *; name 1-3",
		"/v1/{name=shelves/*/books/**}:x": "v1 shelves * books **; name 1-rest; :x",
		"/v1/{a.b}/c/{d}":                 "v1 * c *; a.b 1-2; d 3-4",
		"/**":                             "**",
		"/v1/*:go":                        "v1 *; :go",
		"/":                               "",
		"/caf%C3%A9":                      "café",
	} {
		p, err := parseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := describe(p); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "v1", "/v1/", "//", "/{", "/{}", "/{a", "/{a=}", "/{a={b}}", "/**/x", "/{a=**}/x", "/x:", "/x:a:b", "/{a}{b}", "/{1}", "/{a}/{a}", "/x y", "/%zz", "/a}", "/a=b", "/{a..b}", strings.Repeat("/a", 65)} {
		if p, err := parseTemplate(text); err == nil {
			t.Errorf("%q was taken as %q", text, describe(p))
		}
	}
}

func describe(p *template) string {
	name := func(s string) string { return strings.TrimPrefix(s, "\x00") }
	var parts []string
	for _, s := range p.segments {
		parts = append(parts, name(s))
	}
	out := strings.Join(parts, " ")
	for _, v := range p.vars {
		to := "rest"
		if v.to >= 0 {
			to = string(rune('0' + v.to))
		}
		out += "; " + v.field + " " + string(rune('0'+v.from)) + "-" + to
	}
	if p.verb != "" {
		out += "; :" + p.verb
	}
	return out
}

// FuzzTemplate: what is accepted can be entered and matched.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"/v1/{name=messages/*}", "/v1/{a.b=**}:x", "/{a}/*/b/**", "/%41:b", "/"} {
		f.Add(s, "/v1/messages/1:x")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := parseTemplate(text)
		if err != nil {
			return
		}
		b := &binding{http: "*", template: p, verb: p.verb}
		var tr tree
		if err := tr.add(b); err != nil {
			t.Fatal(err)
		}
		var s spans
		if s.split([]byte(path)) && tr.find("GET", &s, nil) == b {
			for i := range p.vars {
				s.value(b, &p.vars[i])
			}
		}
	})
}
