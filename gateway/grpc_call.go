package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"gopura/exchange"
	"gopura/h2"
)

// speaksGRPC reports whether the client of x makes a gRPC call.
func speaksGRPC(x *exchange.Exchange) bool {
	return x.Request.Method == "POST" && exchange.IsGRPC(x.Request.Header.Get("Content-Type"))
}

// heedTimeout shortens the deadline of a gRPC call to what its client says. The
// transport tells the target what is left of it.
func heedTimeout(x *exchange.Exchange) error {
	v := x.Request.Header.Get("Grpc-Timeout")
	if v == nil {
		return nil
	}
	d, ok := exchange.ParseGRPCTimeout(v)
	if !ok {
		return exchange.BadHeader.Saying("grpc-timeout must be up to eight digits and a unit.")
	}
	if d == math.MaxInt64 {
		return nil
	}
	by := x.Start.Add(d)
	if x.Deadline.IsZero() || by.Before(x.Deadline) {
		x.Deadline = by
	}
	if !time.Now().Before(x.Deadline) {
		return exchange.ExchangeTimeout.Errorf("the call arrived after its deadline")
	}
	return nil
}

// answerGRPC is answer for clients that speak gRPC: a response of trailers only,
// with the details that google.rpc defines for errors.
func answerGRPC(x *exchange.Exchange, e *exchange.Error) {
	r := &x.Response
	r.Made, r.Status = true, 200
	r.Header.Add("Content-Type", "application/grpc")
	r.Header.Add(madeHeader, e.Code)
	if len(x.ID) > 0 {
		r.Header.AddBytes("X-Request-Id", x.ID)
	}
	x.GRPC = exchange.GRPCOutcome{Code: e.GRPC(), Known: true}
	addStatus(&r.Header, e, e.GRPC(), x.ID)
	for _, f := range e.Header.Fields() {
		if string(f.Name) != "Allow" {
			r.Header.AddField(f)
		}
	}
	r.Body = exchange.NoBody
}

// addStatus adds the fields that end a call.
func addStatus(h *exchange.Header, e *exchange.Error, code exchange.GRPCCode, id []byte) {
	message := e.Detail
	if message == "" {
		message = e.Sentence()
	}
	h.AddBytes("Grpc-Status", strconv.AppendUint(nil, uint64(code), 10))
	h.AddBytes("Grpc-Message", exchange.AppendGRPCMessage(nil, message))
	details := statusDetails(code, message, e, id)
	h.AddBytes("Grpc-Status-Details-Bin", base64.RawStdEncoding.AppendEncode(nil, details))
	if e.Side == exchange.ByUpstream && e.Status >= 502 {
		h.Add("Grpc-Retry-Pushback-Ms", "-1") // we have tried: a client must not multiply that
	}
}

// statusDetails is a google.rpc.Status with an ErrorInfo, and a BadRequest where
// the error says what is wrong with the request. So few fields are written by
// hand.
func statusDetails(code exchange.GRPCCode, message string, e *exchange.Error, id []byte) []byte {
	out := protoVarint(nil, 1, uint64(code))
	out = protoBytes(out, 2, []byte(message))
	info := protoBytes(nil, 1, []byte(e.Code))
	info = protoBytes(info, 2, []byte("gopura"))
	if len(id) > 0 {
		info = protoBytes(info, 3, protoBytes(protoBytes(nil, 1, []byte("request_id")), 2, id))
	}
	out = protoBytes(out, 3, protoAny("google.rpc.ErrorInfo", info))
	if len(e.Flaws) > 0 {
		var bad []byte
		for _, f := range e.Flaws {
			bad = protoBytes(bad, 1, protoBytes(protoBytes(nil, 1, []byte(f.Pointer)), 2, []byte(f.Detail)))
		}
		out = protoBytes(out, 3, protoAny("google.rpc.BadRequest", bad))
	}
	return out
}

func protoAny(name string, value []byte) []byte {
	return protoBytes(protoBytes(nil, 1, []byte("type.googleapis.com/"+name)), 2, value)
}

func protoVarint(dst []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(field<<3)), v)
}

func protoBytes(dst []byte, field int, v []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(field<<3|2)), uint64(len(v)))
	return append(dst, v...)
}

// sealGRPC makes sure that a call which breaks off in the middle of its answer
// ends with a status that is not OK, whatever the client's protocol. How it ends
// is noted for the record.
func sealGRPC(x *exchange.Exchange) {
	r := &x.Response
	x.EndGRPC(&r.Header)
	if r.Made || r.Body == nil || r.Body.Len() == 0 || !exchange.IsGRPC(r.Header.Get("Content-Type")) {
		return
	}
	r.Body = &sealedBody{Body: r.Body, x: x}
}

// sealedBody is the body of a gRPC response. When it breaks, it ends instead,
// with the status that a gRPC client would have made of the break itself.
type sealedBody struct {
	exchange.Body
	x    *exchange.Exchange
	tail exchange.Header
	cut  bool
}

// Next implements exchange.Body.
func (b *sealedBody) Next() ([]byte, error) {
	if b.cut {
		return nil, io.EOF
	}
	p, err := b.Body.Next()
	if err == io.EOF {
		b.x.EndGRPC(b.Body.Trailer())
	}
	if err == nil || err == io.EOF || exchange.ClientGone.Is(err) {
		return p, err
	}
	e := exchange.AsError(err)
	b.cut, b.x.Err = true, e
	b.x.GRPC = exchange.GRPCOutcome{Code: brokenCode(e), Known: true}
	addStatus(&b.tail, e, b.x.GRPC.Code, b.x.ID)
	b.Body.Close()
	return nil, io.EOF
}

// brokenCode is the code of a call whose answer broke: by the reset's code as
// gRPC maps it (PROTOCOL-HTTP2.md, "Errors"), else UNAVAILABLE, as for any
// connection that is lost.
func brokenCode(e *exchange.Error) exchange.GRPCCode {
	if e.Code != exchange.UpstreamBroken.Name {
		return e.GRPC()
	}
	var reset *h2.ResetError
	if !errors.As(e.Err, &reset) {
		return exchange.GRPCUnavailable
	}
	const refused, cancel, calm, inadequate = 7, 8, 11, 12 // RFC 9113 §7
	switch reset.Code {
	case refused:
		return exchange.GRPCUnavailable
	case cancel:
		return exchange.GRPCCancelled
	case calm:
		return exchange.GRPCResourceExhausted
	case inadequate:
		return exchange.GRPCPermissionDenied
	}
	return exchange.GRPCInternal
}

// Trailer implements exchange.Body.
func (b *sealedBody) Trailer() *exchange.Header {
	if b.cut {
		return &b.tail
	}
	return b.Body.Trailer()
}

// Len implements exchange.Body: only the end tells, because it has trailers.
func (b *sealedBody) Len() int64 { return -1 }

// Ready implements exchange.Ready as far as the body below does.
func (b *sealedBody) Ready() bool {
	r, ok := b.Body.(exchange.Ready)
	return b.cut || ok && r.Ready()
}
