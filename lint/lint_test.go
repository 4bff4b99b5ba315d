package lint_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopura/config"
	"gopura/gateway"
	"gopura/lint"
)

var update = flag.Bool("update", false, "rewrite the expected findings")

func run(t *testing.T, path string) []lint.Finding {
	t.Helper()
	doc, err := gateway.Check(func() (*config.Document, error) { return config.Load(path, gateway.ConfigOptions()) })
	if err != nil {
		t.Fatal(err)
	}
	return lint.Run(doc, os.ReadFile)
}

// TestFindings: every rule finds something in one bad configuration.
func TestFindings(t *testing.T) {
	found := run(t, "testdata/gopura.yaml")
	var b strings.Builder
	used := map[string]bool{}
	for _, f := range found {
		used[f.Rule.Name] = true
		fmt.Fprintf(&b, "%s:%d:%d %s: %s", filepath.Base(f.Pos.File), f.Pos.Line, f.Pos.Col, f.Rule.Name, f.Message)
		if f.Hint != "" {
			fmt.Fprintf(&b, " (%s)", f.Hint)
		}
		if f.Ignored != "" {
			fmt.Fprintf(&b, " [ignored: %s]", f.Ignored)
		}
		b.WriteByte('\n')
	}
	if *update {
		if err := os.WriteFile("testdata/findings.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/findings.txt")
	if err != nil || b.String() != string(want) {
		t.Errorf("%v; the findings differ (run with -update when that is right):\n%s", err, &b)
	}
	for _, r := range lint.Rules {
		if !used[r.Name] {
			t.Errorf("no test shows what rule %s finds", r.Name)
		}
	}
	if strings.Contains(b.String(), "hush") {
		t.Error("a secret is shown")
	}
}

// TestCleanConfiguration: what is as it should be gives no finding.
func TestCleanConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gopura.yaml")
	text := `
listen:
  public: { address: :443, tls: { acme: { domains: [shop.example.com], email: ops@example.com, storage: acme } } }
  plain: { address: :80, redirect: https }
identity: { idp: { jwt: { issuer: https://idp.example.com/, audience: shop } } }
services: { users: { targets: [http://10.0.0.1:8080, http://10.0.0.2:8080], health: /healthz } }
defaults: { limit: 10/s per client.ip }
routes:
  - { match: GET /users/*, identity: idp, allow: '"users.read" in jwt.scope', to: users }
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range run(t, path) {
		t.Errorf("%s %s: %s", f.Pos, f.Rule.Name, f.Message)
	}
}

// TestSARIF has what code scanners ask for.
func TestSARIF(t *testing.T) {
	text, err := lint.SARIF(run(t, "testdata/gopura.yaml"), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Locations []struct {
					PhysicalLocation struct{ Region struct{ StartLine int } }
				}
				Suppressions []struct{ Kind, Justification string }
			}
		}
	}
	if err := json.Unmarshal(text, &s); err != nil || s.Version != "2.1.0" || len(s.Runs) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	silenced := 0
	for _, r := range s.Runs[0].Results {
		if s.Runs[0].Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || len(r.Locations) != 1 || r.Locations[0].PhysicalLocation.Region.StartLine < 1 {
			t.Errorf("%+v", r)
		}
		if len(r.Suppressions) > 0 {
			silenced++
		}
	}
	if silenced != 1 {
		t.Errorf("%d are silenced", silenced)
	}
}
