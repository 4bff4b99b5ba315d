package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// LogConfig says where the gateway's own log goes and how it looks.
type LogConfig struct {
	To     io.Writer
	Format string         // "text" (also "") or "json"
	Level  *slog.LevelVar // may be set while the log is in use; nil: info
}

// NewLog returns the gateway's own log. Its times look like those of access
// records, so that the two can be read side by side.
func NewLog(c LogConfig) (*slog.Logger, error) {
	o := &slog.HandlerOptions{ReplaceAttr: inUTC}
	if c.Level != nil {
		o.Level = c.Level
	}
	switch c.Format {
	case "", "text":
		return slog.New(slog.NewTextHandler(c.To, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.To, o)), nil
	}
	return nil, fmt.Errorf("log: unknown format %q (text or json)", c.Format)
}

// ParseLevel returns the level of that name: debug, info, warn or error.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log: unknown level %q (debug, info, warn or error)", name)
}

func inUTC(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(string(appendTime(make([]byte, 0, len(time.RFC3339Nano)), a.Value.Time())))
	}
	return a
}
