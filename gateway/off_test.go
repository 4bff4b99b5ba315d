package gateway_test

import (
	"strings"
	"testing"

	"gopura/config"
	"gopura/gateway"
)

// Defaults that decide who may come in are not switched off unseen.
func TestOffWarns(t *testing.T) {
	const text = `listen: { main: 127.0.0.1:0 }
identity: { site: anonymous }
policies:
  open: { allow: off }
defaults:
  identity: site
  allow: identity.sub == "ada"
  max_body: 8
routes:
  - { match: /*, answer: 204 }
  - { match: /a, answer: 204, identity: off, max_body: off, csrf: off }
  - { match: /b, answer: 204, use: open }
  - { match: /c, answer: 204, use: open, allow: "true" }
`
	doc, err := gateway.Check(func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, gateway.ConfigOptions())
	})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range doc.Problems().List {
		said = append(said, p.Pos.String()+" "+p.Path+": "+p.Message)
	}
	want := []string{
		`gopura.yaml:4:11 routes[2].allow: the allow of the defaults is switched off for the route "/b"`,
		`gopura.yaml:11:31 routes[1].identity: the identity of the defaults is switched off for the route "/a"`,
	}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(said, "\n"))
	}
	for _, r := range gateway.RoutesOf(doc)[1:3] {
		if got := strings.Join(r.Policies, " "); got != map[string]string{"/a": "allow", "/b": "max_body identity"}[r.Name] {
			t.Errorf("%s has %q", r.Name, got)
		}
	}
}
