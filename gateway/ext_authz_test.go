package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// envoyAuthz is a service for Envoy: who shows the word is ada.
type envoyAuthz struct {
	auth.UnimplementedAuthorizationServer
}

func (envoyAuthz) Check(_ context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error) {
	field := func(name, value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
	}
	r := q.Attributes.Request.Http
	if r.Headers["authorization"] != "Bearer friend" {
		return &auth.CheckResponse{Status: &rpcstatus.Status{Code: 16}, HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Headers: []*core.HeaderValueOption{field("x-why", r.Method+" "+r.Path+" by "+r.Headers["x-user-id"]+r.Headers["x_user_id"])}, Body: "speak, friend"}}}, nil
	}
	return &auth.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
		Headers: []*core.HeaderValueOption{field("x-user-id", "ada")}, HeadersToRemove: []string{"authorization"},
		ResponseHeadersToAdd: []*core.HeaderValueOption{field("x-checked", "yes")}}}}, nil
}

// A service that was written for Envoy decides, by the whole gateway.
func TestExtAuthz(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	auth.RegisterAuthorizationServer(s, envoyAuthz{})
	go s.Serve(l)
	defer s.Stop()
	g := start(t, strings.ReplaceAll(`
listen: {main: "127.0.0.1:0"}
access_log: off
identity: {door: {ext_authz: {url: "grpc://AUTHZ", copy: X-User-Id, claims: {user: X-User-Id}, sub: user}}}
services: {o: "http://ORIGIN"}
routes:
  - {match: /headers, to: o, identity: door}
  - {match: /open, to: o, rewrite: /headers}
  - {match: /who, identity: door, headers: {response: {set: {X-Who: "{identity.sub}"}}}, answer: {body: hi}}
`, "AUTHZ", l.Addr().String()))
	ask := func(path, word string) (int, string, http.Header) {
		r, _ := http.NewRequest("GET", g.url(path), nil)
		r.Header["Authorization"] = []string{word}
		r.Header["X-User-Id"] = []string{"root"}
		r.Header["x_user_id"] = []string{"root"}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, strings.ToLower(string(body)), resp.Header
	}
	code, body, h := ask("/headers", "Bearer friend")
	if code != 200 || !strings.Contains(body, "x-user-id: ada") || strings.Contains(body, "root") || strings.Contains(body, "friend") || h.Get("X-Checked") != "yes" {
		t.Errorf("%d %s %v", code, body, h)
	}
	if code, _, h := ask("/who", "Bearer friend"); code != 200 || h.Get("X-Who") != "ada" {
		t.Errorf("%d, it is %q", code, h.Get("X-Who"))
	}
	if code, body, _ := ask("/open", ""); code != 200 || strings.Contains(body, "root") {
		t.Errorf("a name of the gateway's passes on another route: %d %s", code, body)
	}
	code, body, h = ask("/headers?a=b", "Bearer foe")
	if code != 403 || body != "speak, friend" || h.Get("X-Why") != "GET /headers?a=b by" {
		t.Errorf("%d %s %v", code, body, h)
	}
	s.Stop()
	if code, body, _ := ask("/headers", "Bearer friend"); code != 503 || !strings.Contains(body, "identity_unavailable") {
		t.Errorf("without the service: %d %s", code, body)
	}
}
