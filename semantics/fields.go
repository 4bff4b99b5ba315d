package semantics

import (
	"strconv"

	"gopura/exchange"
)

// FieldWriter encodes a field. Name and value may be overwritten when it has returned.
type FieldWriter interface{ Field(name, value string) }

// Fields writes heads and trailer sections. It keeps memory between them.
type Fields struct{ buf []byte }

// Head writes the head of a response whose body is that long, -1: unknown. Date is
// what it says unless the response does.
func (f *Fields) Head(w FieldWriter, p *exchange.Response, length int64, date string) {
	w.Field(":status", statusText(p.Status))
	dated := false
	for _, h := range p.Header.Fields() {
		if name := f.lower(h.Name); !owned(name) {
			dated = dated || name == "date"
			w.Field(name, stringOf(h.Value))
		}
	}
	// RFC 9110 §8.6: never with 204. With 304 it would be that of the 200, and
	// is optional; Go's own client takes it for the length of a missing body.
	if length >= 0 && p.Status != 204 && p.Status != 304 {
		f.buf = strconv.AppendInt(f.buf[:0], length, 10)
		w.Field("content-length", stringOf(f.buf))
	}
	if !dated {
		w.Field("date", date)
	}
}

// Interim writes the head of an interim answer; h may be nil.
func (f *Fields) Interim(w FieldWriter, status int, h *exchange.Header) {
	w.Field(":status", statusText(status))
	if h != nil {
		f.Trailer(w, h)
	}
}

// Trailer writes a trailer section, and returns how many fields it has.
func (f *Fields) Trailer(w FieldWriter, t *exchange.Header) (n int) {
	for _, h := range t.Fields() {
		if name := f.lower(h.Name); !owned(name) {
			w.Field(name, stringOf(h.Value))
			n++
		}
	}
	return n
}

// Informs reports whether a status is that of an interim answer which is passed on:
// 100 is said when the body is wanted, and 101 is none (RFC 9113 §8.6).
func Informs(status int) bool { return 101 < status && status < 200 }

// Request returns the name of a request's field as it is sent to a target, valid until
// the next call. Those that belong to the wire are not ok.
func (f *Fields) Request(name []byte) (lower string, ok bool) {
	lower = f.lower(name)
	return lower, lower != "host" && lower != "expect" && !owned(lower)
}

// lower returns a field name as HTTP/2 and HTTP/3 have them; it is valid until the
// next call.
func (f *Fields) lower(name []byte) string {
	return stringOf(lowered(name, func(b []byte) []byte {
		f.buf = append(f.buf[:0], b...)
		return f.buf
	}))
}

// owned says which fields are not sent: those that RFC 9113 §8.2.2 and RFC 9114 §4.2
// forbid, what belongs to the wire, and what is no field at all.
func owned(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "te", "http2-settings":
		return true
	}
	return !exchange.ValidName(name)
}

// statusText is the value of :status.
func statusText(status int) string {
	const known = "200204206301302304400401403404429500502503504"
	for i := 0; i < len(known); i += 3 {
		if s := known[i : i+3]; status == int(s[0]-'0')*100+int(s[1]-'0')*10+int(s[2]-'0') {
			return s
		}
	}
	return strconv.Itoa(status)
}
