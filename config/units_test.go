package config

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "off": 0, "300ms": 300 * time.Millisecond, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond,
		"2d": 48 * time.Hour, "10us": 10 * time.Microsecond, "10µs": 10 * time.Microsecond, "5ns": 5, "0s": 0, ".5s": 500 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "-1s", "+1s", "s", "1 s", "1e3s", "1.2.3s", "1S", "1w", "∞", "300000d", "1h30", ".s", "."} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "512": 512, "1k": 1024, "64KiB": 64 << 10, "8MiB": 8 << 20, "8mib": 8 << 20, "1g": 1 << 30, "1.5KiB": 1536, "1kB": 1000, "2MB": 2e6, "3 GiB": 3 << 30, "7B": 7,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q: written as %v", text, got)
		}
	}
	for _, text := range []string{"", "-1", "+1", "k", "0.5", "1.5", "1x", "1e9", "9223372036854775808", "99999999TiB", "1kk"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]Percent{"0%": 0, "50%": 0.5, "33.5%": 0.335, "100%": 1} {
		got, err := ParsePercent(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "50", "0.5", "-1%", "+1%", "101%", "1e1%", "NaN%", "Inf%", ".%", "50 %"} {
		if got, err := ParsePercent(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"10/s": {10, time.Second}, "5/10s": {5, 10 * time.Second}, "1000/day": {1000, 24 * time.Hour}, "100/min": {100, time.Minute}, "1/h": {1, time.Hour}, "3/500ms": {3, 500 * time.Millisecond},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q: written as %v", text, got)
		}
	}
	for _, text := range []string{"", "10", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "1/", "1/0s", "1/off", "1/10", "1/week", "1/s/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
