package transcode

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

// Connect (https://connectrpc.com/docs/protocol). A unary call is a plain HTTP
// request whose body is the message; streams are messages in envelopes like
// gRPC's, with a last one of JSON that has the status and the trailers.

// connectHeader makes t.header of the request's fields. encoding is the field
// that says how messages of the request are compressed.
func (t *Talk) connectHeader() error {
	q := &t.x.Request
	for _, f := range q.Header.Fields() {
		switch name := f.Name; name[0] | 0x20 {
		case 'a':
			if exchange.EqualFold(name, "accept") || exchange.EqualFold(name, "accept-encoding") {
				continue
			}
		case 'c':
			if prefixed(name, "connect-") || exchange.EqualFold(name, "content-type") || exchange.EqualFold(name, "content-encoding") {
				continue
			}
		case 'g':
			if prefixed(name, "grpc-") { // what only gRPC may say
				continue
			}
		}
		if n := len(f.Name); n > 4 && exchange.EqualFold(f.Name[n-4:], "-bin") && !isBase64(f.Value) {
			return exchange.BadHeader.Saying("The value of a header field whose name ends in -bin must be base64.")
		}
		t.header.AddField(f)
	}
	if v := q.Header.Get("Connect-Protocol-Version"); v != nil && string(v) != "1" {
		return exchange.BadHeader.Saying("Connect-Protocol-Version must be 1.")
	}
	if v := q.Header.Get("Connect-Timeout-Ms"); v != nil {
		d, ok := parseConnectTimeout(v)
		if !ok {
			return exchange.BadHeader.Saying("Connect-Timeout-Ms must be up to ten digits.")
		}
		t.header.AddBytes("grpc-timeout", exchange.AppendGRPCTimeout(nil, d))
	}
	t.header.Add("content-type", "application/grpc")
	t.header.Add("grpc-accept-encoding", "gzip")
	return nil
}

func parseConnectTimeout(v []byte) (time.Duration, bool) {
	if len(v) == 0 || len(v) > 10 {
		return 0, false
	}
	n := int64(0)
	for _, d := range v {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return time.Duration(n) * time.Millisecond, true
}

// needMethod looks the method up: JSON can't be read without it.
func (t *Talk) needMethod() (err error) {
	t.method, t.codec, err = t.i.method(t.x.Request.Path)
	return err
}

// unsupported is the error for a codec or an encoding that there is not. Connect
// wants UNIMPLEMENTED for both.
func unsupported(detail string) *exchange.Error {
	e := exchange.MediaTypeUnsupported.Saying(detail)
	e.Status = 501
	return e
}

// checkEncoding reads the name of a compression.
func checkEncoding(v []byte) (gzip bool, err error) {
	switch {
	case len(v) == 0, exchange.EqualFold(v, "identity"):
		return false, nil
	case exchange.EqualFold(v, "gzip"):
		return true, nil
	}
	return false, unsupported("Messages may be compressed with gzip, or not at all.")
}

// connectGet is what the query of a Connect GET says. Values are as sent.
type connectGet struct {
	encoding, message, compression []byte
	base64, version                bool
}

func getParams(query []byte) (p connectGet) {
	for part := range bytes.SplitSeq(query, []byte("&")) {
		name, value, _ := bytes.Cut(part, []byte("="))
		if value == nil {
			value = []byte{}
		}
		switch string(name) {
		case "encoding":
			p.encoding = value
		case "message":
			p.message = value
		case "compression":
			p.compression = value
		case "base64":
			p.base64 = string(value) == "1"
		case "connect":
			p.version = string(value) == "v1"
		}
	}
	return p
}

// decode returns the message: percent-encoded, or base64 in the URL's alphabet,
// with padding or without.
func (p *connectGet) decode() ([]byte, bool) {
	text, err := url.QueryUnescape(string(p.message))
	if err != nil {
		return nil, false
	}
	if !p.base64 {
		return []byte(text), true
	}
	out, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	return out, err == nil
}

// connectCode is the name of a code in Connect.
func connectCode(c exchange.GRPCCode) string {
	switch {
	case c == exchange.GRPCCancelled:
		return "canceled" // with one l
	case c > exchange.GRPCUnauthenticated:
		return "unknown"
	}
	return strings.ToLower(c.String())
}

func appendCode(dst []byte, c exchange.GRPCCode) []byte {
	return strconv.AppendUint(dst, uint64(c), 10)
}

// appendConnectError appends an error as Connect writes it.
func appendConnectError(dst []byte, s *Status) []byte {
	dst = append(append(append(dst, `{"code":"`...), connectCode(s.Code)...), '"')
	if s.Message != "" {
		dst = append(dst, `,"message":`...)
		dst = appendString(dst, []byte(strings.ToValidUTF8(s.Message, "\uFFFD")))
	}
	for i, d := range s.Details {
		if i == 0 {
			dst = append(dst, `,"details":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"type":`...)
		dst = appendString(dst, []byte(d.Type[strings.LastIndexByte(d.Type, '/')+1:]))
		dst = append(dst, `,"value":"`...)
		dst = base64.RawStdEncoding.AppendEncode(dst, d.Value)
		dst = append(dst, '"', '}')
	}
	if len(s.Details) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// faultStatus is the status of an answer that could not be interpreted.
func faultStatus(err error) *Status {
	if err == errMessageTooLarge {
		return &Status{Code: exchange.GRPCResourceExhausted, Message: "A message of the answer is larger than allowed."}
	}
	e := exchange.AsError(err)
	if e.Code == exchange.Internal.Name {
		return &Status{Code: exchange.GRPCInternal, Message: exchange.GRPCMalformed.Text}
	}
	return &Status{Code: e.GRPC(), Message: e.Detail}
}
