package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is written 300ms, 5s, 1h30m, 2d, 1y; 0 and off are none.
type Duration = time.Duration

// Size is a number of bytes, written 512, 64KiB, 8MiB; k, m and g are short for
// KiB, MiB and GiB, while kB, MB and GB count in thousands.
type Size int64

// Percent is a part of a whole, written 50%; the value of 50% is 0.5.
type Percent float64

// Rate is a number of events in a time, written 10/s, 5/10s, 1000/day.
type Rate struct {
	Count int64
	Per   time.Duration
}

var (
	errUnit  = errors.New("no unit")
	errForm  = errors.New("malformed")
	errRange = errors.New("out of range")
)

var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

// ParseDuration reads a Duration.
func ParseDuration(text string) (Duration, error) {
	if text == "0" || text == "off" {
		return 0, nil
	}
	total, rest := 0.0, text
	for rest != "" {
		number, after := splitNumber(rest)
		end := strings.IndexAny(after, "0123456789.")
		if end < 0 {
			end = len(after)
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, errForm
		}
		unit, ok := durationUnits[after[:end]]
		if !ok {
			return 0, errUnit
		}
		total, rest = total+v*float64(unit), after[end:]
	}
	if text == "" {
		return 0, errForm
	}
	if total >= math.MaxInt64 {
		return 0, errRange
	}
	return Duration(math.Round(total)), nil
}

var sizeUnits = map[string]float64{
	"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

// ParseSize reads a Size.
func ParseSize(text string) (Size, error) {
	number, after := splitNumber(text)
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errForm
	}
	unit, ok := sizeUnits[strings.ToLower(strings.TrimSpace(after))]
	if !ok {
		return 0, errUnit
	}
	if v *= unit; v >= math.MaxInt64 {
		return 0, errRange
	} else if v != math.Trunc(v) {
		return 0, errForm
	}
	return Size(v), nil
}

func (s Size) String() string {
	for _, u := range [...]struct {
		name string
		size Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParsePercent reads a Percent between 0% and 100%.
func ParsePercent(text string) (Percent, error) {
	number, ok := strings.CutSuffix(text, "%")
	if !ok {
		return 0, errUnit
	}
	if digits, rest := splitNumber(number); digits == "" || rest != "" {
		return 0, errForm
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errForm
	}
	if v > 100 {
		return 0, errRange
	}
	return Percent(v / 100), nil
}

func (p Percent) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*1e8)/1e6, 'f', -1, 64) + "%"
}

var rateUnits = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
}

// ParseRate reads a Rate.
func ParseRate(text string) (Rate, error) {
	count, per, ok := strings.Cut(text, "/")
	if !ok {
		return Rate{}, errForm
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 || count[0] == '+' {
		return Rate{}, errForm
	}
	if unit, ok := rateUnits[per]; ok {
		return Rate{n, unit}, nil
	}
	d, err := ParseDuration(per)
	if err == nil && d == 0 {
		err = errForm
	}
	if err != nil {
		return Rate{}, err
	}
	return Rate{n, d}, nil
}

func (r Rate) String() string {
	for _, u := range [...]struct {
		name string
		per  time.Duration
	}{{"day", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		if r.Per == u.per {
			return strconv.FormatInt(r.Count, 10) + "/" + u.name
		}
	}
	return strconv.FormatInt(r.Count, 10) + "/" + r.Per.String()
}

// splitNumber cuts the digits, with at most one point, that text begins with.
func splitNumber(text string) (number, rest string) {
	i, points := 0, 0
	for ; i < len(text); i++ {
		if text[i] == '.' && points == 0 {
			points++
		} else if text[i] < '0' || text[i] > '9' {
			break
		}
	}
	return text[:i], text[i:]
}
