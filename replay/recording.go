package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"gopura/exchange"
	"gopura/trial"
)

// maxLine bounds a record: those of the gateway are far below.
const maxLine = 64 << 10

// Entry is a recorded request: the members of an access record that say what
// was asked, by whom, and when.
type Entry struct {
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"` // with its query
	Client    string    `json:"client"`
	UserAgent string    `json:"user_agent"`
	Referer   string    `json:"referer"`
	Identity  string    `json:"identity"`
	Sub       string    `json:"sub"`
}

// Read calls f with the entries of a recording, in their order, until f or the
// text is at an end. A line that is no record is an error with its number.
func Read(r io.Reader, f func(Entry) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("line %d is no access record in JSON: %w", n, err)
		}
		if err := f(e); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line is longer than %d bytes", maxLine)
	}
	return lines.Err()
}

// exchange makes the request of e again; false: it never was one.
func (e *Entry) exchange() (*exchange.Exchange, bool) {
	client, err := netip.ParseAddr(e.Client)
	if err != nil {
		return nil, false
	}
	x, err := trial.NewRequest(e.Method, e.Path, client)
	if err != nil {
		return nil, false
	}
	if e.Host != "" {
		trial.SetHost(x, e.Host)
	}
	for _, h := range [][2]string{{"User-Agent", e.UserAgent}, {"Referer", e.Referer}} {
		if h[1] != "" && trial.SetHeader(x, h[0], h[1]) != nil {
			return nil, false
		}
	}
	if !e.Time.IsZero() {
		x.Start = e.Time
	}
	return x, true
}
