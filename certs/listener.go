package certs

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/lifetime"
)

// Fault is what is wrong with the TLS settings of a listener or a service.
type Fault struct {
	Path    string // below tls
	Pos     config.Pos
	Err     error
	Warning bool // only doubtful
}

// Plan is the TLS of a listener, read and checked.
type Plan struct {
	name      string
	conf      *config.TLS
	protocols []string // ALPN, the preferred first
	pairs     []*pair
	acme      *acmePlan
	trust     *trust
	shared    *Shared // nil: there is no store
}

// Load reads what a listener needs: certificates, keys, authorities, lists. It
// returns all that is wrong. cleartext says that the gateway has a listener
// without TLS, which can answer http-01; shared is nil when there is no store.
func Load(name string, c *config.TLS, protocols []string, cleartext bool, shared *Shared) (*Plan, []Fault) {
	p := &Plan{name: name, conf: c, protocols: protocols, shared: shared}
	var faults []Fault
	if c.Tickets == "shared" && shared == nil {
		faults = append(faults, Fault{Path: "tickets", Pos: c.Pos, Err: errNoStore})
	}
	for i, files := range c.Certificates {
		path := fmt.Sprintf("certificates[%d]", i)
		pair, err := loadPair(files.Cert, files.Key)
		if err != nil {
			faults = append(faults, Fault{Path: path, Pos: files.Pos, Err: err})
			continue
		}
		if doubt := pair.doubt(time.Now()); doubt != "" {
			faults = append(faults, Fault{Path: path, Pos: files.Pos, Err: fmt.Errorf("%s: %s", files.Cert, doubt), Warning: true})
		}
		p.pairs = append(p.pairs, pair)
	}
	if c.ACME != nil {
		var fault *Fault
		if p.acme, fault = planACME(c.ACME, cleartext, shared); fault != nil {
			faults = append(faults, *fault)
		}
	}
	if c.Client != nil {
		trust, path, err := loadTrust(c.Client)
		if err != nil {
			faults = append(faults, Fault{Path: "client." + path, Pos: c.Client.Pos, Err: err})
		}
		p.trust = trust
	}
	return p, faults
}

// Files are the files that listener and service settings name, to be watched.
func Files(c *config.TLS) (list []string) {
	for _, f := range c.Certificates {
		list = append(list, f.Cert, f.Key)
	}
	if c.ACME != nil && c.ACME.CARoot != "" {
		list = append(list, c.ACME.CARoot)
	}
	if c.Client != nil {
		list = append(list, c.Client.CA)
		if c.Client.CRL != "" {
			list = append(list, c.Client.CRL)
		}
	}
	return list
}

// front is what session tickets hang on: a tls.Config with its keys, which Go
// rotates daily, or which replicas share. It is adopted as long as nothing that a ticket vouches for
// (client certificates, versions, protocols) has changed.
type front struct {
	tls   *tls.Config
	trust *trust
	set   atomic.Pointer[set]
}

func (p *Plan) front() *front {
	f := &front{trust: p.trust}
	f.tls = &tls.Config{
		MinVersion: minVersion(p.conf), CipherSuites: intermediate, CurvePreferences: curves, NextProtos: p.protocols,
		ClientAuth: p.trust.authType(), SessionTicketsDisabled: p.conf.Tickets == "off",
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			set := f.set.Load()
			if c, err := set.challenge(hello); c != nil || err != nil {
				return c, err
			}
			// Also for resumed sessions, which present no certificate.
			chain, err := set.pick(hello)
			if c, ok := hello.Conn.(*Conn); ok {
				c.chain, c.unnamed = chain, unnamed(hello.ServerName)
			}
			return nil, err
		},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, ok := hello.Conn.(*Conn)
			if !ok || c.chain == nil {
				return nil, errors.New("the handshake is not ours")
			}
			return c.chain.get(hello)
		},
	}
	if p.trust != nil {
		f.tls.ClientCAs = p.trust.roots
		f.tls.VerifyConnection = p.trust.verify
	}
	return f
}

// Terms are the TLS of a listener under one configuration.
type Terms struct {
	plan  *Plan
	front *front
	set   *set
}

// Open adopts or starts what the plan needs. Use puts it in force.
func (p *Plan) Open(s *lifetime.Scope, pool *lifetime.Pool, log *slog.Logger) (*Terms, error) {
	key := fmt.Sprintf("tls %q %d %s", p.name, minVersion(p.conf), strings.Join(p.protocols, ","))
	if p.trust != nil {
		key += " " + p.trust.key
	}
	f, err := lifetime.Hold(pool, s, p.ticketsKey(key), func() (*front, func(), error) {
		f := p.front()
		if p.conf.Tickets == "shared" {
			return f, f.share(p.shared, key, log), nil
		}
		return f, nil, nil
	})
	if err != nil {
		return nil, err
	}
	var chains []*chain
	for i, pair := range p.pairs {
		c, err := pair.open(p.conf.Certificates[i].Cert, s, pool, log)
		if err != nil {
			return nil, err
		}
		chains = append(chains, c)
	}
	if p.conf.SelfSigned {
		c, err := openSelfSigned(p.name, s, pool)
		if err != nil {
			return nil, err
		}
		chains = append(chains, c)
	}
	var m *manager
	if p.acme != nil {
		if m, err = p.acme.open(s, pool, log); err != nil {
			return nil, err
		}
		chains = append(chains, m.chains(p.acme.domains)...)
	}
	if len(chains) == 0 {
		return nil, errors.New("no certificate")
	}
	t := &Terms{plan: p, front: f, set: newSet(chains, p.conf.StrictSNI)}
	t.set.acme = m
	f.set.CompareAndSwap(nil, t.set)
	return t, nil
}

// ticketsKey adds to the key of a front who can resume its sessions.
func (p *Plan) ticketsKey(key string) string {
	switch p.conf.Tickets {
	case "shared":
		return key + " shared " + p.shared.Key
	case "off":
		return key + " off"
	}
	return key
}

// Domains are those that certificates are got for.
func (t *Terms) Domains() []string {
	if t.plan.acme == nil {
		return nil
	}
	return t.plan.acme.domains
}

// Limits of what clients may leave unfinished.
const (
	// handshakeTimeout bounds a handshake: it costs us more than the client.
	handshakeTimeout = 10 * time.Second
	// maxPending is how many handshakes a listener has under way. When one more
	// comes the oldest is given up: honest ones take milliseconds.
	maxPending = 4096
)

// Listener is the TLS of an open socket, for as long as it is open.
type Listener struct {
	Full, Resumed, Failed atomic.Uint64 // handshakes

	terms   atomic.Pointer[Terms]
	mu      sync.Mutex
	pending list.List // of net.Conn, the oldest first
}

// Use puts terms in force; nil: no TLS any more.
func (l *Listener) Use(t *Terms) {
	if t != nil {
		t.front.set.Store(t.set)
	}
	l.terms.Store(t)
	if t != nil && t.set.acme != nil {
		t.set.acme.manage(t.plan.acme.domains)
	}
}

// errValidated ends a handshake that was a CA's validation: nothing follows it.
var errValidated = errors.New("a certificate authority has validated a domain")

// Handshake makes nc a TLS connection. On an error the caller closes nc.
func (l *Listener) Handshake(nc net.Conn) (*tls.Conn, *Conn, error) {
	t := l.terms.Load()
	if t == nil {
		return nil, nil, errors.New("the listener speaks no TLS any more")
	}
	c := &Conn{Conn: nc, listener: l}
	tc := tls.Server(c, t.front.tls)
	done := l.enter(nc)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	err := tc.HandshakeContext(ctx)
	cancel()
	done()
	if err == nil {
		c.state = tc.ConnectionState()
		err = c.settle(t.front.trust)
	}
	switch {
	case err != nil:
		l.Failed.Add(1)
		return nil, nil, err
	case c.state.NegotiatedProtocol == alpnProtocol:
		tc.Close()
		return nil, nil, errValidated
	case c.state.DidResume:
		l.Resumed.Add(1)
	default:
		l.Full.Add(1)
	}
	return tc, c, nil
}

// enter notes a handshake, and gives the oldest up when there are too many.
func (l *Listener) enter(nc net.Conn) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.pending.PushBack(nc)
	if l.pending.Len() > maxPending {
		oldest := l.pending.Front()
		l.pending.Remove(oldest).(net.Conn).Close()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pending.Remove(e) // does nothing when it is not there any more
	}
}
