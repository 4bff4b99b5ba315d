package gopura_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// law says which packages of this module a package may import. What is not in
// it may not exist: a new package gets a line here first.
var law = map[string]string{
	"exchange":   "",
	"lifetime":   "",
	"handover":   "",
	"config":     "",
	"route":      "exchange",
	"rawjson":    "",
	"websocket":  "",
	"proxyproto": "",
	"expr":       "exchange config rawjson",
	"h1":         "exchange",
	"semantics":  "exchange websocket",
	"h2":         "exchange semantics",
	"h3":         "exchange semantics",
	"telemetry":  "exchange lifetime",
	"store":      "exchange lifetime",
	"spans":      "exchange telemetry",
	"live":       "exchange telemetry",
	"upstream":   "exchange lifetime h1 h2",
	"transcode":  "exchange lifetime config expr rawjson websocket",
	"compose":    "exchange lifetime config expr rawjson",
	"identity":   "exchange lifetime config expr",
	"certs":      "lifetime config",
	"cache":      "exchange",
	"openapi":    "config",
	"policy":     "exchange lifetime config expr identity store cache openapi websocket",
	"gateway":    "exchange lifetime config route expr h1 h2 h3 telemetry spans upstream identity policy certs store compose transcode cache handover live proxyproto",
	"importer":   "config openapi",
	"apidoc":     "config gateway policy transcode",
	"diagram":    "config gateway upstream telemetry",
	"lint":       "config gateway identity policy",
	"replay":     "exchange config gateway trial",
	"trial":      "exchange config gateway",
	"console":    "",
	"admin":      "console exchange lifetime config route expr h1 h2 telemetry upstream identity policy gateway store cache handover diagram trial live",
	"demo":       "exchange lifetime config gateway admin telemetry transcode",
	"cmd/gopura": "console exchange lifetime config route expr h1 h2 telemetry upstream identity policy gateway diagram lint trial importer apidoc admin demo store handover replay",
}

// homes says which one package may import a heavy dependency, so that it can
// be replaced, or left out, in one place.
var homes = map[string]string{
	"cel.dev/cel-go":                        "expr",
	"go.yaml.in/yaml/v4":                    "config",
	"github.com/prometheus/client_golang":   "telemetry",
	"github.com/prometheus/common":          "telemetry",
	"github.com/fsnotify/fsnotify":          "gateway",
	"github.com/spf13/cobra":                "cmd/gopura",
	"github.com/caddyserver/certmagic":      "certs",
	"go.uber.org/zap":                       "certs",
	"github.com/golang-jwt/jwt":             "identity",
	"github.com/go-jose/go-jose":            "identity",
	"github.com/coreos/go-oidc":             "identity",
	"golang.org/x/oauth2":                   "identity",
	"golang.org/x/crypto/bcrypt":            "identity",
	"golang.org/x/crypto/argon2":            "identity",
	"github.com/santhosh-tekuri/jsonschema": "policy",
	"github.com/getkin/kin-openapi":         "", // holds what we write against the standard, in tests
	"github.com/redis/rueidis":              "store",
	"github.com/maypok86/otter":             "cache",
	"github.com/andybalholm/brotli":         "policy",
	"github.com/klauspost/compress":         "policy",
	"go.opentelemetry.io":                   "spans",
	"google.golang.org/grpc":                "spans",
	"golang.org/x/net/http2":                "h2",
	"github.com/quic-go":                    "h3",
	"google.golang.org/protobuf":            "transcode",
	"connectrpc.com/connect":                "", // a client for tests
	"github.com/envoyproxy":                 "", // types for tests
	"github.com/bufbuild/protocompile":      "transcode",
	"text/template":                         "", // makes the linker keep every method: 15 MB
	"html/template":                         "",
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

// TestImportLaw reads the import graph and fails where an arrow points the
// wrong way.
func TestImportLaw(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, "gopura/")
		if p.ImportPath == "gopura" || strings.HasPrefix(name, "internal/") {
			continue // tools of tests: free, and below nobody
		}
		allowed, ok := law[name]
		if !ok {
			t.Errorf("package %s is not in the import law", name)
			continue
		}
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, "gopura/"); ok && !slices.Contains(strings.Fields(allowed), own) {
				t.Errorf("%s imports %s, which the law forbids", name, own)
			}
			for dep, home := range homes {
				if (imp == dep || strings.HasPrefix(imp, dep+"/")) && name != home {
					t.Errorf("%s imports %s, whose only home is %q", name, imp, home)
				}
			}
		}
	}
}

// TestVocabularyIsLight keeps net/http out of what everything imports.
func TestVocabularyIsLight(t *testing.T) {
	for _, p := range list(t, "./exchange", "./lifetime", "./route", "./h1", "./semantics") {
		if slices.Contains(p.Deps, "net/http") {
			t.Errorf("%s depends on net/http", p.ImportPath)
		}
	}
}

func list(t *testing.T, patterns ...string) (packages []goPackage) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, patterns...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// TestNames keeps words out of package names that say nothing.
func TestNames(t *testing.T) {
	for _, p := range list(t, "./...") {
		switch base := path.Base(p.ImportPath); base {
		case "util", "utils", "common", "types", "models", "helper", "helpers", "core", "pkg", "misc", "base":
			t.Errorf("package %s: %q says nothing", p.ImportPath, base)
		}
	}
}
