package gateway

import (
	"encoding/json"
	"strings"

	"gopura/exchange"
	"gopura/transcode"
	"gopura/upstream"
)

// madeHeader is on every answer that the gateway made itself, and on no other:
// its value is the error's code, or what kind of answer it is.
const madeHeader = "Gopura-Answer"

// answer turns whatever went wrong into the response, as RFC 9457 problem
// details. It says what the client may know: the code, its sentence, and the
// request id under which the log knows more.
func answer(x *exchange.Exchange, err error) {
	e := exchange.AsError(err)
	x.Err = e
	allow := x.Response.Header.Get("Allow")
	x.DropResponse()
	if speaksGRPC(x) {
		answerGRPC(x, e)
		return
	}
	if d := transcode.DialectOf(&x.Request); d != transcode.NoDialect {
		answerIn(x, e, d)
		return
	}
	r := &x.Response
	r.Made, r.Status = true, e.Status
	r.Header.Add("Content-Type", "application/problem+json")
	r.Header.Add("Cache-Control", "no-store")
	r.Header.Add(madeHeader, e.Code)
	if len(x.ID) > 0 {
		r.Header.AddBytes("X-Request-Id", x.ID)
	}
	if e.Status == 405 && allow != nil {
		r.Header.AddBytes("Allow", allow)
	}
	if e.Status == 503 {
		r.Header.Add("Retry-After", "1")
	}
	if e.Side == exchange.ByUpstream && e.Status >= 502 {
		r.Header.Add(upstream.RetryHeader, "no") // we have tried: a gateway in front must not multiply that
	}
	for _, f := range e.Header.Fields() {
		r.Header.AddField(f)
	}
	r.Body = exchange.BytesBody(problem(e, x.ID))
}

// problem encodes e for the client.
func problem(e *exchange.Error, id []byte) []byte {
	detail := e.Detail
	if detail == "" {
		detail = e.Sentence()
	}
	body, _ := json.Marshal(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Code      string `json:"code"`
		Detail    string `json:"detail,omitempty"`
		Part      string `json:"part,omitempty"`
		RequestID string `json:"request_id,omitempty"`

		Flaws []exchange.Flaw `json:"flaws,omitempty"`
	}{"about:blank", title(e.Code), e.Status, e.Code, detail, e.Part, string(id), e.Flaws})
	return append(body, '\n')
}

// title is the code as words.
func title(code string) string {
	t := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(t[:1]) + t[1:]
}
