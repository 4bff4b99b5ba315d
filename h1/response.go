package h1

import (
	"gopura/exchange"
)

// responseParser reads a response head as it arrives, as strictly as a
// request's: an upstream that frames its answer ambiguously would let one
// client read another's.
type responseParser struct {
	framing
	pos     int
	started bool
	status  int
}

func (p *responseParser) reset() {
	*p = responseParser{framing: framing{length: -1}}
}

func malformed(why string) *exchange.Error { return exchange.UpstreamMalformed.Errorf("%s", why) }

func (p *responseParser) parse(h *exchange.Header, b []byte, lim *Limits) (n int, err *exchange.Error) {
	for {
		line, next, ok := nextLine(b, p.pos)
		switch {
		case !ok:
			return 0, malformed("a line does not end with CRLF")
		case next == 0 && len(b) < lim.Head:
			return 0, nil
		case next == 0, next > lim.Head:
			return 0, malformed("head too large")
		}
		p.pos = next
		switch {
		case !p.started:
			p.started = true
			if !p.statusLine(line) {
				return 0, malformed("bad status line")
			}
		case len(line) == 0:
			if err := p.check(); err != nil {
				return 0, malformed("ambiguous framing")
			}
			if p.lines > 0 {
				p.strip(h)
			}
			return next, nil
		default:
			f, ok := field(line)
			if !ok {
				return 0, malformed("bad header line")
			}
			if h.Len() >= lim.Fields {
				return 0, malformed("too many header lines")
			}
			mine, err := p.take(f)
			if err != nil {
				return 0, malformed("bad framing header")
			}
			if !mine {
				h.AddField(f)
			}
		}
	}
}

// statusLine parses HTTP-version SP 3DIGIT SP [reason] (RFC 9112 §4). The
// reason is dropped, as HTTP/2 and 3 do; a missing SP before an empty one is
// common and harmless.
func (p *responseParser) statusLine(line []byte) bool {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] > '1' || line[7] < '0' || line[8] != ' ' {
		return false
	}
	p.minor = line[7] - '0'
	if !digit(line[9]) || !digit(line[10]) || !digit(line[11]) {
		return false
	}
	p.status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if p.status < 100 || p.status > 599 {
		return false
	}
	return len(line) == 12 || line[12] == ' ' && exchange.ValidValue(line[13:])
}
