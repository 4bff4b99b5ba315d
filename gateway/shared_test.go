package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
	"gopura/identity"
	"gopura/internal/acmeca"
	"gopura/internal/freeport"
	"gopura/store"
)

const sharedSecret = "planted-secret-of-the-store-0123456789"

// replicas starts two gateways that share certificates, ticket keys and API
// keys through one store. The CA's validations go to the second one, whichever
// of them asked for the certificate.
func replicas(t *testing.T, ca *acmeca.CA, redis string, log *logged) (list []*gate) {
	t.Helper()
	var starting sync.WaitGroup
	for i := range 2 {
		web, secure := freeport.Address(t), freeport.Address(t)
		ca.HTTP = web
		g := &gate{t: t, text: fmt.Sprintf(`
listen:
  main: {address: %q}
  secure:
    address: %q
    tls:
      acme: {domains: shop.test, ca: %q, ca_root: %s, storage: store, challenge: http-01}
      tickets: shared
store: {url: "redis://%s/0", secret: %s, timeout: 100ms}
identity: {partners: {api_key: {store: {name: partners, cache: 1s}}}}
access_log: off
routes: [{match: /*, identity: partners, answer: {body: %q}}]
`, web, secure, ca.URL, ca.Root, redis, sharedSecret, fmt.Sprint("replica ", i))}
		g.Gateway = gateway.New(gateway.Options{
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Load: func() (*config.Document, error) {
				return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(g.text)}}, gateway.ConfigOptions())
			},
		})
		list = append(list, g)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			g.Shutdown(ctx)
		})
	}
	for _, g := range list {
		starting.Go(func() {
			if err := g.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	return list
}

// knock makes a connection, and reads its first answer so that the session can
// be resumed.
func (g *gate) knock(conf *tls.Config) (state tls.ConnectionState, err error) {
	nc, err := tls.Dial("tcp", g.Address("secure"), conf)
	if err != nil {
		return state, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	nc.Read(make([]byte, 1))
	return nc.ConnectionState(), nil
}

// Two gateways over one real Redis get one certificate between them, resume
// each other's sessions and know the same API keys; and neither the store nor
// anything that they say shows a key of any kind.
func TestReplicasShare(t *testing.T) {
	server, ca, log := startRedis(t), acmeca.Start(t), new(logged)
	list := replicas(t, ca, server.addr, log)
	conf := &tls.Config{ServerName: "shop.test", RootCAs: ca.Issuer.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	var serials []string
	for i, g := range list {
		waitFor(t, "a certificate", func() bool { // not from the session of the other one
			fresh := conf.Clone()
			fresh.ClientSessionCache = nil
			state, err := g.knock(fresh)
			if err == nil {
				serials = append(serials, state.PeerCertificates[0].SerialNumber.Text(16))
			}
			return err == nil
		})
		if len(serials) != i+1 {
			t.Fatalf("no certificate: faults %q\n%s", ca.Faults(), log.String())
		}
	}
	if ca.Orders() != 1 || serials[0] != serials[1] || !slices.Equal(ca.Validations(), []string{"http-01 shop.test"}) {
		t.Errorf("%d orders, certificates %q, validated %q, faults %q", ca.Orders(), serials, ca.Validations(), ca.Faults())
	}

	for i, g := range []*gate{list[0], list[1], list[0]} {
		state, err := g.knock(conf)
		if err != nil || state.DidResume != (i > 0) {
			t.Errorf("connection %d: resumed is %v, %v", i, state.DidResume, err)
		}
	}

	admin, hangUp := openValues(t, list[0].text)
	defer hangUp()
	key := identity.NewAPIKey()
	entry := identity.StoredKey{Hash: identity.HashAPIKey(key, ""), Owner: "acme", ID: "k1", Created: time.Now()}
	if err := identity.AddKey(t.Context(), admin, "partners", entry); err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		if code, body := g.show(key); code != 200 || !strings.HasPrefix(body, "replica") {
			t.Errorf("%d %s", code, body)
		}
		if code, _ := g.show(identity.NewAPIKey()); code != 401 {
			t.Errorf("a key that nobody knows: %d", code)
		}
	}
	showsNothing(t, list, admin, log, key)

	server.kill()
	waitFor(t, "503 for an unknown key", func() bool {
		code, body := list[0].show(identity.NewAPIKey())
		return code == 503 && strings.Contains(body, "identity_unavailable")
	})
	time.Sleep(1100 * time.Millisecond) // what is remembered is no longer fresh
	for _, g := range list {
		if code, body := g.show(key); code != 200 {
			t.Errorf("a known key, while Redis is gone: %d %s", code, body)
		}
		if state, err := g.knock(conf); err != nil || !state.DidResume {
			t.Errorf("while Redis is gone: resumed is %v, %v", state.DidResume, err)
		}
	}
}

func openValues(t *testing.T, text string) (store.Values, func()) {
	t.Helper()
	doc, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, gateway.ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	v, hangUp, err := gateway.OpenValues(doc)
	if err != nil {
		t.Fatal(err)
	}
	return v, hangUp
}

// show sends a request with an API key.
func (g *gate) show(key string) (int, string) {
	g.t.Helper()
	r, _ := http.NewRequest("GET", "http://"+g.Address("main")+"/", nil)
	r.Header.Set("X-API-Key", key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	b.ReadFrom(resp.Body)
	return resp.StatusCode, b.String()
}

// showsNothing looks for secrets in what others may see, and checks that what
// operators want is there.
func showsNothing(t *testing.T, list []*gate, v store.Values, log *logged, key string) {
	t.Helper()
	names, err := v.Keys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, name := range names {
		text, _, err := v.Get(t.Context(), name)
		if err != nil && !strings.Contains(err.Error(), "WRONGTYPE") {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(name, ":")
		kinds = append(kinds, kind)
		for _, secret := range []string{key, "PRIVATE KEY", "BEGIN CERTIFICATE", sharedSecret, `"from"`} {
			if strings.Contains(name, secret) || bytes.Contains(text, []byte(secret)) {
				t.Errorf("the store shows %q under %s", secret, name)
			}
		}
	}
	for _, kind := range []string{"acme", "tickets", "api_key"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("nothing of %s in the store: %q", kind, names)
		}
	}
	for _, g := range list {
		certificates := g.Certificates()
		if len(certificates) != 1 || certificates[0].Listener != "secure" || certificates[0].Source != "acme" || certificates[0].NotAfter.IsZero() || certificates[0].Names[0] != "shop.test" {
			t.Errorf("%+v", certificates)
		}
		if at := g.metric(`gopura_tls_certificate_expiry_timestamp_seconds{listener="secure",name="shop.test"}`); int64(at) != certificates[0].NotAfter.Unix() {
			t.Errorf("the metric says %v", at)
		}
		shown, _ := json.Marshal([]any{certificates, g.Info(), g.Routes(), g.Stores(), g.Limits(10)})
		var metrics bytes.Buffer
		g.Metrics().Write(&metrics, "")
		for _, secret := range []string{key, "planted", "PRIVATE KEY"} {
			if bytes.Contains(shown, []byte(secret)) || strings.Contains(metrics.String(), secret) {
				t.Errorf("%q is shown to operators", secret)
			}
		}
	}
	for _, secret := range []string{key, "planted", "PRIVATE KEY"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
