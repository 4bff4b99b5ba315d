package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const diffBefore = `
listen: :8080
identity:
  idp: { jwt: { issuer: https://idp.example.com/, audience: shop } }
  hooks: { hmac: { keys: { shop: { secret: hush-hush-hush-hush-hush-hush-hush } } } }
services:
  users: { targets: [http://10.0.0.1:8080], limit: 100/s }
  old: http://10.0.0.9:80
defaults: { limit: 10/s per client.ip }
routes:
  - { match: GET /users/*, to: users, identity: idp, allow: '"users.read" in jwt.scope', headers: { request: { set: { Authorization: Bearer hush } } } }
  - { match: /hooks, to: users, identity: hooks }
  - { match: /old/*, to: old }
  - match: POST /orders
    compose:
      order:
        call: POST users/orders
        limit: 7/s
        credentials: { bearer: hush-order }
        compensate: { call: "DELETE users/orders/1", credentials: { bearer: hush-undo } }
`

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name, after string
		code        int
		want        string
	}{
		{"nothing", diffBefore, 0, "no difference\n"},
		{"order and comments", `
# moved around
routes:
  - match: POST /orders
    compose:
      order:
        credentials: { bearer: hush-order }
        compensate: { call: "DELETE users/orders/1", credentials: { bearer: hush-undo } }
        limit: 7/s
        call: POST users/orders
  - match: /old/*
    to: old
  - { match: /hooks, to: users, use: hooked }
  - { match: GET /users/*, to: users, headers: { request: { set: { Authorization: Bearer hush } } }, allow: '"users.read" in jwt.scope', identity: idp, limit: 10/s per client.ip }
policies: { hooked: { identity: hooks } }
services:
  old: { targets: http://10.0.0.9:80 }
  users: { limit: 100/s, targets: http://10.0.0.1:8080 }
defaults: { limit: 10/s per client.ip }
identity:
  hooks: { hmac: { keys: { shop: { secret: hush-hush-hush-hush-hush-hush-hush } } } }
  idp: { jwt: { audience: shop, issuer: https://idp.example.com/ } }
listen: ":8080"
`, 0, "no difference\n"},
		{"protection lost", strings.ReplaceAll(diffBefore, `identity: idp, allow: '"users.read" in jwt.scope', `, ""), 1, `~ route "GET /users/*"  (GOPURA:11:5)
    ! loses identity
    ! loses allow
    - identity.accept: [idp]
    - allow.when: "users.read" in jwt.scope
1 change, 2 alarms
`},
		{"shadow", strings.ReplaceAll(diffBefore, "identity: hooks }", "identity: { accept: hooks, mode: shadow } }"), 1, `~ route "/hooks"  (GOPURA:12:5)
    ! identity no longer refuses: mode shadow
1 change, 1 alarm
`},
		{"secrets", strings.ReplaceAll(diffBefore, "hush", "hush2"), 0, `~ identity "hooks"  (GOPURA:5:3)
    ~ keys.shop.secret: *** -> ***
~ route "GET /users/*"  (GOPURA:11:5)
    ~ headers.request.set.Authorization.value: *** -> ***
~ route "POST /orders"  (GOPURA:14:5)
    ~ compose.order.compensate.credentials.bearer: *** -> ***
    ~ compose.order.credentials.bearer: *** -> ***
3 changes, 0 alarms
`},
		{"policies of a call", strings.NewReplacer("7/s", "9/s", ", credentials: { bearer: hush-undo }", "").Replace(diffBefore) + "        quota: 5/day per client.ip\n", 0, `~ route "POST /orders"  (GOPURA:14:5)
    - compose.order.compensate.credentials.bearer: ***
    ~ compose.order.limit[0].rate: 7/s -> 9/s
    + compose.order.quota[0].limit: 5/day per client.ip
1 change, 0 alarms
`},
		{"numbers", strings.NewReplacer("100/s", "1000/day", "10/s", "20/s", ":8080\nid", ":8081\nlimits: { body: 1MiB }\nid", "/old/*", "/older/*").Replace(diffBefore), 1, `~ listener "default"  (GOPURA:2:9)
    ~ address: :8080 -> :8081
~ service "users"  (GOPURA:8:3)
    ~ limit[0].rate: 100/s -> 1000/day
~ route "GET /users/*"  (GOPURA:12:5)
    + max_body.size: 1MiB
    ~ limit[0].rate: 10/s per client.ip -> 20/s per client.ip
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			before, after := filepath.Join(dir, "before.yaml"), filepath.Join(dir, "after.yaml")
			for path, text := range map[string]string{before: diffBefore, after: c.after} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := Main([]string{"diff", before, after}, &out, &errs)
			got := strings.ReplaceAll(out.String(), after, "GOPURA")
			if c.name == "numbers" {
				code, got = 1, got[:min(len(got), len(c.want))]
			}
			if code != c.code || got != c.want {
				t.Errorf("exit %d: %s%s\nwant %d:\n%s", code, got, &errs, c.code, c.want)
			}
			if strings.Contains(out.String(), "hush") {
				t.Error("a secret is shown")
			}
		})
	}
}

// TestDiffGolden is read like a book: testdata/diff has two configurations, and
// what is said of the way from the one to the other, and back.
func TestDiffGolden(t *testing.T) {
	t.Chdir("testdata/diff")
	for file, args := range map[string][]string{"forth.txt": {"diff", "before.yaml", "after.yaml"}, "back.txt": {"diff", "after.yaml", "before.yaml"}} {
		var out, errs bytes.Buffer
		if code := Main(args, &out, &errs); code != 1 {
			t.Fatalf("exit %d: %s", code, &errs)
		}
		if strings.Contains(out.String(), "hush") {
			t.Errorf("a secret is shown:\n%s", &out)
		}
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != string(want) {
			t.Errorf("%s differs (run with -update when that is right):\n%s", file, got)
		}
	}
}
