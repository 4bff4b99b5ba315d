package gateway

import (
	"bytes"
	"encoding/json"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// questionMark is never written to.
var questionMark = []byte{'?'}

// redirect answers with a Location. A query that comes out empty leaves no
// question mark.
type redirect struct {
	status int
	to     *expr.Template
}

// Serve implements exchange.Handler.
func (r *redirect) Serve(x *exchange.Exchange) error {
	to, err := r.to.Append(x.Arena.Grow(256), x)
	if err != nil {
		return exchange.BadTarget.Because(err)
	}
	x.Response.Status, x.Response.Made = r.status, true
	x.Response.Header.AddBytes("Location", bytes.TrimSuffix(to, questionMark)) // ?{request.query} of a request without one
	x.Response.Header.Add(madeHeader, "redirect")
	x.Response.Body = exchange.NoBody
	return nil
}

// static answers with what the configuration says.
type static struct {
	status  int
	headers []config.Pair
	body    []byte
}

func newStatic(a *config.Answer) (*static, error) {
	s := &static{status: a.Status, body: []byte(a.Body), headers: a.Headers}
	kind := a.ContentType
	if a.JSON != nil {
		body, err := json.Marshal(a.JSON)
		if err != nil {
			return nil, err
		}
		s.body = append(body, '\n')
		if kind == "" {
			kind = "application/json"
		}
	}
	if kind == "" && len(s.body) > 0 {
		kind = "text/plain; charset=utf-8"
	}
	for _, h := range a.Headers {
		if strings.EqualFold(h.Name, "Content-Type") {
			return s, nil
		}
	}
	if kind != "" {
		s.headers = append([]config.Pair{{Name: "Content-Type", Value: kind}}, s.headers...)
	}
	return s, nil
}

// Serve implements exchange.Handler.
func (s *static) Serve(x *exchange.Exchange) error {
	r := &x.Response
	r.Status, r.Made = s.status, true
	for _, h := range s.headers {
		r.Header.Add(h.Name, h.Value)
	}
	r.Header.Add(madeHeader, "answer")
	r.Body = exchange.BytesBody(s.body)
	return nil
}
