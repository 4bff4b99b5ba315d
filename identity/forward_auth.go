package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const forwardAuthDoc = "Asks an HTTP service about each request, with its method, host and target in X-Forwarded-* and the fields that it is to see. " +
	"A status of 200 to 299 lets the request pass, with the answer's fields that are named under copy; 300 to 499 is what the client gets; " +
	"anything else, or no answer in time, is 503. Since it may answer itself, it comes last among several sources."

// ForwardAuth is the settings of forward_auth.
type ForwardAuth struct {
	Pos     config.Pos    `yaml:"-"`
	URL     string        `yaml:"url" short:"true" required:"true" doc:"The address that is asked."`
	Method  string        `yaml:"method" enum:"GET,HEAD,POST" default:"GET" doc:"The method of the call; it has no body."`
	Send    []string      `yaml:"send" one:"true" default:"Authorization,Cookie" doc:"Fields of the request that the service gets."`
	Copy    []string      `yaml:"copy" one:"true" doc:"Fields of its answer that the upstream gets. They are taken from no client, on any route."`
	Sub     string        `yaml:"sub" doc:"The field of its answer that names the subject; a 2xx without it is refused with 503."`
	Claims  []config.Pair `yaml:"claims" doc:"Claims by name, each the name of a field of its answer."`
	Return  []string      `yaml:"return" one:"true" default:"WWW-Authenticate,Location,Set-Cookie,Content-Type,Cache-Control" doc:"Fields of an answer of 300 to 499 that the client gets."`
	Cookies bool          `yaml:"cookies" doc:"Whether the client also gets the Set-Cookie fields of a 2xx."`
	CA      string        `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's."`
	Cert    string        `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the service, and its chain."`
	Key     string        `yaml:"key" doc:"Path of the PEM file with its private key."`
	Timeout time.Duration `yaml:"timeout" default:"3s" min:"10ms" max:"60s" doc:"How long an answer may take."`
}

// Files returns what the source is made of besides its settings.
func (s *ForwardAuth) Files(dir string) []string { return s.trust().In(dir).Files() }

func (s *ForwardAuth) trust() CallTLS { return CallTLS{s.CA, s.Cert, s.Key} }

// maxForwardBody bounds the body of an answer that the client gets.
const maxForwardBody = 64 << 10

type forwardAuth struct {
	name     string
	settings *ForwardAuth
	url      *url.URL
	client   *http.Client
}

// Compile implements Spec.
func (s *ForwardAuth) Compile(env *Env) (Source, error) {
	var faults []error
	fault := func(path string, err error) { faults = append(faults, &Fault{Path: path, Pos: s.Pos, Err: err}) }
	u, err := checkURL(s.URL)
	if err != nil {
		fault("url", err)
	}
	for _, list := range []struct {
		path  string
		names []string
	}{{"send", s.Send}, {"copy", s.Copy}, {"return", s.Return}} {
		for i, name := range list.names {
			if err := checkForwarded(name); err != nil {
				fault(fmt.Sprintf("%s[%d]", list.path, i), err)
			}
		}
	}
	for _, c := range s.Claims {
		if !exchange.ValidName(c.Value) {
			faults = append(faults, &Fault{Path: "claims." + c.Name, Pos: c.Pos, Err: fmt.Errorf("not a field name: %q", c.Value)})
		}
	}
	client, hangUp, err := newCaller(env, s.trust(), s.Timeout)
	if err != nil {
		fault(callFault(err), err)
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	env.Scope.Add(hangUp)
	env.Asserts(s.Copy...)
	return &forwardAuth{name: env.Name, settings: s, url: u, client: client}, nil
}

// checkForwarded refuses names that are none, those that belong to a connection,
// and those that the gateway itself says to the service.
func checkForwarded(name string) error {
	if !exchange.ValidName(name) {
		return fmt.Errorf("not a field name: %q", name)
	}
	lower := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch lower {
	case "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "proxy-connection",
		"http2-settings", "expect", "host", "content-encoding":
		return fmt.Errorf("%s belongs to a connection or a body, it can't be copied", name)
	}
	if strings.HasPrefix(lower, "x-forwarded-") || lower == "forwarded" {
		return fmt.Errorf("%s is the gateway's own", name)
	}
	return nil
}

// Challenge implements Challenger: the service's own answer says what it wants.
func (f *forwardAuth) Challenge(*exchange.Exchange, error) string { return "" }

// Identify implements Source.
func (f *forwardAuth) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	a := inquire(x, f.name, f.url.Host)
	resp, err := f.client.Do(f.question(x).WithContext(a.in(x.Context())))
	a.over(err)
	if err != nil {
		return nil, exchange.IdentityUnavailable.Because(fmt.Errorf("forward_auth: %w", callError(err)))
	}
	defer resp.Body.Close()
	switch c := resp.StatusCode; {
	case c >= 200 && c <= 299:
		io.CopyN(io.Discard, resp.Body, maxForwardBody) // so that the connection is kept
		return f.pass(x, resp)
	case c >= 300 && c <= 499:
		return nil, f.answer(x, resp)
	}
	return nil, exchange.IdentityUnavailable.Errorf("forward_auth: the service answered with status %d", resp.StatusCode)
}

// question is the call about a request. Everything that says where the request
// came from is the gateway's own word: what a client sent under such names was
// dropped when it came in, and send can't name them.
func (f *forwardAuth) question(x *exchange.Exchange) *http.Request {
	q := &http.Request{Method: f.settings.Method, URL: f.url, Host: f.url.Host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	r := &x.Request
	for _, name := range f.settings.Send {
		key := textproto.CanonicalMIMEHeaderKey(name)
		for v := range r.Header.Values(name) {
			q.Header[key] = append(q.Header[key], string(v))
		}
	}
	uri := string(r.Path)
	if r.Query != nil {
		uri += "?" + string(r.Query)
	}
	q.Header.Set("X-Forwarded-Method", r.Method)
	q.Header.Set("X-Forwarded-Proto", r.Scheme)
	q.Header.Set("X-Forwarded-Host", string(r.Authority))
	q.Header.Set("X-Forwarded-Uri", uri)
	q.Header.Set("X-Forwarded-For", x.Client.Addr.Addr().Unmap().String())
	q.Header.Set("X-Request-Id", string(x.ID))
	if q.Header.Get("User-Agent") == "" {
		q.Header.Set("User-Agent", "gopura")
	}
	return q
}

// pass makes the identity of a 2xx and tells the upstream what it is to know.
func (f *forwardAuth) pass(x *exchange.Exchange, resp *http.Response) (*exchange.Identity, error) {
	s := f.settings
	claims := make(map[string]any, len(s.Claims)+1)
	sub := ""
	if s.Sub != "" {
		if sub = resp.Header.Get(s.Sub); sub == "" {
			return nil, exchange.IdentityUnavailable.Errorf("forward_auth: the service lets pass, but doesn't say whom")
		}
		claims["sub"] = sub
	}
	for _, c := range s.Claims {
		if v := resp.Header.Values(c.Value); len(v) > 0 {
			claims[c.Name] = strings.Join(v, ", ")
		}
	}
	h := &x.Request.Header
	for _, name := range s.Copy {
		h.DelAlias(name)
	}
	for _, name := range s.Copy {
		for _, v := range resp.Header.Values(name) {
			if exchange.ValidValue(v) {
				h.Add(name, v)
			}
		}
	}
	if s.Cookies {
		copyFields(x, resp, []string{"Set-Cookie"})
	}
	return &exchange.Identity{Name: f.name, Sub: sub, Claims: claims}, nil
}

// answer makes the service's refusal or redirect the answer.
func (f *forwardAuth) answer(x *exchange.Exchange, resp *http.Response) error {
	body, err := readAnswer(resp.Body, maxForwardBody)
	if err != nil {
		return exchange.IdentityUnavailable.Because(fmt.Errorf("forward_auth: %w", err))
	}
	x.DropResponse()
	copyFields(x, resp, f.settings.Return)
	e := exchange.IdentityInvalid.Errorf("forward_auth: the service answered with status %d", resp.StatusCode)
	if resp.StatusCode >= 400 {
		e.Status = resp.StatusCode
		x.Err = e // for the records
	}
	made(x, resp.StatusCode, body)
	return Answered
}

func copyFields(x *exchange.Exchange, resp *http.Response, names []string) {
	for i, name := range names {
		if slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(name, other) }) {
			continue
		}
		for _, v := range resp.Header.Values(name) {
			if exchange.ValidValue(v) {
				x.Response.Header.Add(name, v)
			}
		}
	}
}

// made finishes an answer that a source gives itself.
func made(x *exchange.Exchange, status int, body []byte) {
	r := &x.Response
	r.Status, r.Made, r.Body = status, true, exchange.BytesBody(body)
	if !r.Header.Has("Cache-Control") {
		r.Header.Add("Cache-Control", "no-store") // about one client, for nobody else
	}
	r.Header.Set("Gopura-Answer", "identity")
}
