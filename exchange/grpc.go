package exchange

import (
	"math"
	"strconv"
	"time"
)

// GRPCCode is the outcome of a gRPC call, as grpc-status carries it.
type GRPCCode uint8

// GRPCOutcome is how a call ended, once it is known.
type GRPCOutcome struct {
	Code  GRPCCode
	Known bool
}

// EndGRPC notes the outcome that h has, the trailers of a call or the head of an
// answer without messages.
func (x *Exchange) EndGRPC(h *Header) {
	if h == nil {
		return
	}
	if v := h.Get("grpc-status"); v != nil {
		x.GRPC = GRPCOutcome{ParseGRPCStatus(v), true}
	}
}

// The codes of gRPC.
const (
	GRPCOK GRPCCode = iota
	GRPCCancelled
	GRPCUnknown
	GRPCInvalidArgument
	GRPCDeadlineExceeded
	GRPCNotFound
	GRPCAlreadyExists
	GRPCPermissionDenied
	GRPCResourceExhausted
	GRPCFailedPrecondition
	GRPCAborted
	GRPCOutOfRange
	GRPCUnimplemented
	GRPCInternal
	GRPCUnavailable
	GRPCDataLoss
	GRPCUnauthenticated
)

// grpcCodes has the name of each code, and the HTTP status that google.rpc.Code
// gives it.
var grpcCodes = [...]struct {
	name   string
	status int
}{
	GRPCOK:                 {"OK", 200},
	GRPCCancelled:          {"CANCELLED", 499},
	GRPCUnknown:            {"UNKNOWN", 500},
	GRPCInvalidArgument:    {"INVALID_ARGUMENT", 400},
	GRPCDeadlineExceeded:   {"DEADLINE_EXCEEDED", 504},
	GRPCNotFound:           {"NOT_FOUND", 404},
	GRPCAlreadyExists:      {"ALREADY_EXISTS", 409},
	GRPCPermissionDenied:   {"PERMISSION_DENIED", 403},
	GRPCResourceExhausted:  {"RESOURCE_EXHAUSTED", 429},
	GRPCFailedPrecondition: {"FAILED_PRECONDITION", 400},
	GRPCAborted:            {"ABORTED", 409},
	GRPCOutOfRange:         {"OUT_OF_RANGE", 400},
	GRPCUnimplemented:      {"UNIMPLEMENTED", 501},
	GRPCInternal:           {"INTERNAL", 500},
	GRPCUnavailable:        {"UNAVAILABLE", 503},
	GRPCDataLoss:           {"DATA_LOSS", 500},
	GRPCUnauthenticated:    {"UNAUTHENTICATED", 401},
}

// String returns the name: "NOT_FOUND".
func (c GRPCCode) String() string {
	if int(c) < len(grpcCodes) {
		return grpcCodes[c].name
	}
	return "CODE_" + strconv.Itoa(int(c))
}

// HTTPStatus returns the HTTP status that google.rpc.Code maps the code to.
// A code that gRPC does not know counts as UNKNOWN.
func (c GRPCCode) HTTPStatus() int {
	if int(c) < len(grpcCodes) {
		return grpcCodes[c].status
	}
	return 500
}

// ParseGRPCCode reads a code by its name.
func ParseGRPCCode(name string) (GRPCCode, bool) {
	for c := range grpcCodes {
		if grpcCodes[c].name == name {
			return GRPCCode(c), true
		}
	}
	return GRPCUnknown, false
}

// ParseGRPCStatus reads the value of grpc-status. One that is no number is
// UNKNOWN, as gRPC wants it.
func ParseGRPCStatus(value []byte) GRPCCode {
	n := 0
	for _, d := range value {
		if d < '0' || d > '9' || n > 25 {
			return GRPCUnknown
		}
		n = n*10 + int(d-'0')
	}
	if len(value) == 0 || n > math.MaxUint8 {
		return GRPCUnknown
	}
	return GRPCCode(n)
}

// GRPCFromHTTP returns what a gRPC client makes of an answer that has no
// grpc-status (http-grpc-status-mapping.md).
func GRPCFromHTTP(status int) GRPCCode {
	switch status {
	case 400:
		return GRPCInternal
	case 401:
		return GRPCUnauthenticated
	case 403:
		return GRPCPermissionDenied
	case 404:
		return GRPCUnimplemented
	case 429, 502, 503, 504:
		return GRPCUnavailable
	}
	return GRPCUnknown
}

// GRPC returns the gRPC code that says the same as e.
func (e *Error) GRPC() GRPCCode {
	switch e.Code {
	case ExchangeTimeout.Name, UpstreamTimeout.Name, RequestTimeout.Name:
		return GRPCDeadlineExceeded
	case UpstreamMalformed.Name, UpstreamBroken.Name:
		return GRPCInternal
	case MessageTooLarge.Name:
		return GRPCResourceExhausted
	}
	switch e.Status {
	case 400, 417:
		return GRPCInvalidArgument
	case 401:
		return GRPCUnauthenticated
	case 403, 421:
		return GRPCPermissionDenied
	case 404, 405, 501, 505:
		return GRPCUnimplemented
	case 409:
		return GRPCAborted
	case 413, 414, 429, 431:
		return GRPCResourceExhausted
	case 415, 500:
		return GRPCInternal
	case 499:
		return GRPCCancelled
	case 502, 503, 504:
		return GRPCUnavailable
	}
	return GRPCUnknown
}

// IsGRPC reports whether a Content-Type is that of gRPC: application/grpc, with
// a codec behind a plus or without. gRPC-Web is another protocol.
func IsGRPC(contentType []byte) bool {
	const grpc = "application/grpc"
	if len(contentType) < len(grpc) || !EqualFold(contentType[:len(grpc)], grpc) {
		return false
	}
	if len(contentType) == len(grpc) {
		return true
	}
	c := contentType[len(grpc)]
	return c == '+' || c == ';' || c == ' '
}

// StreamsMessages reports whether a request with a Content-Type may be a stream
// of messages, between which any time may pass: gRPC, and Connect's streams.
func StreamsMessages(contentType []byte) bool {
	const connect = "application/connect+"
	return IsGRPC(contentType) || len(contentType) > len(connect) && EqualFold(contentType[:len(connect)], connect)
}

const upperHex = "0123456789ABCDEF"

// AppendGRPCMessage appends a grpc-message: everything but printable ASCII is
// percent-encoded, and so is the percent sign.
func AppendGRPCMessage(dst []byte, message string) []byte {
	for i := 0; i < len(message); i++ {
		if c := message[i]; c < ' ' || c > '~' || c == '%' {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// ParseGRPCMessage decodes a grpc-message. What is no valid escape stays as it
// is: a message must not be lost because it was encoded badly.
func ParseGRPCMessage(value []byte) string {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if c := value[i]; c == '%' && i+2 < len(value) {
			high, low := unhex(value[i+1]), unhex(value[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, value[i])
	}
	return string(out)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// grpcUnits are the units of grpc-timeout, the finest first.
var grpcUnits = [...]struct {
	letter byte
	unit   time.Duration
}{{'n', time.Nanosecond}, {'u', time.Microsecond}, {'m', time.Millisecond}, {'S', time.Second}, {'M', time.Minute}, {'H', time.Hour}}

// maxGRPCTimeout is the largest number of grpc-timeout: eight digits.
const maxGRPCTimeout = 99999999

// ParseGRPCTimeout reads a grpc-timeout: up to eight digits and a unit. What
// does not fit a Duration is as long as one can be.
func ParseGRPCTimeout(value []byte) (time.Duration, bool) {
	n := len(value) - 1
	if n < 1 || n > 8 {
		return 0, false
	}
	var v int64
	for _, d := range value[:n] {
		if d < '0' || d > '9' {
			return 0, false
		}
		v = v*10 + int64(d-'0')
	}
	for _, u := range grpcUnits {
		if u.letter == value[n] {
			if v > math.MaxInt64/int64(u.unit) {
				return math.MaxInt64, true
			}
			return time.Duration(v) * u.unit, true
		}
	}
	return 0, false
}

// AppendGRPCTimeout appends d as a grpc-timeout, in the finest unit in which it
// fits, rounded up. What is not above zero is one nanosecond: the call is late.
func AppendGRPCTimeout(dst []byte, d time.Duration) []byte {
	d = max(d, 1)
	for _, u := range grpcUnits {
		v := int64(d / u.unit)
		if d%u.unit != 0 {
			v++
		}
		if v <= maxGRPCTimeout {
			return append(strconv.AppendInt(dst, v, 10), u.letter)
		}
	}
	return append(dst, "99999999H"...)
}
