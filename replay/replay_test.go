package replay

import (
	"strings"
	"testing"

	"gopura/config"
	"gopura/gateway"
)

func configuration(t *testing.T, text string) func() (*config.Document, error) {
	t.Helper()
	return func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, gateway.ConfigOptions())
	}
}

const before = `
listen: :8080
services: { users: "http://127.0.0.1:1", admin: "http://127.0.0.1:2" }
identity: { people: { jwt: { issuer: "https://id.example.com", audience: shop } } }
routes:
  - { match: /users/*, to: users, limit: { rate: 2/s, burst: 2, key: client.ip } }
  - { match: /admin/*, to: admin, identity: people }
`

const recording = `
{"time":"2026-01-01T00:00:00Z","method":"GET","host":"a","path":"/users/1?q=1","client":"192.0.2.1","status":200}
{"time":"2026-01-01T00:00:00.1Z","method":"GET","host":"a","path":"/users/2","client":"192.0.2.1","status":200}
{"time":"2026-01-01T00:00:30Z","method":"GET","host":"a","path":"/users/3","client":"192.0.2.1","status":200}
{"time":"2026-01-01T00:00:31Z","method":"GET","host":"a","path":"/admin/x","client":"192.0.2.1","identity":"people","sub":"alice","status":200}
{"time":"2026-01-01T00:00:32Z","method":"","host":"","path":"","client":"192.0.2.1","status":400,"code":"bad_request"}
`

func TestReplay(t *testing.T) {
	for _, c := range []struct {
		what, old, new string
		want           []string // 2 x before -> after
		different      int
	}{
		{"nothing has changed", "", "", nil, 0},
		// One a second, and the records' own time: the second comes too soon, the third half a minute later.
		{"a smaller limit", "rate: 2/s, burst: 2", "rate: 1/s, burst: 1",
			[]string{"1x 200 by service users, sent GET to users -> 429 rate_limited by gateway: GET a/users/2"}, 1},
		{"another service", "/users/*, to: users", "/users/*, to: admin",
			[]string{"3x 200 by service users, sent GET to users -> 200 by service admin, sent GET to admin: GET a/users/1?q=1"}, 3},
		{"who was known is still known, and refused", "identity: people }", `identity: people, allow: 'jwt.sub == "bob"' }`,
			[]string{"1x 200 by service admin, sent GET to admin -> 403 forbidden by gateway: GET a/admin/x"}, 1},
		{"a route by another name answers as before", "match: /users/*", "name: other, match: /users/*", nil, 0},
	} {
		r, err := Run(configuration(t, before), configuration(t, strings.Replace(before, c.old, c.new, 1)), strings.NewReader(recording))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if r.Requests != 4 || r.Skipped != 1 || r.Different != c.different || len(r.Groups) != len(c.want) {
			t.Errorf("%s: %+v", c.what, r)
			continue
		}
		for i, g := range r.Groups {
			got := strings.Join([]string{string(rune('0'+g.Count)) + "x", g.Before, "->", g.After + ":", g.Example}, " ")
			if got != c.want[i] {
				t.Errorf("%s:\n got %s\nwant %s", c.what, got, c.want[i])
			}
		}
	}
}

func TestRecordingsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"GET / 200\n":          "line 1 is no access record",
		"{}\n\n{\"time\":7}\n": "line 3 is no access record",
		"{\"path\":\"" + strings.Repeat("a", maxLine) + "\"}": "longer than",
	} {
		err := Read(strings.NewReader(text), func(Entry) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(recording)
	f.Add(`{"method":"G T","path":"x","client":"::1"}`)
	f.Fuzz(func(t *testing.T, text string) {
		Read(strings.NewReader(text), func(e Entry) error {
			e.exchange()
			return nil
		})
	})
}
