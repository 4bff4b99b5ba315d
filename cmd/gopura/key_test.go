package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"gopura/identity"
)

// A new key is printed with an entry that a source takes and that knows the key.
func TestKeyNew(t *testing.T) {
	t.Setenv("KEY_PEPPER", "a pepper that is long enough")
	for _, c := range []struct{ flags, pepper string }{{"", ""}, {"--pepper-env KEY_PEPPER --expires 24h", "a pepper that is long enough"}} {
		var out, errs bytes.Buffer
		if code := Main(append([]string{"key", "new", "--owner", "acme: #1"}, strings.Fields(c.flags)...), &out, &errs); code != 0 {
			t.Fatalf("exit code %d: %s", code, &errs)
		}
		key := regexp.MustCompile(`key: (gopura_\S{43})\n`).FindStringSubmatch(out.String())
		if key == nil || strings.Count(out.String(), key[1]) != 1 || !strings.Contains(out.String(), identity.HashAPIKey(key[1], c.pepper)) {
			t.Errorf("printed %s", &out)
		}
	}
}

func TestKeyHash(t *testing.T) {
	hash := func(stdin string, args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		root := newRoot()
		root.SetArgs(append([]string{"key", "hash"}, args...))
		root.SetIn(strings.NewReader(stdin))
		root.SetOut(&out)
		root.SetErr(&errs)
		err := root.Execute()
		if err != nil {
			return out.String(), err.Error(), exitProblem
		}
		return out.String(), errs.String(), 0
	}
	const key = "an old key of a partner, 1998"
	if out, errs, code := hash(key + "\n"); out != identity.HashAPIKey(key, "")+"\n" || code != 0 {
		t.Errorf("got %q %q", out, errs)
	}
	for _, stdin := range []string{"", "\n", "short", strings.Repeat("x", 600)} {
		if out, errs, code := hash(stdin); code == 0 || out != "" || stdin == "short" && strings.Contains(errs, stdin) {
			t.Errorf("%.20q: %q %q", stdin, out, errs)
		}
	}
	if _, errs, code := hash(key, "--pepper-env", "GOPURA_NO_SUCH_PEPPER"); code == 0 || !strings.Contains(errs, "GOPURA_NO_SUCH_PEPPER") {
		t.Errorf("a pepper that is not there: %q", errs)
	}
}
