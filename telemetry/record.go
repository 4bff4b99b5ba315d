package telemetry

import (
	"strconv"
	"time"

	"gopura/exchange"
)

// The longest that values may be in a record, in bytes before escaping. A line
// with the worst of all fits into a batch.
const (
	maxShort   = 128  // id, method, protocol, code
	maxName    = 256  // host, route, service, target, identity, subject
	maxAgent   = 512  // user agent, cause
	maxReferer = 1024 // referer
	maxTarget  = 2048 // request target
)

// record is the memory for encoding one line.
type record struct {
	line []byte
	tmp  []byte
}

// facts are what both formats say about an exchange and none of its fields says.
type facts struct {
	start    time.Time
	client   []byte // address without port
	host     []byte
	target   []byte // masked
	referer  []byte // masked
	status   int
	code     string
	side     string
	cause    error
	duration time.Duration
}

// facts collects them. What it makes up lives in r.tmp.
func (r *record) facts(x *exchange.Exchange, end time.Time) (f facts) {
	f.start = x.Start
	if f.start.IsZero() {
		f.start = end
	}
	f.duration = end.Sub(f.start)
	f.status = statusOf(x)
	if e := x.Err; e != nil {
		f.code, f.side, f.cause = e.Code, e.Side.String(), e.Err
	}
	r.tmp = r.tmp[:0]
	if c := x.Client; c != nil && c.Addr.IsValid() {
		// A zone is a word that a proxy's header may have brought in; it says nothing elsewhere.
		r.tmp = c.Addr.Addr().Unmap().WithZone("").AppendTo(r.tmp)
		f.client = r.tmp
	}
	f.host = x.Request.Host
	if len(f.host) == 0 {
		f.host = r.masked(x.Request.Authority)
	}
	f.target = r.masked(x.Request.Target)
	f.referer = r.masked(x.Request.Header.Get("Referer"))
	return f
}

// statusOf is the status that the client got, or would have got.
func statusOf(x *exchange.Exchange) int {
	if x.Response.Status == 0 && x.Err != nil {
		return x.Err.Status
	}
	return x.Response.Status
}

func (r *record) masked(target []byte) []byte {
	n := len(r.tmp)
	r.tmp = appendMasked(r.tmp, target)
	return r.tmp[n:]
}

// json appends the record of x as one line of JSON. Its members always come in
// the same order; identity, sub and cause are there when there is one.
func (r *record) json(x *exchange.Exchange, end time.Time) {
	f := r.facts(x, end)
	b := append(r.line, `{"time":"`...)
	b = appendTime(b, f.start)
	b = append(b, `","id":"`...)
	b = appendEscaped(b, x.ID, maxShort)
	b = append(b, `","client":"`...)
	b = appendEscaped(b, f.client, maxShort)
	b = append(b, `","method":"`...)
	b = appendEscaped(b, x.Request.Method, maxShort)
	b = append(b, `","host":"`...)
	b = appendEscaped(b, f.host, maxName)
	b = append(b, `","path":"`...)
	b = appendEscaped(b, f.target, maxTarget)
	b = append(b, `","protocol":"`...)
	b = appendEscaped(b, protocol(x), maxShort)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(f.status), 10)
	b = append(b, `,"code":"`...)
	b = appendEscaped(b, f.code, maxShort)
	b = append(b, `","side":"`...)
	b = append(b, f.side...)
	b = append(b, `","route":"`...)
	b = appendEscaped(b, x.Route, maxName)
	b = append(b, `","service":"`...)
	b = appendEscaped(b, x.Service, maxName)
	b = append(b, `","target":"`...)
	b = appendEscaped(b, x.Target, maxName)
	b = append(b, `","attempts":`...)
	b = strconv.AppendInt(b, int64(x.Attempts), 10)
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, f.duration)
	b = append(b, `,"upstream_ms":`...)
	b = appendMillis(b, x.Upstream)
	b = append(b, `,"received":`...)
	b = strconv.AppendInt(b, x.Received, 10)
	b = append(b, `,"sent":`...)
	b = strconv.AppendInt(b, x.Sent, 10)
	b = append(b, `,"user_agent":"`...)
	b = appendEscaped(b, x.Request.Header.Get("User-Agent"), maxAgent)
	b = append(b, `","referer":"`...)
	b = appendEscaped(b, f.referer, maxReferer)
	if id := x.Identity; id != nil {
		b = append(b, `","identity":"`...)
		b = appendEscaped(b, id.Name, maxName)
		b = append(b, `","sub":"`...)
		b = appendEscaped(b, id.Sub, maxName)
	}
	if f.cause != nil {
		b = append(b, `","cause":"`...)
		b = appendEscaped(b, f.cause.Error(), maxAgent)
	}
	if x.Trace.ID != (exchange.TraceID{}) {
		b = append(b, `","trace_id":"`...)
		b, _ = x.Trace.ID.AppendText(b)
	}
	b = append(b, '"')
	if x.GRPC.Known {
		b = append(b, `,"grpc_status":"`...)
		b = append(append(b, x.GRPC.Code.String()...), '"')
	}
	if len(x.Calls) > 0 {
		b = appendCalls(b, x.Calls)
	}
	r.line = append(b, '}', '\n')
}

// text appends the record of x as a line of the combined log format, followed
// by what that does not have as name=value:
//
//	192.0.2.1 - alice [10/Oct/2026:13:55:36 +0000] "GET /users/42 HTTP/1.1" 200 512 "-" "curl/8.5" id=… host=…
func (r *record) text(x *exchange.Exchange, end time.Time) {
	f := r.facts(x, end)
	b := appendWord(r.line, f.client, maxShort)
	b = append(b, " - "...)
	if x.Identity != nil {
		b = appendWord(b, x.Identity.Sub, maxName)
	} else {
		b = append(b, '-')
	}
	b = append(b, " ["...)
	b = f.start.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendEscapedText(b, x.Request.Method, maxShort)
	b = append(b, ' ')
	b = appendEscapedText(b, f.target, maxTarget)
	b = append(b, ' ')
	b = appendEscapedText(b, protocol(x), maxShort)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(f.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.Sent, 10)
	b = appendQuoted(append(b, ' '), f.referer, maxReferer)
	b = appendQuoted(append(b, ' '), x.Request.Header.Get("User-Agent"), maxAgent)
	b = appendWord(append(b, " id="...), x.ID, maxShort)
	b = appendWord(append(b, " host="...), f.host, maxName)
	b = appendWord(append(b, " code="...), f.code, maxShort)
	b = appendWord(append(b, " side="...), f.side, maxShort)
	b = appendWord(append(b, " route="...), x.Route, maxName)
	b = appendWord(append(b, " service="...), x.Service, maxName)
	b = appendWord(append(b, " target="...), x.Target, maxName)
	b = strconv.AppendInt(append(b, " attempts="...), int64(x.Attempts), 10)
	b = appendMillis(append(b, " duration_ms="...), f.duration)
	b = appendMillis(append(b, " upstream_ms="...), x.Upstream)
	b = strconv.AppendInt(append(b, " received="...), x.Received, 10)
	if x.Identity != nil {
		b = appendWord(append(b, " identity="...), x.Identity.Name, maxName)
	}
	if f.cause != nil {
		b = appendQuoted(append(b, " cause="...), f.cause.Error(), maxAgent)
	}
	if x.Trace.ID != (exchange.TraceID{}) {
		b, _ = x.Trace.ID.AppendText(append(b, " trace_id="...))
	}
	if x.GRPC.Known {
		b = append(append(b, " grpc_status="...), x.GRPC.Code.String()...)
	}
	if len(x.Calls) > 0 {
		b = appendCallWords(b, x.Calls)
	}
	r.line = append(b, '\n')
}

func protocol(x *exchange.Exchange) string {
	if x.Client == nil {
		return ""
	}
	return x.Client.Protocol
}

// appendWord appends s for a text line: as it is when it can't be taken for
// something else, else quoted; "-" when it is empty.
func appendWord[T ~string | ~[]byte](b []byte, s T, limit int) []byte {
	if len(s) == 0 {
		return append(b, '-')
	}
	if len(s) > limit || len(s) == 1 && s[0] == '-' {
		return appendQuoted(b, s, limit)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !plainBytes[c] || c == ' ' || c == '=' {
			return appendQuoted(b, s, limit)
		}
	}
	return append(b, s...)
}

// appendQuoted appends s in quotes, "-" when it is empty.
func appendQuoted[T ~string | ~[]byte](b []byte, s T, limit int) []byte {
	if len(s) == 0 {
		return append(b, `"-"`...)
	}
	return append(appendEscapedText(append(b, '"'), s, limit), '"')
}

// appendTime appends t in UTC as RFC 3339 with milliseconds.
func appendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339)
	b[len(b)-1] = '.' // was the Z
	ms := t.Nanosecond() / 1e6
	return append(b, '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
}

// appendMillis appends d in milliseconds, with three decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', '0'+byte(us/100), '0'+byte(us/10%10), '0'+byte(us%10))
}

// AppendRecord appends the record of x, which ended at end, as one line of JSON
// to dst: what the access log writes. It is for the done stack.
func AppendRecord(dst []byte, x *exchange.Exchange, end time.Time) []byte {
	r := record{line: dst}
	r.json(x, end)
	return r.line
}
