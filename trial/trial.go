package trial

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/gateway"
)

// maxBody bounds the bodies that a test looks at.
const maxBody = 16 << 20

// Result is what became of a test.
type Result struct {
	Test     *config.Test
	Failures []Failure
	Took     time.Duration
	// Explanation is that of the last request; nil when there was none.
	Explanation *gateway.Explanation
}

// Failure is one expectation that did not hold.
type Failure struct {
	What string // status, header X-Plan, sent[0] body
	Want string
	Got  string
}

func (f Failure) String() string {
	if f.Want == "" {
		return f.What + ": " + f.Got
	}
	return fmt.Sprintf("%s: expected %s, got %s", f.What, f.Want, f.Got)
}

// Run runs one test of the document that load returns.
func Run(load func() (*config.Document, error), t *config.Test) Result {
	begin := time.Now()
	r := &run{test: t}
	if err := r.do(load); err != nil {
		r.fail("the test", "", err.Error())
	}
	return Result{t, r.failures, time.Since(begin), r.explanation}
}

// run is a test at work.
type run struct {
	test        *config.Test
	failures    []Failure
	sent        []sent // by the last request
	explanation *gateway.Explanation
}

// sent is a request as a service saw it.
type sent struct {
	service, request, host string
	header                 exchange.Header
	body                   []byte
}

func (r *run) fail(what, want, got string) {
	r.failures = append(r.failures, Failure{what, want, got})
}

func (r *run) do(load func() (*config.Document, error)) error {
	id, err := identityOf(r.test.As)
	if err != nil {
		return err
	}
	u := gateway.Understudies{Service: r.serve, Played: Names(r.test.Services)}
	if id != nil {
		u.Identity = IdentityUnderstudy(id)
	}
	g, err := gateway.Rehearse(load, u)
	if err != nil {
		return err
	}
	defer g.Close()
	for i := range r.test.Times {
		x, err := r.request()
		if err != nil {
			return err
		}
		r.sent = nil
		e := g.Explain(x)
		var body []byte
		if x.Response.Body != nil {
			if body, err = exchange.ReadAll(x.Response.Body, maxBody); err != nil {
				return fmt.Errorf("the body of the answer: %w", err)
			}
		}
		if i == r.test.Times-1 {
			r.explanation = e
			r.judge(x, body)
		}
		x.Done()
	}
	return nil
}

// request makes the request of the test.
func (r *run) request() (*exchange.Exchange, error) {
	t := r.test
	addr, err := netip.ParseAddr(t.Client)
	if err != nil {
		return nil, fmt.Errorf("client: %q is no IP address", t.Client)
	}
	method, target, ok := strings.Cut(t.Request, " ")
	if !ok {
		method, target = "GET", t.Request
	}
	x, err := NewRequest(method, strings.TrimSpace(target), addr)
	if err != nil {
		return nil, err
	}
	body := []byte(t.Body)
	if t.JSON != nil {
		if body, err = json.Marshal(t.JSON); err != nil {
			return nil, fmt.Errorf("json: %w", err)
		}
	}
	for _, h := range t.Headers {
		if err := SetHeader(x, h.Name, h.Value); err != nil {
			return nil, err
		}
	}
	if t.JSON != nil && !x.Request.Header.Has("Content-Type") {
		x.Request.Header.Add("Content-Type", "application/json")
	}
	x.Request.Body = exchange.BytesBody(body)
	return x, nil
}

// identityOf reads as: a subject, or claims.
func identityOf(as any) (*exchange.Identity, error) {
	switch v := as.(type) {
	case nil:
		return nil, nil
	case string:
		return &exchange.Identity{Sub: v, Claims: map[string]any{"sub": v}}, nil
	}
	text, err := json.Marshal(as) // whatever the decoder made of it
	if err != nil {
		return nil, fmt.Errorf("as: %w", err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, fmt.Errorf("as: a subject or claims are expected")
	}
	id := &exchange.Identity{Claims: claims}
	id.Sub, _ = claims["sub"].(string)
	id.Name, _ = claims["identity"].(string)
	delete(claims, "identity")
	return id, nil
}

// serve is the understudy of the services.
func (r *run) serve(name string, x *exchange.Exchange) error {
	body, err := exchange.ReadAll(x.Request.Body, maxBody)
	if err != nil {
		return err
	}
	target := string(x.Request.Path)
	if x.Request.Query != nil {
		target += "?" + string(x.Request.Query)
	}
	s := sent{service: name, request: x.Request.Method + " " + target, host: string(x.Request.Authority), body: body}
	for _, f := range x.Request.Header.Fields() {
		s.header.Add(string(f.Name), string(f.Value))
	}
	r.sent = append(r.sent, s)
	return Play(r.test.Services)(name, x)
}

// play answers as the test says.
func play(a *config.TestService, x *exchange.Exchange) error {
	switch a.Fails {
	case "connect":
		return exchange.ConnectFailed.Errorf("the test says so")
	case "timeout":
		return exchange.UpstreamTimeout.Errorf("the test says so")
	case "reset":
		return exchange.UpstreamReset.Errorf("the test says so")
	}
	body := []byte(a.Body)
	if a.JSON != nil {
		var err error
		if body, err = json.Marshal(a.JSON); err != nil {
			return exchange.Internal.Because(err)
		}
	}
	x.Response.Status = a.Status
	for _, h := range a.Headers {
		x.Response.Header.Add(h.Name, h.Value)
	}
	if a.JSON != nil && !x.Response.Header.Has("Content-Type") {
		x.Response.Header.Add("Content-Type", "application/json")
	}
	x.Response.Body = exchange.BytesBody(body)
	return nil
}
