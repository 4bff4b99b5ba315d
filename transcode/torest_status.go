package transcode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"gopura/exchange"
)

// codeOf returns the code that says the same as an HTTP status: the table of
// google.rpc.Code read backwards, and for what that does not have the nearest.
func codeOf(status int) exchange.GRPCCode {
	switch status {
	case 400, 422:
		return exchange.GRPCInvalidArgument
	case 401:
		return exchange.GRPCUnauthenticated
	case 403:
		return exchange.GRPCPermissionDenied
	case 404, 410:
		return exchange.GRPCNotFound
	case 405, 501:
		return exchange.GRPCUnimplemented
	case 408, 504:
		return exchange.GRPCDeadlineExceeded
	case 409:
		return exchange.GRPCAborted
	case 413, 429:
		return exchange.GRPCResourceExhausted
	case 416:
		return exchange.GRPCOutOfRange
	case 499:
		return exchange.GRPCCancelled
	case 502, 503:
		return exchange.GRPCUnavailable
	}
	switch status / 100 {
	case 4:
		return exchange.GRPCFailedPrecondition
	case 5:
		return exchange.GRPCInternal
	}
	return exchange.GRPCUnknown
}

// maxProblem is how much of an error's body is read; a longer one says nothing.
const maxProblem = 64 << 10

// failed ends the call with the status that the service's error is.
func (c *restCall) failed() error {
	r := &c.x.Response
	var p problem
	if isJSON(mediaType(r.Header.Get("Content-Type"))) && r.Body != nil {
		if b, err := c.readAnswer(maxProblem); err == nil {
			p.read(b)
		}
	}
	s := p.status(r.Status)
	if after, err := strconv.ParseUint(string(r.Header.Get("Retry-After")), 10, 31); err == nil {
		delay := protowire.AppendVarint([]byte{1 << 3}, after) // RetryInfo.retry_delay.seconds
		s.Details = append(s.Details, Detail{"type.googleapis.com/google.rpc.RetryInfo", protowire.AppendBytes([]byte{1<<3 | 2}, delay)})
	}
	if r.Body != nil {
		r.Body.Close()
	}
	responseHeader(&r.Header)
	r.Header.Set("Content-Type", "application/grpc")
	s.append(&r.Header)
	r.Status, r.Body = 200, exchange.NoBody
	return nil
}

// problem is what is read of an error: problem details (RFC 9457), also those
// that the other direction writes, and the errors of Google's APIs.
type problem struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Detail   string          `json:"detail"`
	Instance string          `json:"instance"`
	Code     json.RawMessage `json:"code"` // a word, or a number
	GRPC     *uint8          `json:"grpc_code"`
	Message  string          `json:"message"`
	Status   json.RawMessage `json:"status"` // a number, or the name of a gRPC code
	Error    json.RawMessage `json:"error"`  // the same again, or a text
}

// read fills p as far as b is an error that is understood.
func (p *problem) read(b []byte) {
	if json.Unmarshal(b, p) != nil {
		*p = problem{}
		return
	}
	if inner := bytes.TrimSpace(p.Error); len(inner) > 0 {
		var again problem
		if inner[0] == '{' && json.Unmarshal(inner, &again) == nil {
			*p = again
		} else if p.Message == "" {
			p.Message = word(inner)
		}
	}
}

// lastWords reads a line that ends a stream with an error: {"error": {…}}.
func lastWords(line []byte) (p problem, ok bool) {
	if !bytes.HasPrefix(line, bytesOf(`{"error":`)) && !bytes.HasPrefix(line, bytesOf(`{"error" `)) {
		return p, false
	}
	var outer map[string]json.RawMessage
	if json.Unmarshal(line, &outer) != nil || len(outer) != 1 {
		return p, false
	}
	if json.Unmarshal(outer["error"], &p) != nil {
		return p, false
	}
	return p, true
}

// word reads a JSON string; "" for something else.
func word(b json.RawMessage) (s string) {
	_ = json.Unmarshal(b, &s)
	return s
}

// status is the outcome of the call.
func (p *problem) status(http int) Status {
	if n, err := strconv.Atoi(string(p.Status)); err == nil && http == 200 {
		http = n // the last words of a stream have one of their own
	}
	s := Status{Code: codeOf(http)}
	if p.GRPC != nil && *p.GRPC != 0 {
		s.Code = exchange.GRPCCode(*p.GRPC)
	} else if code, ok := exchange.ParseGRPCCode(word(p.Status)); ok && code != exchange.GRPCOK {
		s.Code = code
	}
	for _, text := range []string{p.Detail, p.Message, p.Title, httpText(http)} {
		if text != "" {
			s.Message = strings.ToValidUTF8(text[:min(len(text), 1024)], "")
			break
		}
	}
	reason := word(p.Code)
	if reason == "" && p.Type == "" && p.Title == "" {
		return s // there is no more to say
	}
	if reason == "" {
		reason = p.Type[strings.LastIndexAny(p.Type, "/:#")+1:]
	}
	info := protowire.AppendString([]byte{1<<3 | 2}, reason)
	for _, m := range [...][2]string{{"type", p.Type}, {"title", p.Title}, {"instance", p.Instance}, {"http_status", strconv.Itoa(http)}} {
		if m[1] == "" {
			continue
		}
		entry := protowire.AppendString([]byte{1<<3 | 2}, m[0])
		entry = protowire.AppendString(append(entry, 2<<3|2), m[1])
		info = protowire.AppendBytes(append(info, 3<<3|2), entry)
	}
	s.Details = []Detail{{"type.googleapis.com/google.rpc.ErrorInfo", info}}
	return s
}

func httpText(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return "HTTP status " + strconv.Itoa(status)
}

// append adds the fields that end a call.
func (s *Status) append(h *exchange.Header) {
	h.AddBytes("Grpc-Status", strconv.AppendUint(nil, uint64(s.Code), 10))
	h.AddBytes("Grpc-Message", exchange.AppendGRPCMessage(nil, s.Message))
	if len(s.Details) == 0 {
		return
	}
	out := protowire.AppendVarint([]byte{1 << 3}, uint64(s.Code)) // google.rpc.Status
	out = protowire.AppendString(append(out, 2<<3|2), s.Message)
	for _, d := range s.Details {
		packed := protowire.AppendString([]byte{1<<3 | 2}, d.Type)
		packed = protowire.AppendBytes(append(packed, 2<<3|2), d.Value)
		out = protowire.AppendBytes(append(out, 3<<3|2), packed)
	}
	h.AddBytes("Grpc-Status-Details-Bin", base64.RawStdEncoding.AppendEncode(nil, out))
}
