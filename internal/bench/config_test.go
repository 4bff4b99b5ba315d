package main

import (
	"os"
	"path/filepath"
	"testing"

	"gopura/config"
	"gopura/policy"
)

// Gopura's configurations are what the language of today takes, so that a
// change of the language is noticed here and not at the next benchmark.
func TestGopuraTakesItsConfigurations(t *testing.T) {
	values := map[string]string{"PORT": "1", "ADMIN": "2", "ORIGIN": "127.0.0.1:3", "DIR": "/d", "CERTIFICATE": "/c"}
	for name, routes := range map[string]int{"plain": 1, "full": 100, "limit": 3, "tls": 1} {
		dir := t.TempDir()
		if err := writeConfigs(dir, name, values); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name+".gopura.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := config.Parse([]config.Source{{Name: name, Data: text}}, config.Options{Policies: policy.ConfigKinds()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(d.Routes) != routes {
			t.Errorf("%s: %d routes, want %d", name, len(d.Routes), routes)
		}
	}
}
