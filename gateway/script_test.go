package gateway_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
	"gopura/internal/scripttest"
)

type scripted struct {
	*gateway.Gateway
	log string
}

func (s scripted) Address(name string) string {
	if name == "" {
		name = "main"
	}
	return s.Gateway.Address(name)
}
func (s scripted) Admin() string         { return "" }
func (s scripted) AccessRecords() []byte { b, _ := os.ReadFile(s.log); return b }
func (s scripted) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Shutdown(ctx)
}

func TestScript(t *testing.T) {
	scripttest.Run(t, "testdata/script/*.txt", func(t testing.TB, dir, file string) (scripttest.Gateway, error) {
		log := filepath.Join(dir, "access.log")
		g := gateway.New(gateway.Options{
			Log: slog.New(slog.DiscardHandler),
			Load: func() (*config.Document, error) {
				doc, err := config.Load(filepath.Join(dir, file), gateway.ConfigOptions())
				if err == nil {
					doc.AccessLog = &config.AccessLog{To: log, Format: "json"}
				}
				return doc, err
			},
		})
		return scripted{g, log}, g.Reload(t.Context())
	})
}
