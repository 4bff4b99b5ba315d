package store

import (
	"testing"
	"time"
)

// Whoever looks at a limit reads what the configuration says.
func TestLimitsReadAsWritten(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"10/s":                  Rate{Count: 10, Per: time.Second},
		"10/s, burst 20":        Rate{Count: 10, Per: time.Second, Burst: 20},
		"5/10s":                 Rate{Count: 5, Per: 10 * time.Second},
		"7/90s":                 Rate{Count: 7, Per: 90 * time.Second},
		"7/100ms":               Rate{Count: 7, Per: 100 * time.Millisecond},
		"20/min":                Rate{Count: 20, Per: time.Minute},
		"20/5m":                 Rate{Count: 20, Per: 5 * time.Minute},
		"9/h":                   Rate{Count: 9, Per: time.Hour},
		"1000/day":              Window{Count: 1000, Per: 24 * time.Hour},
		"1000/7d, calendar UTC": Window{Count: 1000, Per: 7 * 24 * time.Hour, Calendar: true, Zone: time.UTC},
	} {
		if got.String() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
