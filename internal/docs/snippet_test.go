package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/protobuf/proto"

	"gopura/config"
	"gopura/gateway"
	"gopura/identity"
	"gopura/internal/testca"
	"gopura/transcode"
	"gopura/trial"
)

// environment is what ${env:…} finds in the configurations of the pages.
var environment = map[string]string{
	"STOCK_TOKEN": "stock", "IDP_SECRET": "idp", "LEGACY_PASSWORD": "legacy",
	"GOPURA_ADMIN_TOKEN": "a-token-for-the-docs",
	"ORDERS_URL":         "http://127.0.0.1:7001",
	"PARTNER_KEY":        "a-key-for-the-docs",
	"REDIS_PASSWORD":     "a-password-for-the-docs",

	"BUILD_SECRET": "a-secret-for-the-docs", "INTROSPECTION_SECRET": "a-secret-for-the-docs",
	"OIDC_SECRET": "a-secret-for-the-docs", "SESSION_KEY": "a-key-for-the-docs, which is long enough",
}

// files are what the configurations of the pages may name below /etc/gopura:
// certificates of the test's own, and secrets.
func files(t *testing.T, dir string) {
	t.Helper()
	cert, key := certificate(t)
	clients := testca.New(t, "clients")
	list := filepath.Join(dir, "clients.crl")
	clients.List(list, time.Now().Add(time.Hour))
	for name, text := range map[string][]byte{
		"tls/clients.crt": read(t, clients.File),
		"tls/clients.crl": read(t, list),
		"tls/shop.crt":    cert,
		"tls/shop.key":    key,
		"tls/service.crt": cert,
		"secrets/partner": []byte("a-secret\n"),
	} {
		path := filepath.Join(dir, "etc/gopura", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// catalog is the service that the pages about gRPC speak of.
const catalog = `syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
message Product { string id = 1; string name = 2; }
message GetProductRequest { string id = 1; }
service Catalog {
  rpc GetProduct(GetProductRequest) returns (Product) { option (google.api.http) = {get: "/v1/products/{id}"}; }
}
service Prices { rpc Get(GetProductRequest) returns (Product); }
`

// credentials writes the files of users and keys that pages name.
func credentials(t *testing.T, dir string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("lovelace"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"users":     "ada:" + string(hash) + "\n",
		"keys.yaml": "owners: { acme: { keys: [{ id: a, hash: \"" + identity.HashAPIKey(identity.NewAPIKey(), "") + "\" }] } }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// descriptors writes the descriptor sets that pages name.
func descriptors(t *testing.T, dir string) {
	t.Helper()
	source := filepath.Join(dir, "catalog.proto")
	if err := os.WriteFile(source, []byte(catalog), 0o600); err != nil {
		t.Fatal(err)
	}
	set, _, err := transcode.Compile(t.Context(), []string{source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.pb", "prices.pb"} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "docs"}, DNSNames: []string{"shop.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// TestSnippets executes the pages, each in a folder of its own, from top to
// bottom: configurations are checked and written, commands run.
func TestSnippets(t *testing.T) {
	for _, d := range writtenPages(t) {
		t.Run(d.path, func(t *testing.T) {
			dir := t.TempDir()
			files(t, dir)
			descriptors(t, dir)
			credentials(t, dir)
			for _, b := range d.blocks {
				switch b.language {
				case "yaml":
					checkYAML(t, d, b, dir)
				case "nginx":
					writeForeign(t, b, dir)
				case "console":
					runOffline(t, d, b, dir)
				case "text", "mermaid", "go", "ini", "sh", "js", "json", "promql":
				default:
					t.Errorf("%s:%d: a block of %q: see doc.go for what a page may contain", d.path, b.lines[0].number-1, b.language)
				}
			}
		})
	}
}

var namePattern = regexp.MustCompile(`^# ([\w./-]+\.ya?ml)$`)

func checkYAML(t *testing.T, d document, b block, dir string) {
	t.Helper()
	at := fmt.Sprintf("%s:%d", d.path, b.lines[0].number)
	text := strings.ReplaceAll(b.text(), "/etc/gopura/", dir+"/etc/gopura/")
	var any any
	if err := yaml.Unmarshal([]byte(text), &any); err != nil && b.mark != "refused" {
		t.Errorf("%s: %v", at, err)
		return
	}
	if b.mark == "fragment" {
		return
	}
	if b.mark == "foreign" {
		writeForeign(t, b, dir)
		return
	}
	name := "gopura.yaml"
	if m := namePattern.FindStringSubmatch(b.lines[0].text); m != nil {
		name = m[1]
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	switch doc, err := check(path); {
	case b.mark == "refused" && err == nil:
		t.Errorf("%s: accepted, but the page says that it is refused", at)
	case b.mark == "refused":
	case b.mark != "":
		t.Errorf("%s: yaml %q: the mark is refused, fragment, foreign or none", at, b.mark)
	case err != nil:
		t.Errorf("%s: %s", at, rendered(err))
	case len(doc.Problems().List) > 0:
		t.Errorf("%s: warnings: %v", at, doc.Problems().List)
	default:
		runTests(t, at, path, doc)
	}
}

// writeForeign writes a file that is not ours, under the name in its first line.
func writeForeign(t *testing.T, b block, dir string) {
	t.Helper()
	name := strings.TrimPrefix(b.lines[0].text, "# ")
	if !filepath.IsLocal(name) {
		t.Fatalf("line %d: the first line names no file", b.lines[0].number)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(b.text()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runTests runs the tests of a configuration, which pass.
func runTests(t *testing.T, at, path string, doc *config.Document) {
	t.Helper()
	load := func() (*config.Document, error) { return config.Load(path, configOptions()) }
	for i := range doc.Tests {
		for _, f := range trial.Run(load, &doc.Tests[i]).Failures {
			t.Errorf("%s: test %q: %s", at, doc.Tests[i].Name, f)
		}
	}
}

func check(path string) (*config.Document, error) {
	return gateway.Check(func() (*config.Document, error) { return config.Load(path, configOptions()) })
}

func configOptions() config.Options {
	o := gateway.ConfigOptions()
	o.Env = func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	return o
}

func rendered(err error) string {
	var p *config.Problems
	if !errors.As(err, &p) {
		return err.Error()
	}
	var b bytes.Buffer
	p.Render(&b, false)
	return b.String()
}

// offline are the commands that open nothing.
var offline = regexp.MustCompile(`^gopura (import|openapi|check|routes|explain|test|graph|schema|version|help)\b`)

func runOffline(t *testing.T, d document, b block, dir string) {
	t.Helper()
	for _, c := range b.commands() {
		if b.mark == "" && offline.MatchString(c.text) {
			runCommand(t, d, c, c.text, dir)
		}
	}
}

// runCommand runs a command in dir and compares what it prints.
func runCommand(t *testing.T, d document, c command, text, dir string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(text, "/etc/gopura", dir+"/etc/gopura"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(gopura(t))+":"+os.Getenv("PATH"), "NO_COLOR=1")
	for k, v := range environment {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if len(c.output) == 0 && err != nil {
		t.Errorf("%s:%d: %s: %v\n%s", d.path, c.line, c.text, err, out)
	}
	got := strings.ReplaceAll(strings.ReplaceAll(string(out), "\r", ""), dir+"/etc/gopura", "/etc/gopura")
	if len(c.output) > 0 && !matches(c.output, strings.Split(strings.TrimRight(got, "\n"), "\n")) {
		t.Errorf("%s:%d: $ %s\nprints\n%s\nthe page says\n%s", d.path, c.line, c.text, got, strings.Join(c.output, "\n"))
	}
}

// matches compares output: "…" is anything within a line, a line of nothing
// else any number of lines.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(want[0]) == "…" {
		for i := range len(got) + 1 {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	if len(got) == 0 {
		return false
	}
	parts := strings.Split(strings.TrimRight(want[0], " "), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	re := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
	return re.MatchString(strings.TrimRight(got[0], " ")) && matches(want[1:], got[1:])
}
