package scripttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// command is one word of the language.
type command struct {
	min, max         int // positional words; max -1: any
	valued, switches []string
	run              func(*run, args) error
}

// commands is the language.
var commands = map[string]*command{
	"protocols": {1, -1, nil, nil, func(*run, args) error { return nil }},
	"gateway":   {0, 2, list("config"), nil, (*run).startGateway},
	"reload":    {0, 2, nil, nil, (*run).reload},
	"wait":      {1, 1, nil, nil, (*run).wait},

	"upstream": {1, 3, list("header file size trailer inform delay pause cut raw times path"), list("echo chunked until-close close reset hang gzip"),
		(*run).upstream},
	"stop-upstream":        {1, 1, nil, nil, (*run).stopUpstream},
	"start-upstream":       {1, 1, nil, nil, (*run).startUpstream},
	"upstream-calls":       {2, 2, nil, nil, (*run).upstreamCalls},
	"upstream-connections": {2, 2, nil, nil, (*run).upstreamConnections},
	"upstream-saw":         {1, -1, list("match call"), nil, (*run).upstreamSaw},
	"upstream-body":        {1, 2, list("size match file call"), list("broken contains empty"), (*run).upstreamBody},
	"upstream-trailer":     {3, 3, list("call"), nil, (*run).upstreamTrailer},

	"request": {2, 2, list("host header body file size trailer break timeout listener until"), list("chunked expect admin"),
		(*run).request},
	"status":    {1, 1, nil, nil, (*run).status},
	"header":    {1, 2, list("match"), nil, (*run).header},
	"trailer":   {1, 2, list("match"), nil, (*run).trailer},
	"body":      {0, 1, list("match file size"), list("contains empty"), (*run).body},
	"json":      {1, 2, nil, nil, (*run).json},
	"broken":    {0, 0, nil, nil, (*run).broken},
	"continued": {0, 0, nil, nil, (*run).continued},
	"informed":  {1, 1, nil, nil, (*run).informed},
	"access":    {1, -1, nil, nil, (*run).access},

	"raw":    {1, 1, list("listener wait"), nil, (*run).raw},
	"answer": {0, 1, list("match count"), list("closed open empty"), (*run).answer},
}

func list(s string) []string { return strings.Fields(s) }

// run is one script over one protocol.
type run struct {
	*script
	protocol  Protocol
	t         testing.TB
	start     Start
	dir       string
	config    string // name of the configuration in dir
	gateway   Gateway
	upstreams map[string]*upstream
	clients   map[string]*client
	last      *response
	lastRaw   *rawAnswer
	records   int           // length of the access records before the last request
	refusal   string        // what the error of a negated line must say
	patience  time.Duration // see within
}

// usageError is a mistake of the script, which no "!" excuses.
type usageError struct{ error }

func usage(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// run runs the script. The error says which line failed, and why.
func (s *script) run(t testing.TB, p Protocol, start Start) error {
	r := &run{script: s, protocol: p, t: t, start: start, dir: t.TempDir(), upstreams: map[string]*upstream{}, clients: map[string]*client{}}
	defer r.close()
	for _, name := range s.upstreams {
		u, err := newUpstream(name)
		if err != nil {
			return err
		}
		r.upstreams[name] = u
	}
	for _, l := range s.lines {
		for range l.repeat {
			if err := r.line(l); err != nil {
				return fmt.Errorf("%s:%d: %s: %w%s", s.file, l.number, l.text, err, r.dump())
			}
		}
	}
	if err := r.unnoticed(); err != nil {
		return fmt.Errorf("%s: %w%s", s.file, err, r.dump())
	}
	return nil
}

func (r *run) close() {
	for _, c := range r.clients {
		c.close()
	}
	if r.gateway != nil {
		if err := r.gateway.Close(); err != nil {
			r.t.Errorf("%s: closing the gateway: %v", r.file, err)
		}
	}
	for _, u := range r.upstreams {
		u.stop()
	}
}

func (r *run) line(l line) error {
	c := commands[l.name]
	words := make([]word, len(l.words))
	for i, w := range l.words {
		text, err := r.expand(w.text)
		if err != nil {
			return err
		}
		words[i] = word{text, w.quoted}
	}
	a, err := c.args(words)
	if err != nil {
		return err
	}
	r.refusal, r.patience = "", 2*time.Second
	if l.negated {
		r.patience = 100 * time.Millisecond
	}
	err = c.run(r, a)
	if _, mistake := errors.AsType[usageError](err); mistake || !l.negated {
		return err
	}
	if err == nil {
		return errors.New("it should not be so")
	}
	if !strings.Contains(err.Error(), r.refusal) {
		return fmt.Errorf("want an error that says %q, got: %w", r.refusal, err)
	}
	return nil
}

var variable = regexp.MustCompile(`\$\{([a-z][a-z0-9_.-]*)\}`)

// expand puts values in the place of ${name}.
func (r *run) expand(text string) (string, error) {
	var err error
	text = variable.ReplaceAllStringFunc(text, func(v string) string {
		name := v[2 : len(v)-1]
		switch name {
		case "listen":
			return r.protocol.listen()
		case "scheme":
			return r.protocol.scheme()
		case "dir":
			return r.dir
		case "gateway", "admin":
			if r.gateway == nil {
				err = usage("%s has no value before the gateway runs", v)
				return ""
			}
			if name == "admin" {
				return r.gateway.Admin()
			}
			return r.gateway.Address("")
		}
		if u := r.upstreams[name]; u != nil {
			return u.address
		}
		err = usage("%s: no upstream of that name is in the script", v)
		return ""
	})
	return text, err
}

// configure writes the script's files into dir, the one named file in the place
// of the configuration that is in use. Variables stand for values in YAML only.
func (r *run) configure(file string) error {
	if _, ok := r.files[file]; !ok {
		return usage("there is no file %s", file)
	}
	for name, text := range r.files {
		if name == r.config {
			text = r.files[file]
		}
		if strings.HasSuffix(name, ".yaml") {
			var err error
			if text, err = r.expand(text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) startGateway(a args) error {
	file := a.option("config")
	if file == "" {
		file = a.word(0)
	}
	if file == "" {
		file = "gopura.yaml"
	}
	r.refusal = a.word(1)
	if r.gateway != nil {
		return usage("the gateway runs already")
	}
	if err := r.configure(file); err != nil {
		return err
	}
	g, err := r.start(r.t, r.dir, file)
	if err != nil {
		return err
	}
	r.gateway, r.config = g, file
	return nil
}

func (r *run) reload(a args) error {
	if r.gateway == nil {
		return usage("no gateway runs")
	}
	file := a.word(0)
	if file == "" {
		file = r.config
	}
	r.refusal = a.word(1)
	if err := r.configure(file); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.gateway.Reload(ctx)
}

func (r *run) wait(a args) error {
	d, err := time.ParseDuration(a.words[0])
	if err != nil {
		return usageError{err}
	}
	time.Sleep(d)
	return nil
}

// within tries until it succeeds or the time is up. With r.patience it is for
// what happens in the gateway or an upstream a little after the client has its
// answer.
func within(d time.Duration, try func() error) (err error) {
	for end := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		if err = try(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// span parses "3", "3..5".
func span(s string) (lo, hi int, err error) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		b = a
	}
	lo, err1 := strconv.Atoi(a)
	hi, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil {
		return 0, 0, usage("%q is no number, and no range N..M", s)
	}
	return lo, hi, nil
}

// size parses "10", "64KiB", "10MiB".
func size(s string) (int64, error) {
	unit := int64(1)
	for suffix, u := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = n, u
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<30/unit {
		return 0, usage("%q is no size", s)
	}
	return n * unit, nil
}

// filler is n bytes that show when some are lost or swapped.
func filler(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%251) ^ byte(i/65536)
	}
	return b
}

// field parses "Name: value".
func field(s string) (name, value string, err error) {
	name, value, ok := strings.Cut(s, ":")
	if !ok {
		return "", "", usage("%q is not of the form 'Name: value'", s)
	}
	return name, strings.TrimSpace(value), nil
}
