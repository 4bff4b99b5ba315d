package scripttest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// Gateway is the running gateway that a script talks to.
type Gateway interface {
	Address(listener string) string // host:port of a listener; "" is the first one
	Admin() string                  // host:port of the admin listener, "" when there is none
	Reload(ctx context.Context) error
	AccessRecords() []byte // everything written so far, one JSON object a line
	Close() error
}

// Start starts a gateway with the configuration file, a name in the folder dir.
type Start func(t testing.TB, dir, file string) (Gateway, error)

// Protocol is how the client of a script speaks.
type Protocol string

// The protocols.
const (
	HTTP  Protocol = "http"  // HTTP/1.1
	HTTPS Protocol = "https" // HTTP/1.1 over TLS
	H2    Protocol = "h2"    // HTTP/2 over TLS
	H2C   Protocol = "h2c"   // HTTP/2 with prior knowledge
	H3    Protocol = "h3"    // HTTP/3
)

// Protocols are all of them, in the order in which a script runs over them.
var Protocols = []Protocol{HTTP, HTTPS, H2, H2C, H3}

func (p Protocol) tls() bool { return p == HTTPS || p == H2 || p == H3 }
func (p Protocol) h2() bool  { return p == H2 || p == H2C }

// version is what an answer calls the protocol.
func (p Protocol) version() string {
	switch {
	case p.h2():
		return "HTTP/2.0"
	case p == H3:
		return "HTTP/3.0"
	}
	return "HTTP/1.1"
}

func (p Protocol) scheme() string {
	if p.tls() {
		return "https"
	}
	return "http"
}

// listen is the value of the configuration's listen key.
func (p Protocol) listen() string {
	if p == H3 {
		return `{main: {address: "127.0.0.1:0", tls: self_signed, http: [1.1, 2, 3]}}`
	}
	if p.tls() {
		return `{main: {address: "127.0.0.1:0", tls: self_signed}}`
	}
	return `{main: "127.0.0.1:0"}`
}

// Run runs every script that matches the pattern, each over its protocols, as a
// subtest FILE/PROTOCOL.
func Run(t *testing.T, pattern string, start Start) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts match %s", pattern)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s, err := parseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range s.protocols {
				t.Run(string(p), func(t *testing.T) {
					t.Parallel()
					if err := s.run(t, p, start); err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}
