package h1

import (
	"bytes"

	"gopura/exchange"
)

// requestParser reads a request head line by line as it arrives. Between calls
// the bytes it has seen stay where they are.
type requestParser struct {
	framing
	pos     int  // start of the first line not parsed
	started bool // the request line has been parsed
	blank   bool // an empty line before the request line was skipped
}

func (p *requestParser) reset() {
	*p = requestParser{framing: framing{length: -1}}
}

// parse reads on in b, which starts where it started at the first call. It
// returns the length of the head when that is complete, and 0 to ask for more.
func (p *requestParser) parse(r *exchange.Request, b []byte, lim *Limits) (n int, err *exchange.Error) {
	for {
		line, next, ok := nextLine(b, p.pos)
		switch {
		case !ok:
			return 0, exchange.BadRequest.Saying("A line does not end with CRLF.")
		case next == 0:
			return 0, p.incomplete(b, lim)
		case next > lim.Head:
			return 0, exchange.HeaderTooLarge.Because(nil)
		}
		p.pos = next
		switch {
		case !p.started && len(line) == 0 && !p.blank:
			p.blank = true // RFC 9112 §2.2: ignore one empty line before the request line
		case !p.started:
			p.started = true
			if err := p.requestLine(r, line, lim); err != nil {
				return 0, err
			}
		case len(line) == 0:
			return next, p.finish(r)
		default:
			f, ok := field(line)
			if !ok {
				return 0, exchange.BadHeader.Because(nil)
			}
			if r.Header.Len() >= lim.Fields {
				return 0, exchange.HeaderTooLarge.Because(nil)
			}
			mine, err := p.take(f)
			if err != nil {
				return 0, err
			}
			if !mine {
				r.Header.AddField(f)
			}
		}
	}
}

// incomplete refuses early what can no longer become a valid head.
func (p *requestParser) incomplete(b []byte, lim *Limits) *exchange.Error {
	if !p.started {
		rest := b[p.pos:]
		if i := bytes.IndexByte(rest, ' '); i < 0 && len(rest) > exchange.MaxMethod {
			return exchange.BadRequest.Because(nil)
		}
		if len(rest) > lim.Target+exchange.MaxMethod+12 {
			return exchange.TargetTooLong.Because(nil)
		}
	}
	if len(b) >= lim.Head {
		return exchange.HeaderTooLarge.Because(nil)
	}
	return nil
}

func (p *requestParser) requestLine(r *exchange.Request, line []byte, lim *Limits) *exchange.Error {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !exchange.ValidMethod(line[:sp]) {
		return exchange.BadRequest.Saying("The request line does not start with a method.")
	}
	r.Method = methodName(line[:sp])
	rest := line[sp+1:]
	sp = bytes.IndexByte(rest, ' ')
	if sp <= 0 {
		return exchange.BadRequest.Saying("The request line has no HTTP version.")
	}
	target, version := rest[:sp], rest[sp+1:]
	if sp > lim.Target {
		return exchange.TargetTooLong.Because(nil)
	}
	if len(version) != 8 || string(version[:5]) != "HTTP/" || version[6] != '.' || !digit(version[5]) || !digit(version[7]) {
		return exchange.BadRequest.Saying("The request line does not end with an HTTP version.")
	}
	if version[5] != '1' || version[7] > '1' {
		return exchange.VersionUnknown.Because(nil)
	}
	p.minor = version[7] - '0'
	if !exchange.ValidTarget(target) {
		return exchange.BadTarget.Because(nil)
	}
	r.Target = target
	return p.target(r, target)
}

// target takes the request target apart (RFC 9112 §3.2).
func (p *requestParser) target(r *exchange.Request, t []byte) *exchange.Error {
	switch {
	case r.Method == "CONNECT" || r.Method == "TRACE":
		// CONNECT would make an open proxy of a gateway; TRACE hands credentials back.
		return exchange.MethodUnsupported.Because(nil)
	case t[0] == '/':
	case len(t) == 1 && t[0] == '*' && r.Method == "OPTIONS":
		r.Path = t
		return nil
	default:
		authority, rest, ok := absolute(t)
		if !ok {
			return exchange.BadTarget.Because(nil)
		}
		r.Authority = authority
		t = rest
	}
	r.Path, r.Query = exchange.SplitTarget(t)
	if len(r.Path) == 0 {
		r.Path = rootPath
	}
	return nil
}

var rootPath = []byte("/")

// absolute splits an absolute-form target. The scheme is not believed: how the
// client reached us is a fact of the connection.
func absolute(t []byte) (authority, rest []byte, ok bool) {
	switch {
	case len(t) > 7 && exchange.EqualFold(t[:7], "http://"):
		t = t[7:]
	case len(t) > 8 && exchange.EqualFold(t[:8], "https://"):
		t = t[8:]
	default:
		return nil, nil, false
	}
	end := len(t)
	for i, c := range t {
		if c == '/' || c == '?' {
			end = i
			break
		}
	}
	return t[:end:end], t[end:], end > 0
}

// finish checks what only the whole head can tell.
func (p *requestParser) finish(r *exchange.Request) *exchange.Error {
	if err := p.check(); err != nil {
		return err
	}
	if p.lines > 0 {
		p.strip(&r.Header)
	}
	// RFC 9112 §3.2: one Host, and with absolute-form the same one.
	if p.hosts > 1 || p.hosts == 0 && p.minor == 1 {
		return exchange.BadHost.Because(nil)
	}
	switch {
	case r.Authority == nil:
		r.Authority = p.host
	case p.hosts == 1 && (len(r.Authority) != len(p.host) || !bytes.EqualFold(r.Authority, p.host)): // ASCII: KELVIN SIGN is longer than k
		return exchange.BadHost.Saying("The Host header differs from the request target.")
	}
	if p.hosts == 1 || r.Authority != nil {
		host, ok := exchange.SplitHost(r.Authority)
		if !ok {
			return exchange.BadHost.Because(nil)
		}
		r.Host = host
	}
	if p.expect != nil {
		if !exchange.EqualFold(p.expect, "100-continue") {
			return exchange.ExpectUnknown.Because(nil)
		}
		r.ExpectContinue = p.minor == 1 && (p.chunked || p.length > 0)
	}
	r.Trailers = p.trailers
	if p.upgrade && p.minor == 1 && upgradable(p, r) {
		r.Upgrade = p.protocol
	}
	return nil
}

// upgradable says whether a Connection: upgrade handshake is passed on. h2c is
// not (it would tunnel requests past every policy), and neither is one with a
// body, whose bytes could be read as the tunnel's.
func upgradable(p *requestParser, r *exchange.Request) bool {
	return r.Method == "GET" && !p.chunked && p.length <= 0 && exchange.ValidName(p.protocol) && !exchange.EqualFold(p.protocol, "h2c")
}

// persistent says whether the client keeps the connection (RFC 9112 §9.3).
func (m *framing) persistent() bool {
	return !m.close && (m.minor == 1 || m.keepAlive)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// methodName returns the method as a string that is owned: a constant for the
// known ones, so that no request allocates for it.
func methodName(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "HEAD":
		return "HEAD"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "DELETE":
		return "DELETE"
	case "PATCH":
		return "PATCH"
	case "OPTIONS":
		return "OPTIONS"
	case "CONNECT":
		return "CONNECT"
	case "TRACE":
		return "TRACE"
	}
	return string(b)
}
