package live

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

// Filter says which exchanges somebody wants to see; all that is set must hold.
type Filter struct {
	Route, Service, Target string
	Code                   string
	Method, Host           string
	Path                   string // a prefix
	Client                 netip.Addr
	Sub                    string // the subject of the identity
	StatusFrom, StatusTo   int    // both included; 0: any
	Slower                 time.Duration
	Sample                 float64                       // the share that is shown; 0: all
	When                   func(*exchange.Exchange) bool // nil: always
}

// Parse reads a filter from names and values; When is not one of them.
func Parse(get func(name string) string) (*Filter, error) {
	f := &Filter{
		Route: get("route"), Service: get("service"), Target: get("target"), Code: get("code"), Method: get("method"),
		Host: strings.ToLower(get("host")), Path: get("path"), Sub: get("identity"),
	}
	if text := get("client"); text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("client: %q is no IP address", text)
		}
		f.Client = addr.Unmap()
	}
	if text := get("slower"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("slower: %q is no duration, such as 250ms", text)
		}
		f.Slower = d
	}
	if text := get("sample"); text != "" {
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share > 0 && share <= 1) {
			return nil, fmt.Errorf("sample: %q is no share, such as 0.1", text)
		}
		f.Sample = share
	}
	return f, f.status(get("status"))
}

// status reads 404 or 5xx.
func (f *Filter) status(text string) error {
	if text == "" {
		return nil
	}
	if class, ok := strings.CutSuffix(text, "xx"); ok && len(class) == 1 && '1' <= class[0] && class[0] <= '5' {
		f.StatusFrom = int(class[0]-'0') * 100
		f.StatusTo = f.StatusFrom + 99
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 || n > 599 {
		return fmt.Errorf("status: %q is neither a status nor a class, such as 5xx", text)
	}
	f.StatusFrom, f.StatusTo = n, n
	return nil
}

// passes reports whether x, whose record is line, is to be shown.
func (f *Filter) passes(x *exchange.Exchange, line []byte) bool {
	if f.Sample > 0 && rand.Float64() >= f.Sample {
		return false
	}
	return f.passesRecord(line) && (f.When == nil || f.When(x))
}

// shown are the members of a record that filters ask for.
type shown struct {
	Client, Method, Host, Path, Code, Route, Service, Target, Sub string
	Status                                                        int
	Duration                                                      float64 `json:"duration_ms"`
}

// passesRecord is passes by the record alone: what is shown is what is filtered.
func (f *Filter) passesRecord(line []byte) bool {
	if f.any() {
		return true
	}
	var r shown
	if json.Unmarshal(line, &r) != nil {
		return false
	}
	same := func(want, got string) bool { return want == "" || want == got }
	if !same(f.Route, r.Route) || !same(f.Service, r.Service) || !same(f.Target, r.Target) || !same(f.Code, r.Code) ||
		!same(f.Method, r.Method) || !same(f.Host, r.Host) || !same(f.Sub, r.Sub) || !strings.HasPrefix(r.Path, f.Path) {
		return false
	}
	if f.StatusFrom > 0 && (r.Status < f.StatusFrom || r.Status > f.StatusTo) {
		return false
	}
	if f.Client.IsValid() {
		if addr, err := netip.ParseAddr(r.Client); err != nil || addr != f.Client {
			return false
		}
	}
	return r.Duration >= f.Slower.Seconds()*1e3
}

// any reports whether every record passes.
func (f *Filter) any() bool {
	return f.Route == "" && f.Service == "" && f.Target == "" && f.Code == "" && f.Method == "" && f.Host == "" && f.Path == "" &&
		f.Sub == "" && f.StatusFrom == 0 && f.Slower == 0 && !f.Client.IsValid()
}
