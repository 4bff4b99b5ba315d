package gateway

import (
	"crypto/sha256"
	"fmt"

	"gopura/certs"
	"gopura/config"
	"gopura/store"
)

// values are what replicas share beside the limits.
type values struct {
	plain  store.Values // nil: there is no store
	sealed store.Values // nil: it has no secret
	key    string       // of the store; tells nothing about its secrets
}

// newValues takes the values of a store. One that is only checked, or stands in
// for another, has values of its own.
func newValues(s store.Store, conf *config.Store, key string) (v values, err error) {
	v.key = key
	if owner, ok := s.(interface{ Values() store.Values }); ok {
		v.plain = owner.Values()
	} else {
		v.plain = store.NewValues()
	}
	if !conf.Secret.IsZero() {
		secret := conf.Secret.Reveal()
		v.key += fmt.Sprintf(" %x", sha256.Sum256([]byte("gopura store "+secret)))
		v.sealed, err = store.Sealed(v.plain, secret)
	}
	return v, err
}

// forTLS is where listeners keep their keys, nil when there is no place for secrets.
func (v *values) forTLS() *certs.Shared {
	if v.sealed == nil {
		return nil
	}
	return &certs.Shared{Values: v.sealed, Key: v.key}
}

// OpenValues opens the values of a configuration's store, for a tool that
// changes them; close ends that.
func OpenValues(doc *config.Document) (v store.Values, close func(), err error) {
	if doc.Store == nil {
		return nil, nil, fmt.Errorf("the configuration has no top-level store")
	}
	o, err := redisOptions(doc.Store)
	if err != nil {
		return nil, nil, err
	}
	if doc.Store.TLS != nil {
		var faults []certs.Fault
		if o.TLS, _, faults = certs.Upstream(doc.Store.TLS); len(faults) > 0 {
			return nil, nil, fmt.Errorf("store.tls.%s: %w", faults[0].Path, faults[0].Err)
		}
	}
	o.Wait = o.Dial
	s, err := store.OpenRedis(o)
	if err != nil {
		return nil, nil, err
	}
	return s.Values(), s.Close, nil
}
