package gateway

import (
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
)

// FuzzDebugToken: only what was signed is good, whatever is sent.
func FuzzDebugToken(f *testing.F) {
	g := New(Options{Load: func() (*config.Document, error) {
		text := "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\naccess_log: off\nroutes: [{match: /*, answer: 200}]\n"
		return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, ConfigOptions())
	}})
	if err := g.Reload(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { g.Shutdown(f.Context()) })
	good, _, err := g.DebugToken(time.Hour, DebugScope{Host: "shop.example", Path: "/users"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "...", good + "=", good + "\n", strings.ToUpper(good), good[1:], "1." + good, strings.Replace(good, ".", "..", 1)} {
		f.Add(seed)
	}
	s := g.current.Get().Value
	f.Fuzz(func(t *testing.T, token string) {
		x := &exchange.Exchange{}
		x.Request.Host, x.Request.Path = []byte("shop.example"), []byte("/users/42")
		if g.mayDebug(s, x, []byte(token), time.Now()) != (token == good) {
			t.Errorf("%q is taken, or the good one is not", token)
		}
	})
}
