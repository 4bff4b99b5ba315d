package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestLog(t *testing.T) {
	var b bytes.Buffer
	level := new(slog.LevelVar)
	log, err := NewLog(LogConfig{To: &b, Format: "json", Level: level})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not yet")
	level.Set(slog.LevelDebug)
	log.Debug("target is back", "service", "users\n")
	var v map[string]string
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(v["time"]) || v["service"] != "users\n" {
		t.Error(b.String())
	}

	b.Reset()
	log, _ = NewLog(LogConfig{To: &b})
	log.Info("listening", "time", "noon")
	if got := b.String(); !regexp.MustCompile(`^time=\S+\.\d{3}Z level=INFO msg=listening time=noon\n$`).MatchString(got) {
		t.Error(got)
	}
	if _, err := NewLog(LogConfig{To: &b, Format: "xml"}); err == nil {
		t.Error("xml is a format")
	}
}

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "": slog.LevelInfo, "INFO": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if got, err := ParseLevel(name); err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Error(err)
	}
}
