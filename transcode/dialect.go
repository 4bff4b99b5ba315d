package transcode

import (
	"bytes"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/types/descriptorpb"

	"gopura/exchange"
)

// Dialect is a protocol that says the same as gRPC in another form.
type Dialect uint8

// The dialects. A request in none of them is NoDialect.
const (
	NoDialect     Dialect = iota
	Web                   // gRPC-Web
	ConnectUnary          // Connect: a POST whose body is the message
	ConnectGet            // Connect: a GET whose query has the message
	ConnectStream         // Connect: messages in envelopes, both ways
)

// DialectOf returns the dialect that a request says it speaks, wherever it goes:
// by a sign that nothing else has.
func DialectOf(q *exchange.Request) Dialect {
	d := bySigns(q)
	if d == ConnectUnary && !q.Header.Has("Connect-Protocol-Version") {
		return NoDialect
	}
	return d
}

// bySigns is DialectOf, and application/proto is a sign too.
func bySigns(q *exchange.Request) Dialect {
	switch q.Method {
	case "GET":
		if len(q.Query) > 0 && bytes.Contains(q.Query, []byte("connect=v1")) && getParams(q.Query).version {
			return ConnectGet
		}
	case "POST":
		kind := q.Header.Get("Content-Type")
		switch {
		case len(kind) < len("application/json"):
		case prefixed(kind, "application/grpc-web"):
			return Web
		case prefixed(kind, "application/connect+"):
			return ConnectStream
		case isType(kind, "application/proto"), isType(kind, "application/json") && q.Header.Has("Connect-Protocol-Version"):
			return ConnectUnary
		}
	}
	return NoDialect
}

// isType reports whether a Content-Type is name, with parameters or without.
func isType(kind []byte, name string) bool {
	return prefixed(kind, name) && (len(kind) == len(name) || kind[len(name)] == ';' || kind[len(name)] == ' ')
}

// Interpreter lets clients that speak dialects call services that speak gRPC.
// Everything between it and the service sees a gRPC request and its answer.
type Interpreter struct {
	Web, Connect bool
	Only         bool      // nothing but calls comes here: JSON is Connect also when it does not say so
	Sources      []Schemas // what is known of the services: JSON and GET need it; may say nothing
	Max          int       // bytes of a message that is held

	talks sync.Pool
	codec atomic.Pointer[Codec] // for the latest schema that was met
}

// Dialect returns the dialect in which q is interpreted.
func (i *Interpreter) Dialect(q *exchange.Request) Dialect {
	d := bySigns(q)
	if d == NoDialect && i.Only && i.Connect {
		switch {
		case q.Method == "POST" && isType(q.Header.Get("Content-Type"), "application/json"):
			d = ConnectUnary
		case q.Method == "GET" && len(q.Query) > 0:
			if p := getParams(q.Query); p.encoding != nil && p.message != nil {
				d = ConnectGet
			}
		}
	}
	if d == Web && !i.Web || d > Web && !i.Connect {
		return NoDialect
	}
	return d
}

// method returns a method and the codec for its messages.
func (i *Interpreter) method(path []byte) (*Method, *Codec, error) {
	err := error(nil)
	known := false
	for _, source := range i.Sources {
		s := source.Schema()
		if s == nil {
			if fault := source.Fault(); fault != nil {
				err = exchange.SchemaUnavailable.Because(fault)
			}
			continue
		}
		known = true
		m, fault := s.Method(string(path))
		if fault != nil {
			err = exchange.MethodUnknown.Because(fault)
			continue
		}
		c := i.codec.Load()
		if c == nil || c.schema != s {
			// Connect's own servers pass over members that are no field.
			c = NewCodec(s, JSONOptions{IgnoreUnknown: true}, Limits{Message: i.Max})
			i.codec.Store(c)
		}
		return m, c, nil
	}
	if err == nil && !known {
		e := exchange.MediaTypeUnsupported.Saying("What the messages of this service are is not known here: send POST with application/proto.")
		e.Status = 501 // UNIMPLEMENTED, as Connect wants it for a codec that there is not
		return nil, nil, e
	}
	return nil, nil, err
}

// harmless reports whether a method says that it has no side effects.
func (m *Method) harmless() bool {
	o, ok := m.Desc.Options().(*descriptorpb.MethodOptions)
	return ok && o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}
