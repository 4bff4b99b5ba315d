package main

import (
	"strings"
	"testing"
)

// What is answered before any route looks at it is shown, too: the paths of a
// login, and preflights, which are a matter of the route that they ask about.
func TestRoutesKnowsPreflightsAndReservedPaths(t *testing.T) {
	t.Setenv("ROUTES_SECRET", "0123456789abcdef0123456789abcdef")
	path := file(t, `listen: 127.0.0.1:0
identity:
  site:
    oidc: { issuer: https://idp.example.com, client_id: shop, client_secret: "${env:ROUTES_SECRET}", session: { key: "${env:ROUTES_SECRET}" } }
services: { users: "http://127.0.0.1:1" }
routes:
  - { match: "GET|PUT /users/*", to: users, identity: site, cors: { origins: "https://app.example.com", methods: [GET, PUT] } }
  - { match: "OPTIONS /users/*", answer: 204 }
  - { match: /plain/*, to: users }
`)
	_, stdout, stderr := gopura("routes", "-c", path)
	for _, want := range []string{"/oauth2/callback", "/oauth2/logout", "identity site"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s%s", want, stdout, stderr)
		}
	}
	reserved := strings.Fields(strings.Split(stdout, "\n")[1])[0]
	preflight := []string{"-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: PUT"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"GET", "http://any.host" + reserved}, "* identity site answers this path itself"},
		{append([]string{"OPTIONS", "/users/7"}, preflight...), "* GET|PUT /users/*"},
		{append([]string{"OPTIONS", "/users/7"}, preflight...), "its cors policy answers the preflight for PUT"},
		{[]string{"OPTIONS", "/users/7"}, "* OPTIONS /users/*"},
		{append([]string{"OPTIONS", "/plain/7"}, preflight...), "takes it, to users"},
	} {
		code, stdout, stderr := gopura(append([]string{"routes", "-c", path}, c.args...)...)
		if code != 0 || !strings.Contains(stdout, c.want) {
			t.Errorf("%q: exit %d, no %q in\n%s%s", c.args, code, c.want, stdout, stderr)
		}
	}
}
