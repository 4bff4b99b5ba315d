// Package acmeca is a small certificate authority that speaks ACME (the part
// of RFC 8555 and RFC 8737 that a client needs to get a certificate), for
// tests. It checks what a client signs, and validates control over the wire.
package acmeca

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gopura/internal/testca"
)

// CA is a running authority.
type CA struct {
	URL    string // of the directory
	Root   string // PEM file: whom to trust when speaking to it
	Issuer *testca.Authority

	// Where validations go, whatever the name: host:port. Set before a client comes.
	HTTP, TLS string
	Life      time.Duration // of certificates; default an hour

	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	nonces   map[string]bool
	accounts map[string]*jose.JSONWebKey // by URL
	orders   []*order
	faults   []string
	done     []string // validations that succeeded: "http-01 shop.test"
}

type order struct {
	account, domain, status string
	token                   string
	offered                 string // the challenge that was taken up
	fault                   string
	cert                    []byte
}

// Start starts a CA.
func Start(t testing.TB) *CA {
	t.Helper()
	c := &CA{t: t, Issuer: testca.New(t, "ACME issuer"), Life: time.Hour, nonces: map[string]bool{}, accounts: map[string]*jose.JSONWebKey{}}
	own := testca.New(t, "ACME API")
	c.Root = own.File
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dir", c.directory)
	mux.HandleFunc("/nonce", func(w http.ResponseWriter, r *http.Request) { c.nonce(w) })
	mux.HandleFunc("POST /account", c.signed(c.account))
	mux.HandleFunc("POST /order", c.signed(c.newOrder))
	mux.HandleFunc("POST /order/{n}", c.signed(c.ofOrder(c.showOrder)))
	mux.HandleFunc("POST /authz/{n}", c.signed(c.ofOrder(c.showAuthorization)))
	mux.HandleFunc("POST /challenge/{n}/{kind}", c.signed(c.ofOrder(c.takeUp)))
	mux.HandleFunc("POST /finalize/{n}", c.signed(c.ofOrder(c.finalize)))
	mux.HandleFunc("POST /cert/{n}", c.signed(c.ofOrder(c.certificate)))
	c.server = httptest.NewUnstartedServer(mux)
	c.server.TLS = &tls.Config{Certificates: []tls.Certificate{own.Server("127.0.0.1").TLS}}
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
	c.URL = c.server.URL + "/dir"
	return c
}

// Validations are the validations that succeeded, "http-01 shop.test".
func (c *CA) Validations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.done)
}

// Orders is how many orders were placed.
func (c *CA) Orders() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.orders)
}

// Faults are the requests that were refused, and the validations that failed.
func (c *CA) Faults() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.faults)
}

func (c *CA) fault(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	c.mu.Lock()
	c.faults = append(c.faults, text)
	c.mu.Unlock()
	return text
}

func (c *CA) at(path string) string { return c.server.URL + path }

func (c *CA) directory(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, map[string]any{
		"newNonce": c.at("/nonce"), "newAccount": c.at("/account"), "newOrder": c.at("/order"), "revokeCert": c.at("/revoke"), "keyChange": c.at("/key"),
	})
}

func (c *CA) nonce(w http.ResponseWriter) {
	n := rand.Text()
	c.mu.Lock()
	c.nonces[n] = true
	c.mu.Unlock()
	w.Header().Set("Replay-Nonce", n)
	w.Header().Set("Cache-Control", "no-store")
}

// call is a request whose signature is good.
type call struct {
	account string // URL; "" for the first request of a new account
	key     *jose.JSONWebKey
	payload []byte
	order   *order
	number  string
}

// signed lets only requests through that are signed as RFC 8555 §6 wants it.
func (c *CA) signed(next func(w http.ResponseWriter, r *http.Request, q *call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.nonce(w)
		q, err := c.verify(r)
		if err != nil {
			problem(w, 400, "malformed", c.fault("%s %s: %v", r.Method, r.URL.Path, err))
			return
		}
		next(w, r, q)
	}
}

func (c *CA) verify(r *http.Request) (*call, error) {
	if r.Header.Get("Content-Type") != "application/jose+json" {
		return nil, errors.New("not application/jose+json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	jws, err := jose.ParseSignedJSON(string(body), []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256, jose.EdDSA})
	if err != nil {
		return nil, err
	}
	if len(jws.Signatures) != 1 {
		return nil, errors.New("not one signature")
	}
	h := jws.Signatures[0].Protected
	c.mu.Lock()
	fresh := c.nonces[h.Nonce]
	delete(c.nonces, h.Nonce)
	key := c.accounts[h.KeyID]
	c.mu.Unlock()
	q := &call{account: h.KeyID, key: key}
	switch {
	case !fresh:
		return nil, errors.New("the nonce is not fresh")
	case h.ExtraHeaders["url"] != c.at(r.URL.Path):
		return nil, fmt.Errorf("signed for %v", h.ExtraHeaders["url"])
	case r.URL.Path == "/account":
		if h.JSONWebKey == nil || h.KeyID != "" || !h.JSONWebKey.Valid() || !h.JSONWebKey.IsPublic() {
			return nil, errors.New("a new account shows its key")
		}
		q.key = h.JSONWebKey
	case h.JSONWebKey != nil || key == nil:
		return nil, errors.New("no known account")
	}
	q.payload, err = jws.Verify(q.key)
	return q, err
}

func (c *CA) account(w http.ResponseWriter, r *http.Request, q *call) {
	sum, err := q.key.Thumbprint(crypto.SHA256)
	if err != nil {
		problem(w, 400, "badPublicKey", err.Error())
		return
	}
	var asked struct {
		Agreed bool `json:"termsOfServiceAgreed"`
		Only   bool `json:"onlyReturnExisting"`
	}
	json.Unmarshal(q.payload, &asked)
	url := c.at("/account/" + base64.RawURLEncoding.EncodeToString(sum))
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.accounts[url]
	switch {
	case !known && asked.Only:
		problem(w, 400, "accountDoesNotExist", "no such account")
		return
	case !known && !asked.Agreed:
		problem(w, 403, "userActionRequired", "the terms are not agreed to")
		return
	}
	c.accounts[url] = q.key
	w.Header().Set("Location", url)
	status := 201
	if known {
		status = 200
	}
	reply(w, status, map[string]any{"status": "valid"})
}

func (c *CA) newOrder(w http.ResponseWriter, r *http.Request, q *call) {
	var asked struct {
		Identifiers []struct{ Type, Value string }
	}
	if err := json.Unmarshal(q.payload, &asked); err != nil || len(asked.Identifiers) != 1 || asked.Identifiers[0].Type != "dns" {
		problem(w, 400, "malformed", c.fault("order %s", q.payload))
		return
	}
	o := &order{account: q.account, domain: asked.Identifiers[0].Value, status: "pending", token: rand.Text()}
	c.mu.Lock()
	c.orders = append(c.orders, o)
	number := strconv.Itoa(len(c.orders) - 1)
	c.mu.Unlock()
	w.Header().Set("Location", c.at("/order/"+number))
	reply(w, 201, c.orderView(o, number))
}

// ofOrder finds the order that a request is about: one of its own account.
func (c *CA) ofOrder(next func(w http.ResponseWriter, r *http.Request, q *call)) func(http.ResponseWriter, *http.Request, *call) {
	return func(w http.ResponseWriter, r *http.Request, q *call) {
		q.number = r.PathValue("n")
		n, err := strconv.Atoi(q.number)
		c.mu.Lock()
		if err == nil && n >= 0 && n < len(c.orders) && c.orders[n].account == q.account {
			q.order = c.orders[n]
		}
		c.mu.Unlock()
		if q.order == nil {
			problem(w, 404, "malformed", c.fault("%s: no such order", r.URL.Path))
			return
		}
		next(w, r, q)
	}
}

func (c *CA) orderView(o *order, number string) map[string]any {
	v := map[string]any{
		"status": o.status, "identifiers": []any{map[string]string{"type": "dns", "value": o.domain}},
		"authorizations": []string{c.at("/authz/" + number)}, "finalize": c.at("/finalize/" + number),
	}
	if o.cert != nil {
		v["certificate"] = c.at("/cert/" + number)
	}
	return v
}

func (c *CA) showOrder(w http.ResponseWriter, r *http.Request, q *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply(w, 200, c.orderView(q.order, q.number))
}

var kinds = []string{"http-01", "tls-alpn-01"}

func (c *CA) showAuthorization(w http.ResponseWriter, r *http.Request, q *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	status := map[string]string{"ready": "valid", "valid": "valid"}[q.order.status]
	if status == "" {
		status = q.order.status
	}
	var list []any
	for _, kind := range kinds {
		list = append(list, c.challengeView(q, kind))
	}
	reply(w, 200, map[string]any{"status": status, "identifier": map[string]string{"type": "dns", "value": q.order.domain}, "challenges": list})
}

func (c *CA) challengeView(q *call, kind string) map[string]any {
	v := map[string]any{"type": kind, "url": c.at("/challenge/" + q.number + "/" + kind), "token": q.order.token, "status": "pending"}
	if q.order.offered == kind {
		v["status"] = "processing"
		switch q.order.status {
		case "ready", "valid":
			v["status"] = "valid"
		case "invalid":
			v["status"] = "invalid"
			v["error"] = map[string]any{"type": "urn:ietf:params:acme:error:unauthorized", "detail": q.order.fault, "status": 403}
		}
	}
	return v
}

func (c *CA) takeUp(w http.ResponseWriter, r *http.Request, q *call) {
	kind := r.PathValue("kind")
	c.mu.Lock()
	begin := q.order.offered == "" && slices.Contains(kinds, kind)
	if begin && string(q.payload) != "" {
		q.order.offered = kind
	}
	view := c.challengeView(q, kind)
	c.mu.Unlock()
	if begin {
		go c.validate(q.order, kind, q.key)
	}
	reply(w, 200, view)
}

// validate looks whether the client controls the name.
func (c *CA) validate(o *order, kind string, key *jose.JSONWebKey) {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err == nil {
		want := o.token + "." + base64.RawURLEncoding.EncodeToString(sum)
		if kind == "http-01" {
			err = c.overHTTP(o, want)
		} else {
			err = c.overTLS(o, want)
		}
	}
	fault := ""
	if err != nil {
		fault = c.fault("validating %s by %s: %v", o.domain, kind, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.status, o.fault = "ready", fault; err != nil {
		o.status = "invalid"
		return
	}
	c.done = append(c.done, kind+" "+o.domain)
}

// overHTTP is RFC 8555 §8.3.
func (c *CA) overHTTP(o *order, want string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := http.NewRequest("GET", "http://"+c.HTTP+"/.well-known/acme-challenge/"+o.token, nil)
	if err != nil {
		return err
	}
	r.Host = o.domain
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if got := strings.TrimRight(string(text), " \t\r\n"); resp.StatusCode != 200 || got != want {
		return fmt.Errorf("%s: %q, want %q", resp.Status, got, want)
	}
	return nil
}

// acmeIdentifier is the extension of RFC 8737 §6.1.
var acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// overTLS is RFC 8737 §3.
func (c *CA) overTLS(o *order, want string) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", c.TLS,
		&tls.Config{ServerName: o.domain, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	leaf := state.PeerCertificates[0]
	if state.NegotiatedProtocol != "acme-tls/1" || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != o.domain {
		return fmt.Errorf("protocol %q, names %q", state.NegotiatedProtocol, leaf.DNSNames)
	}
	sum := sha256.Sum256([]byte(want))
	value, err := asn1.Marshal(sum[:])
	if err != nil {
		return err
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(acmeIdentifier) && e.Critical && string(e.Value) == string(value) {
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
				return errors.New("the connection goes on after the validation")
			}
			return nil
		}
	}
	return errors.New("the certificate has no such key authorization")
}

func (c *CA) finalize(w http.ResponseWriter, r *http.Request, q *call) {
	var asked struct {
		CSR string `json:"csr"`
	}
	json.Unmarshal(q.payload, &asked)
	der, _ := base64.RawURLEncoding.DecodeString(asked.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = csr.CheckSignature()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o := q.order
	if err != nil || o.status != "ready" || len(csr.DNSNames) != 1 || csr.DNSNames[0] != o.domain {
		c.faults = append(c.faults, "finalize: "+o.domain+" is "+o.status)
		problem(w, 403, "orderNotReady", fmt.Sprint("not ready, or not the names of the order: ", err))
		return
	}
	if o.cert, err = c.Issuer.Sign(csr, c.Life); err != nil {
		problem(w, 500, "serverInternal", err.Error())
		return
	}
	o.status = "valid"
	w.Header().Set("Location", c.at("/order/"+q.number))
	reply(w, 200, c.orderView(o, q.number))
}

func (c *CA) certificate(w http.ResponseWriter, r *http.Request, q *call) {
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	for _, der := range [][]byte{q.order.cert, c.Issuer.Cert.Raw} {
		pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}
