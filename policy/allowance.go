package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopura/config"
	"gopura/store"
)

// Allowance is how much may come in a time and, perhaps, by what that is
// counted: "10/s", "1000/day per identity.sub".
type Allowance struct {
	Count int64
	Per   time.Duration
	Key   string // an expression; empty: see the rule
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Allowance) UnmarshalText(text []byte) error {
	rate, key, keyed := strings.Cut(string(text), " ")
	if keyed {
		var ok bool
		if key, ok = strings.CutPrefix(strings.TrimSpace(key), "per "); !ok {
			return errAllowance
		}
		a.Key = strings.TrimSpace(key)
	}
	if count, per, ok := strings.Cut(rate, "/"); ok && (per == "week" || per == "month") {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return errAllowance
		}
		a.Count, a.Per = n, store.Week
		if per == "month" {
			a.Per = store.Month
		}
		return nil
	}
	r, err := config.ParseRate(rate)
	if err != nil {
		return errAllowance
	}
	a.Count, a.Per = r.Count, r.Per
	return nil
}

const errAllowance = config.Form("a number in a time (10/s, 5/10s, 1000/day, 10/s per client.ip)")

// MarshalText implements encoding.TextMarshaler.
func (a Allowance) MarshalText() ([]byte, error) {
	if a == (Allowance{}) {
		return nil, nil
	}
	s := config.Rate{Count: a.Count, Per: a.Per}.String()
	if a.Key != "" {
		s += " per " + a.Key
	}
	return []byte(s), nil
}

// Slots is how many at a time and, perhaps, by what that is counted: "10",
// "10 per client.ip".
type Slots struct {
	Max int
	Key string
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Slots) UnmarshalText(text []byte) error {
	count, key, keyed := strings.Cut(string(text), " ")
	if keyed {
		var ok bool
		if key, ok = strings.CutPrefix(strings.TrimSpace(key), "per "); !ok {
			return errSlots
		}
		s.Key = strings.TrimSpace(key)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return errSlots
	}
	s.Max = n
	return nil
}

const errSlots = config.Form("a number (10, 10 per client.ip)")

// MarshalText implements encoding.TextMarshaler.
func (s Slots) MarshalText() ([]byte, error) {
	if s.Key != "" {
		return fmt.Appendf(nil, "%d per %s", s.Max, s.Key), nil
	}
	return strconv.AppendInt(nil, int64(s.Max), 10), nil
}
