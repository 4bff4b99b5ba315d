package gateway_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gopura/config"
	"gopura/gateway"
)

// logged is the gateway's own log, as a test reads it.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Every refusal leaves a record that says who was refused by what, and why; and
// no credential is in the log or the answer, good or bad.
func TestAuditRecord(t *testing.T) {
	const planted = "planted-credential"
	text := `
listen: { main: 127.0.0.1:0 }
access_log: off
identity:
  idp: { jwt: { issuer: me, audience: shop, secret: planted-secret-that-is-long-enough, algorithms: HS256, token: [bearer, cookie.session, query.t] } }
routes:
  - name: orders
    match: /orders
    identity: idp
    answer: 204
  - name: shadowed
    match: /shadowed
    identity: { accept: idp, mode: shadow }
    answer: 204
`
	log := new(logged)
	g := gateway.New(gateway.Options{
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Load: func() (*config.Document, error) {
			return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(text)}}, gateway.ConfigOptions())
		},
	})
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Shutdown(t.Context())
	url := "http://" + g.Address("main")
	for _, c := range []struct {
		path, field, value string
		status             int
		record             string
	}{
		{"/orders", "", "", 401, `msg=refused code=identity_required policy=identity by="" cause="" client=127.0.0.1 route=orders id=`},
		{"/orders", "Authorization", "Bearer " + planted, 401, `msg=refused code=identity_invalid policy=identity by=idp cause="not a signed token of three parts" client=127.0.0.1 route=orders id=`},
		{"/orders", "Cookie", "session=" + planted, 401, "code=identity_invalid"},
		{"/orders?t=" + planted, "", "", 401, "code=identity_invalid"},
		{"/orders", "Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ" + planted + "IifQ." + planted, 401, "code=identity_invalid"},
		{"/shadowed", "Authorization", "Bearer " + planted, 204, `code=identity_invalid policy=identity by=idp cause="not a signed token of three parts" client=127.0.0.1 route=shadowed id=`},
	} {
		before := len(log.String())
		req, _ := http.NewRequest("GET", url+c.path, nil)
		if c.field != "" {
			req.Header.Set(c.field, c.value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		said := log.String()[before:]
		if resp.StatusCode != c.status || !strings.Contains(said, c.record) {
			t.Errorf("%s %s: %d, log: %s", c.path, c.field, resp.StatusCode, said)
		}
		if strings.Contains(string(body), planted) || strings.Contains(string(body), "planted-secret") {
			t.Errorf("the answer shows a credential: %s", body)
		}
	}
	if said := log.String(); strings.Contains(said, "planted") {
		t.Errorf("the log shows a credential:\n%s", said)
	}
}
