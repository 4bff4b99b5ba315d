package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/identity"
	"gopura/lifetime"
)

const opaDoc = "Asks an Open Policy Agent, by its REST API, whether a request may pass. The input has request (method, path, segments, host, scheme, query, headers, body), client, route, params and identity (name, sub, claims). " +
	"Only a result of true lets it pass; false, nothing, or another type is 403 (forbidden), or 401 (identity_required) for a client that has shown no identity. " +
	"When the agent does not answer, on_failure decides: refuse is 503 (decision_unavailable)."

// OPA is the settings of opa.
type OPA struct {
	Pos       config.Pos    `yaml:"-"`
	URL       string        `yaml:"url" short:"true" required:"true" doc:"The document that decides: http://127.0.0.1:8181/v1/data/gateway/allow."`
	Result    string        `yaml:"result" doc:"Where true or false stands in a result that is an object: allow, or decision.allow."`
	Timeout   time.Duration `yaml:"timeout" default:"500ms" min:"1ms" max:"1m" doc:"How long a decision may take."`
	OnFailure string        `yaml:"on_failure" default:"refuse" enum:"refuse,allow" doc:"What becomes of requests while the agent does not answer. An answer that is no clear true refuses in any case."`
	Headers   []string      `yaml:"headers" one:"true" doc:"Request header fields that the agent is told; none of itself."`
	Body      config.Size   `yaml:"body" default:"0" max:"16MiB" doc:"Tell the agent the body, JSON of at most so many bytes; a larger one is 413, another type 415. 0: the body is not looked at."`
	Token     config.Secret `yaml:"token" doc:"A bearer token for the agent."`
	CA        string        `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's."`
	Cert      string        `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the agent, and its chain."`
	Key       string        `yaml:"key" doc:"Path of the PEM file with its private key."`
	Cache     *OPACache     `yaml:"cache" words:"on,off" doc:"Remember decisions, by all of the input."`
	Mode      string        `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// OPACache is how decisions are remembered.
type OPACache struct {
	Pos config.Pos    `yaml:"-"`
	TTL time.Duration `yaml:"ttl" short:"true" default:"5s" min:"1ms" max:"1h" doc:"How long a decision holds."`
	Max int           `yaml:"max" default:"10000" min:"1" max:"1000000" doc:"How many are kept."`
}

// Compile implements Spec.
func (s *OPA) Compile(env *Env) (exchange.Middleware, error) {
	fault := func(path, format string, args ...any) error {
		return &Fault{Path: path, Pos: s.Pos, Err: fmt.Errorf(format, args...)}
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fault("url", "needs a URL as http://127.0.0.1:8181/v1/data/gateway/allow")
	}
	o := &opa{env: env, body: int64(s.Body), open: s.OnFailure == "allow", shadowed: s.Mode == shadow}
	for _, name := range s.Headers {
		if !exchange.ValidName(name) {
			return nil, fault("headers", "not a field name: %q", name)
		}
		o.headers = append(o.headers, strings.ToLower(name))
	}
	trust, print, err := s.trust().Config()
	var pair *identity.PairError
	switch {
	case errors.As(err, &pair):
		return nil, fault("cert", "%w", err)
	case err != nil:
		return nil, fault("ca", "%w", err)
	case u.Scheme == "http" && len(s.Files()) > 0:
		return nil, fault("url", "ca, cert and key are for an https URL")
	}
	agent := agentSettings{URL: u.String(), Timeout: s.Timeout, Token: s.Token.Reveal(), Trust: print, tls: trust}
	if agent.Timeout <= 0 {
		agent.Timeout = 500 * time.Millisecond
	}
	if s.Result != "" {
		if agent.Result = strings.Split(s.Result, "."); slices.Contains(agent.Result, "") {
			return nil, fault("result", "needs names with dots between them: %q", s.Result)
		}
	}
	if s.Cache != nil {
		agent.TTL, agent.Max = s.Cache.TTL, s.Cache.Max
	}
	// What was decided, and the connections, outlive the configuration.
	o.agent, err = lifetime.Hold(env.Pool, env.Scope, agent.key(), func() (*agentClient, func(), error) {
		a := newAgent(agent)
		return a, a.close, nil
	})
	if err != nil {
		return nil, fault("", "%w", err)
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			refusal, err := o.judge(x)
			if err != nil {
				return err
			}
			if refusal != nil {
				return env.refuse(next, x, "opa", o.shadowed, refusal)
			}
			return next.Serve(x)
		})
	}, nil
}

// Files are the files that the policy is made of.
func (s *OPA) Files() []string { return s.trust().Files() }

func (s *OPA) trust() identity.CallTLS {
	in := func(file string) string {
		if file == "" {
			return ""
		}
		return beside(s.Pos, file)
	}
	return identity.CallTLS{CA: in(s.CA), Cert: in(s.Cert), Key: in(s.Key)}
}

// opa is a compiled opa policy.
type opa struct {
	env            *Env
	agent          *agentClient
	headers        []string
	body           int64
	open, shadowed bool
}

func (o *opa) judge(x *exchange.Exchange) (refusal *exchange.Error, err error) {
	input, refusal, err := o.input(x)
	if refusal != nil || err != nil {
		return refusal, err
	}
	allowed, err := o.agent.decide(x, input)
	switch {
	case err == nil && allowed:
		return nil, nil
	case err == nil:
		return o.env.deny(x, exchange.Forbidden, errors.New("the agent does not allow it")), nil
	case errors.Is(x.Cancelled(), context.DeadlineExceeded):
		return nil, exchange.ExchangeTimeout.Because(err)
	case x.Cancelled() != nil:
		return nil, exchange.ClientGone.Because(x.Cancelled())
	case o.open && errors.Is(err, errUnreachable):
		o.env.shadow(x, "opa", exchange.DecisionUnavailable) // it passes, and not unseen
		return nil, nil
	}
	return exchange.DecisionUnavailable.Because(err), nil
}

// input is the document that the agent judges by: nothing of it differs between
// two requests that are to be judged alike.
func (o *opa) input(x *exchange.Exchange) (text []byte, refusal *exchange.Error, err error) {
	r := &x.Request
	query, err := queryValues(r.Query)
	if err != nil {
		return nil, exchange.BadTarget.Because(err), nil
	}
	request := map[string]any{
		"method": r.Method, "scheme": r.Scheme, "host": string(r.Host), "path": string(r.Path),
		"segments": segments(string(r.Path)), "query": query, "headers": o.fields(&r.Header),
	}
	if o.body > 0 {
		body, refusal, err := o.bodyOf(x)
		if refusal != nil || err != nil {
			return nil, refusal, err
		}
		request["body"] = body
	}
	params := map[string]string{}
	for _, p := range r.Params {
		if text, err := url.PathUnescape(string(p.Value)); err == nil {
			params[p.Name] = text
		}
	}
	in := map[string]any{
		"request": request, "route": o.env.Route, "params": params,
		"client": map[string]any{"ip": x.Client.Addr.Addr().Unmap().WithZone("").String(), "listener": x.Client.Listener},
	}
	if id := x.Identity; id != nil {
		in["identity"] = map[string]any{"name": id.Name, "sub": id.Sub, "claims": id.Claims}
	}
	text, err = json.Marshal(map[string]any{"input": in})
	if err != nil {
		return nil, exchange.DecisionUnavailable.Because(err), nil
	}
	return text, nil, nil
}

func (o *opa) fields(h *exchange.Header) map[string][]string {
	values := map[string][]string{}
	for i := range h.Len() {
		f := h.At(i)
		for _, name := range o.headers {
			if exchange.EqualFold(f.Name, name) {
				values[name] = append(values[name], string(f.Value))
			}
		}
	}
	return values
}

// bodyOf returns the body as a value. The agent sees all of it or the request
// does not pass: a rule that forbids a member must not be dodged by a body that
// is too long to be shown, or that is none to us and one to the service.
func (o *opa) bodyOf(x *exchange.Exchange) (any, *exchange.Error, error) {
	if x.Request.Body.Len() == 0 {
		return nil, nil, nil
	}
	if x.Request.Body.Len() > o.body {
		return nil, exchange.BodyTooLarge.Because(nil), nil
	}
	text, whole, err := exchange.KeepBody(x, o.body)
	switch {
	case err != nil:
		return nil, nil, err
	case !whole:
		return nil, exchange.BodyTooLarge.Because(nil), nil
	case len(text) == 0:
		return nil, nil, nil
	case !plain(&x.Request.Header) || !takes(jsonTypes, &x.Request.Header):
		return nil, exchange.MediaTypeUnsupported.Because(nil), nil
	}
	v, err := readJSON(text)
	if err != nil {
		return nil, invalid([]exchange.Flaw{{Pointer: "#", Detail: err.Error()}}), nil
	}
	return v, nil, nil
}

func segments(path string) []string {
	list := []string{}
	for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if text, err := url.PathUnescape(s); err == nil {
			s = text
		}
		list = append(list, s)
	}
	return list
}
