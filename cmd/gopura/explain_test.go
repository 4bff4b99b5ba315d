package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected explanations")

// explained are command lines and the files that hold what they print.
var explained = []struct{ file, line string }{
	{"passed", `/users/42|--as|{"sub":"alice","scope":["users.read"]}|-H|X-Trace: 1|-H|Cookie: session=hush`},
	{"forbidden", `/users/42?token=hush|--as|bob`},
	{"nobody", `/users/42`},
	{"cannot tell", `/users/42|-H|Authorization: Bearer hush`},
	{"condition", `/users/42/orders|-H|X-Beta: 1`},
	{"address", `POST|/orders|--client|10.1.2.3`},
	{"api key", `POST|/orders|-H|X-API-Key: test-key-0123456789abcdefghijklmnop|-H|Content-Type: application/json|-d|{}`},
	{"bad api key", `POST|/orders|-H|X-API-Key: hush|-H|Content-Type: application/json|-d|{}`},
	{"redirect", `/old/shop`},
	{"composed", `/profile/42`},
	{"no route", `/nowhere`},
	{"wrong method", `DELETE|/orders`},
	{"bad path", `/users/%zz`},
}

// TestExplain is read like a book: testdata/explain has what a user sees.
func TestExplain(t *testing.T) {
	for _, e := range explained {
		t.Run(e.file, func(t *testing.T) {
			args := append([]string{"explain"}, strings.Split(e.line, "|")...)
			var out, errs bytes.Buffer
			if code := Main(append(args, "-c", "testdata/explain/gopura.yaml"), &out, &errs); code != 0 {
				t.Fatalf("exit %d: %s", code, &errs)
			}
			if strings.Contains(out.String(), "hush") {
				t.Errorf("a secret is shown:\n%s", &out)
			}
			file := filepath.Join("testdata", "explain", strings.ReplaceAll(e.file, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != string(want) {
				t.Errorf("%s differs (run with -update when that is right):\n%s", file, got)
			}
		})
	}
}

func TestExplainJSON(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main([]string{"explain", "/users/42", "--as", "bob", "--json", "-c", "testdata/explain/gopura.yaml"}, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	var e struct {
		Route string
		Steps []struct{ Policy, Verdict, Code, Origin string }
		Sent  []any
	}
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, s := range e.Steps {
		if s.Verdict == "refused" {
			last = s.Policy + " " + s.Code + " " + filepath.Base(s.Origin)
		}
	}
	if e.Route != "GET /users/{id}" || !strings.HasPrefix(last, "allow forbidden gopura.yaml:") || e.Sent == nil || len(e.Sent) != 0 {
		t.Errorf("%+v", e)
	}
}

// TestExplainRefuses is what the command line must not accept.
func TestExplainRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"explain"}, {"explain", "users"}, {"explain", "/", "--as", "{"}, {"explain", "/", "--client", "x"}, {"explain", "/", "-H", "x"},
	} {
		var out, errs bytes.Buffer
		if code := Main(append(args, "-c", "testdata/explain/gopura.yaml"), &out, &errs); code != exitUsage {
			t.Errorf("%v: exit %d: %s", args, code, &errs)
		}
	}
}

// TestTest runs the tests of a configuration, those that pass and some that don't.
func TestTest(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main([]string{"test", "-v", "-c", "testdata/explain/gopura.yaml"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "5 tests, 0 failed") {
		t.Fatalf("exit %d: %s%s", code, &out, &errs)
	}
	config := filepath.Join(t.TempDir(), "gopura.yaml")
	text := `
listen: :8080
services: { users: http://10.0.0.1:80 }
routes:
  - { match: GET /users/*, to: users, ip: { deny: [10.0.0.0/8] } }
tests:
  - { name: good, get: /users/1, expect: { status: 200, service: users } }
  - name: bad
    post: /users/1
    json: { a: 1 }
    expect: { status: 200, code: none, route: "GET /users/*", service: users, headers: { X-A: b }, json: { a: [1, { b: 2 }] }, sent: GET /users/1 }
  - { name: denied, get: /users/1, client: 10.0.0.1, expect: 200 }
  - { name: body, get: /users/1, services: { users: { json: { a: [1, { b: 3 }], c: 1234567890123456789 } } }, expect: { json: { a: [1, { b: 2 }], d: 1 }, contains: zzz, without: Content-Type } }
  - { name: refused by nobody, get: /users/1, services: { users: { fails: timeout } }, expect: 504 }
`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report.xml")
	out.Reset()
	if code := Main([]string{"test", "--junit", report, "-c", config}, &out, &errs); code != exitProblem {
		t.Fatalf("exit %d: %s%s", code, &out, &errs)
	}
	for _, want := range []string{
		"5 tests, 3 failed",
		"FAIL  bad", "status: expected 200, got 405", "code: expected none, got method_not_allowed", "route: expected GET /users/*, got none",
		"service: expected users, got none", `header X-A: expected "b", got no such field`, "sent: expected 1 requests to services, got 0", "because no route takes it",
		"FAIL  denied", "status: expected 200, got 403", "because ip refused with ip_forbidden: the address is denied",
		"FAIL  body", "body.a[1].b: expected 2, got 3", "body.c: expected no such member, got 1234567890123456789", "body.d: expected 1, got no such member", "header Content-Type: expected no such field",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
	xml, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(xml), `tests="5" failures="3"`) {
		t.Errorf("%v\n%s", err, xml)
	}
}
