package transcode

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"gopura/exchange"
)

// Status is how a call ended.
type Status struct {
	Code    exchange.GRPCCode
	Message string
	Details []Detail // of google.rpc.Status
}

// Detail is a message packed into an Any.
type Detail struct {
	Type  string // URL
	Value []byte // on the wire
}

var errNoStatus = errors.New("the answer ends without a grpc-status")

// readStatus reads the status from trailers, or from the head of an answer that
// is nothing else; false when there is none.
func readStatus(h *exchange.Header) (s Status, ok bool) {
	if h == nil {
		return s, false
	}
	code := h.Get("grpc-status")
	if code == nil {
		return s, false
	}
	if s.Code = exchange.ParseGRPCStatus(code); s.Code == exchange.GRPCOK {
		return s, true
	}
	s.Message = exchange.ParseGRPCMessage(h.Get("grpc-message"))
	if bin := h.Get("grpc-status-details-bin"); bin != nil {
		s.Details = parseDetails(bin)
	}
	return s, true
}

// parseDetails reads a google.rpc.Status. One that is not valid has no details:
// code and message stand in other fields.
func parseDetails(text []byte) (details []Detail) {
	b, err := base64.RawStdEncoding.AppendDecode(nil, []byte(strings.TrimRight(string(text), "=")))
	if err != nil {
		return nil
	}
	_ = eachBytes(b, func(n protowire.Number, v []byte) error {
		if n != 3 {
			return nil
		}
		var d Detail
		err := eachBytes(v, func(n protowire.Number, v []byte) error {
			switch n {
			case 1:
				d.Type = string(v)
			case 2:
				d.Value = v
			}
			return nil
		})
		if err == nil {
			details = append(details, d)
		}
		return err
	})
	return details
}

// RetryAfter returns the seconds that a google.rpc.RetryInfo asks for.
func (s *Status) RetryAfter() (seconds int64, ok bool) {
	for _, d := range s.Details {
		if !strings.HasSuffix(d.Type, "/google.rpc.RetryInfo") {
			continue
		}
		_ = eachBytes(d.Value, func(n protowire.Number, v []byte) error {
			if n == 1 {
				secs, nanos := secondsOf(v)
				if nanos > 0 {
					secs++
				}
				seconds, ok = max(secs, 0), true
			}
			return nil
		})
	}
	return seconds, ok && seconds <= maxDuration
}

// secondsOf reads a Duration or Timestamp.
func secondsOf(b []byte) (seconds, nanos int64) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		if typ == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(b[n:])
			switch num {
			case 1:
				seconds = int64(v)
			case 2:
				nanos = int64(int32(v))
			}
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return
		}
		b = b[n+m:]
	}
	return
}

// statusError is a Status as an error.
type statusError struct{ Status }

func (e *statusError) Error() string { return e.Code.String() + ": " + e.Message }

func (s Status) err() error {
	if s.Code == exchange.GRPCOK {
		return nil
	}
	return &statusError{s}
}

// checkHead complains about an answer that is not gRPC.
func checkHead(r *exchange.Response) error {
	if r.Status == 200 && exchange.IsGRPC(r.Header.Get("content-type")) {
		return nil
	}
	return &statusError{Status{
		Code:    exchange.GRPCFromHTTP(r.Status),
		Message: fmt.Sprintf("the answer is not gRPC: status %d, content type %.60q", r.Status, r.Header.Get("content-type")),
	}}
}

// AppendProblem appends the status as problem details (RFC 9457): the code in
// words, gRPC's number, the message, and the details as JSON.
func (c *Codec) AppendProblem(dst []byte, s *Status, id []byte) []byte {
	name := strings.ToLower(s.Code.String())
	title := strings.ReplaceAll(name, "_", " ")
	dst = append(dst, `{"type":"about:blank","title":`...)
	dst = appendString(dst, []byte(strings.ToUpper(title[:1])+title[1:]))
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(s.Code.HTTPStatus()), 10)
	dst = append(dst, `,"code":`...)
	dst = appendString(dst, []byte("grpc_"+name))
	dst = append(dst, `,"grpc_code":`...)
	dst = strconv.AppendInt(dst, int64(s.Code), 10)
	if s.Message != "" {
		dst = append(dst, `,"detail":`...)
		dst = appendString(dst, []byte(s.Message))
	}
	if len(id) > 0 {
		dst = append(dst, `,"request_id":`...)
		dst = appendString(dst, id)
	}
	for i, d := range s.Details {
		if i == 0 {
			dst = append(dst, `,"details":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = c.appendDetail(dst, d)
	}
	if len(s.Details) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendDetail appends a detail as an Any looks in JSON. One of a type that is
// not known, or that is not valid, keeps its type and its bytes.
func (c *Codec) appendDetail(dst []byte, d Detail) []byte {
	name := d.Type[strings.LastIndexByte(d.Type, '/')+1:]
	for _, s := range []*Schema{c.schema, c.schema.google} {
		if s == nil {
			continue
		}
		m, err := s.Message(name)
		if err != nil {
			continue
		}
		head := len(dst)
		out := append(dst, `{"@type":`...)
		out = appendString(out, []byte(d.Type))
		at := len(out)
		out, err = (&Codec{s, c.options, c.limits}).AppendJSON(out, m, d.Value)
		if err != nil || len(out) == at {
			return appendOpaque(dst[:head], d)
		}
		if m.form != plain || out[at] != '{' { // the well-known ones are a value
			value := append([]byte(nil), out[at:]...)
			return append(append(append(out[:at], `,"value":`...), value...), '}')
		}
		if out[at+1] == '}' {
			return append(out[:at], '}')
		}
		out[at] = ','
		return out
	}
	return appendOpaque(dst, d)
}

func appendOpaque(dst []byte, d Detail) []byte {
	dst = append(dst, `{"@type":`...)
	dst = appendString(dst, []byte(d.Type))
	dst = append(dst, `,"value":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, d.Value)
	return append(dst, '"', '}')
}
