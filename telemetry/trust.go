package telemetry

import (
	"time"

	"gopura/lifetime"
)

// Certificate is the handle of a certificate that a listener presents.
type Certificate struct {
	NotAfter Gauge // Unix time; 0: there is none yet

	key certificateKey
}

type certificateKey struct{ listener, name string }

// KeySet is the handle of the keys that the issuer of a source of identity
// publishes.
type KeySet struct {
	Fetched, Failed Counter
	At              Gauge // Unix time of the keys in use; 0: there are none yet

	identity string
}

// Certificate returns the handle of a listener's certificate by its first name,
// held by s.
func (m *Metrics) Certificate(s *lifetime.Scope, listener, name string) *Certificate {
	key := certificateKey{label(listener), label(name)}
	return m.certificates.hold(s, key, func() *Certificate { return &Certificate{key: key} })
}

// KeySet returns the handle of a source's keys, held by s.
func (m *Metrics) KeySet(s *lifetime.Scope, identity string) *KeySet {
	identity = label(identity)
	return m.keySets.hold(s, identity, func() *KeySet { return &KeySet{identity: identity} })
}

func (m *Metrics) collectTrust(out samples) {
	for _, c := range m.certificates.all() {
		out.gauge(certificateExpiry, float64(c.NotAfter.n.Load()), c.key.listener, c.key.name)
	}
	for _, k := range m.keySets.all() {
		out.count(keyFetches, &k.Fetched.n, k.identity, "ok")
		out.count(keyFetches, &k.Failed.n, k.identity, "failed")
		if at := k.At.n.Load(); at > 0 {
			out.gauge(keySetAge, max(time.Since(time.Unix(at, 0)).Seconds(), 0), k.identity)
		}
	}
}
