package exchange

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// TraceID names a trace and SpanID a part of one (W3C Trace Context §3.2.2).
// All zeros name nothing.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// Trace is where an exchange stands in a distributed trace. The zero Trace: it
// is in none, because the gateway takes part in no traces.
type Trace struct {
	ID      TraceID
	Parent  SpanID // the caller's span; zero: the trace begins here
	Span    SpanID // the exchange's own
	Link    Trail  // the trace that the caller is in, where this one is not its continuation
	Random  bool   // the caller says that the id is made of random bits
	Sampled bool   // services are told to record
	Kept    bool   // what is recorded here will be seen
	Spans   *Spans // what is recorded; nil: nothing is

	open    SpanRef // of the policy that is at work
	attempt SpanRef // the last one
	told    [TraceparentLen]byte
}

// Trail is a place in a trace.
type Trail struct {
	ID   TraceID
	Span SpanID
}

// TraceparentLen is the length of a traceparent of version 00.
const TraceparentLen = 55

// Flags of a traceparent.
const (
	flagSampled = 1
	flagRandom  = 2 // of level 2 of the specification
)

// NewTraceID returns a random id.
func NewTraceID() (id TraceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // never all zeros
	return id
}

// NewSpanID returns a random id.
func NewSpanID() (id SpanID) {
	for id == (SpanID{}) {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// AppendText appends the id in hexadecimal.
func (id TraceID) AppendText(dst []byte) ([]byte, error) { return hex.AppendEncode(dst, id[:]), nil }

// AppendText appends the id in hexadecimal.
func (id SpanID) AppendText(dst []byte) ([]byte, error) { return hex.AppendEncode(dst, id[:]), nil }

func (id TraceID) String() string { return hex.EncodeToString(id[:]) }
func (id SpanID) String() string  { return hex.EncodeToString(id[:]) }

// ParseTraceparent reads the value of a traceparent field (W3C Trace Context
// §3.2). It is not ok when a trace has to begin anew: the specification leaves
// no room for guesses.
func ParseTraceparent(v []byte) (t Trace, ok bool) {
	if len(v) < TraceparentLen || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return Trace{}, false
	}
	var version, flags [1]byte
	if !unhexAll(version[:], v[:2]) || !unhexAll(t.ID[:], v[3:35]) || !unhexAll(t.Parent[:], v[36:52]) || !unhexAll(flags[:], v[53:55]) {
		return Trace{}, false
	}
	switch {
	case version[0] == 0xff: // §3.2.2.1: forbidden
		return Trace{}, false
	case version[0] == 0 && len(v) != TraceparentLen, len(v) > TraceparentLen && v[TraceparentLen] != '-':
		return Trace{}, false // §4.3: of a later version, what is known is read
	case t.ID == TraceID{}, t.Parent == SpanID{}:
		return Trace{}, false
	}
	t.Sampled, t.Random = flags[0]&flagSampled != 0, flags[0]&flagRandom != 0
	return t, true
}

// unhexAll decodes lower-case hexadecimal; upper case is malformed here.
func unhexAll(dst, src []byte) bool {
	for i := range dst {
		hi, lo := bytes.IndexByte(hexDigits, src[2*i]), bytes.IndexByte(hexDigits, src[2*i+1])
		if hi < 0 || lo < 0 {
			return false
		}
		dst[i] = byte(hi<<4 | lo)
	}
	return true
}

var hexDigits = []byte("0123456789abcdef")

// appendTraceparent appends the field that names span as the caller. Flags that
// are not known are not passed on (§3.2.2.5).
func (t *Trace) appendTraceparent(dst []byte, span SpanID) []byte {
	dst = append(hex.AppendEncode(append(dst, "00-"...), t.ID[:]), '-')
	dst = append(hex.AppendEncode(dst, span[:]), "-0"...)
	flags := byte('0')
	if t.Sampled {
		flags |= flagSampled
	}
	if t.Random {
		flags |= flagRandom
	}
	return append(dst, flags)
}

// TellTrace makes span the caller in what the request says about its trace.
func (x *Exchange) TellTrace(span SpanID) {
	x.Request.Header.SetBytes("traceparent", x.Trace.appendTraceparent(x.Trace.told[:0], span))
}

// The limits of a tracestate (W3C Trace Context §3.3.1). The specification asks
// for 512 bytes to be passed on; what is longer than ours is dropped.
const (
	maxTracestate = 4096
	maxMembers    = 32
)

// ValidTracestate reports whether the fields of that name make a list as it is
// specified. One that is not has to be dropped as a whole (§3.3.1.3).
func ValidTracestate(h *Header) bool {
	size, members := 0, 0
	for v := range h.Values("tracestate") {
		if size += len(v); size > maxTracestate {
			return false
		}
		for rest, more := v, true; more; {
			var m []byte
			m, rest, more = bytes.Cut(rest, comma)
			if m = bytes.Trim(m, " \t"); len(m) == 0 {
				continue // empty members are allowed
			}
			if members++; members > maxMembers || !validMember(m) {
				return false
			}
		}
	}
	return true
}

var comma = []byte{','}

// validMember checks key=value (§3.3.1.3.1, §3.3.1.3.2). A key is
// "tenant@system" or one word.
func validMember(m []byte) bool {
	key, value, ok := bytes.Cut(m, equals)
	if !ok || len(key) == 0 || len(value) == 0 || len(value) > 256 || value[len(value)-1] == ' ' {
		return false
	}
	for _, c := range value {
		if c < 0x20 || c > 0x7e || c == ',' || c == '=' {
			return false
		}
	}
	tenant, system, two := bytes.Cut(key, at)
	if !two {
		return len(key) <= 256 && validKey(key)
	}
	return len(tenant) <= 241 && len(system) <= 14 && validKey(tenant) && validKey(system)
}

var equals, at = []byte{'='}, []byte{'@'}

func validKey(key []byte) bool {
	for i, c := range key {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '*' || c == '/'):
		default:
			return false
		}
	}
	return len(key) > 0
}
