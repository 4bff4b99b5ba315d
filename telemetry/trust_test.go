package telemetry

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gopura/lifetime"
)

// A certificate that is still to come is 0, keys that were never fetched have no age.
func TestTrust(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	m.Certificate(s, "web", "a.test").NotAfter.Set(4102444800)
	m.Certificate(s, "web", "b.test")
	keys := m.KeySet(s, "idp")
	keys.Failed.Set(3)
	text := func() string {
		var b bytes.Buffer
		if _, err := m.Write(&b, ""); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, want := range []string{
		`gopura_tls_certificate_expiry_timestamp_seconds{listener="web",name="a.test"} 4.1024448e+09`,
		`gopura_tls_certificate_expiry_timestamp_seconds{listener="web",name="b.test"} 0`,
		`gopura_identity_key_fetches_total{identity="idp",outcome="failed"} 3`,
		`gopura_identity_key_fetches_total{identity="idp",outcome="ok"} 0`,
	} {
		if !strings.Contains(text(), want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text(), "gopura_identity_keys_age_seconds{") {
		t.Error("keys that were never fetched have an age")
	}
	keys.At.Set(time.Now().Add(-time.Minute).Unix())
	if !strings.Contains(text(), `gopura_identity_keys_age_seconds{identity="idp"} 6`) {
		t.Error("keys of a minute ago are not that old")
	}
	s.Close()
	if strings.Contains(text(), `listener="web"`) {
		t.Error("what is gone is still shown")
	}
}
