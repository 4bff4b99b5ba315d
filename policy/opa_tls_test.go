package policy

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/testca"
)

// An agent that is spoken to over https is verified, and may want a certificate
// of the gateway's; what was decided under another one is not remembered.
func TestOPAOverTLS(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	gateway, stranger := clients.Client("gateway"), ca.Client("stranger")
	plain := newAgentServer(t, func(http.ResponseWriter, map[string]any) any { return true })
	agent := httptest.NewUnstartedServer(plain.Config.Handler)
	agent.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server("127.0.0.1").TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()}
	agent.StartTLS()
	defer agent.Close()
	env := opaEnv(t)
	for _, c := range []struct{ what, ca, cert, key, want string }{
		{"its certificate", ca.File, gateway.Cert, gateway.Key, ""},
		{"none", ca.File, "", "", "decision_unavailable"},
		{"a stranger's", ca.File, stranger.Cert, stranger.Key, "decision_unavailable"},
		{"an agent that nobody vouches for", "", gateway.Cert, gateway.Key, "decision_unavailable"},
	} {
		spec := &OPA{URL: agent.URL + "/v1/data/gateway/allow", Timeout: 5 * time.Second, CA: c.ca, Cert: c.cert, Key: c.key, Cache: &OPACache{TTL: time.Minute, Max: 10}}
		if got := code(t, env, spec, somebody(claims{})); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	for _, c := range []struct {
		spec OPA
		says string
	}{
		{OPA{URL: "http://a/", CA: ca.File}, "https"},
		{OPA{URL: "https://a/", Cert: gateway.Cert}, "go together"},
		{OPA{URL: "https://a/", CA: "nowhere.pem"}, "nowhere.pem"},
	} {
		if _, err := c.spec.Compile(env); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.spec, err)
		}
	}
	spec := OPA{Pos: config.Pos{File: "/etc/gopura.yaml"}, CA: "a.pem", Cert: "b.pem", Key: "/c.pem"}
	if got := strings.Join(spec.Files(), " "); got != "/etc/a.pem /etc/b.pem /c.pem" {
		t.Errorf("watched are %s", got)
	}
}
