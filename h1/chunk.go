package h1

import (
	"bytes"
	"errors"
	"io"

	"gopura/exchange"
)

var (
	errInboxFull = errors.New("a line longer than the buffer")
	errClosed    = errors.New("body closed")
	errChunk     = errors.New("bad chunk framing")
	errTrailer   = errors.New("bad trailer section")
	errTooMuch   = errors.New("chunk extensions or trailers too large")
)

const (
	// maxChunkExtensions bounds what a body may spend on chunk extensions: they
	// cost us and mean nothing (CVE-2023-39326).
	maxChunkExtensions = 16 << 10
	maxChunkLine       = 4 << 10 // of a size with its extensions, or of a trailer
)

type chunkState uint8

const (
	chunkSize chunkState = iota // at a chunk-size line
	chunkData
	chunkEnd // at the CRLF behind a chunk's data
	chunkTrailer
	chunkDone
)

// nextChunked reads RFC 9112 §7.1 chunked coding.
func (b *body) nextChunked() ([]byte, error) {
	for {
		switch b.state {
		case chunkData:
			if b.in.r == b.in.w {
				if err := b.fill(); err != nil {
					return nil, midway(err)
				}
			}
			p := b.piece()
			if b.left == 0 {
				b.state = chunkEnd
			}
			return p, nil
		case chunkDone:
			return nil, io.EOF
		}
		line, next, ok := nextLine(b.in.b[:b.in.w], b.in.r)
		if !ok {
			return nil, errChunk
		}
		if next == 0 {
			if b.in.w-b.in.r > maxChunkLine {
				return nil, errTooMuch
			}
			if b.state == chunkEnd && !bytes.HasPrefix([]byte("\r\n"), b.in.unread()) {
				return nil, errChunk
			}
			if err := b.fill(); err != nil {
				return nil, midway(err)
			}
			continue
		}
		if len(line) > maxChunkLine {
			return nil, errTooMuch
		}
		b.in.r = next
		if err := b.chunkLine(line); err != nil {
			return nil, err
		}
	}
}

func (b *body) chunkLine(line []byte) error {
	switch b.state {
	case chunkEnd:
		if len(line) != 0 {
			return errChunk
		}
		b.state = chunkSize
	case chunkSize:
		size, ext, ok := parseChunkSize(line)
		if !ok {
			return errChunk
		}
		if b.limit -= ext; b.limit < 0 {
			return errTooMuch
		}
		if b.left = size; size == 0 {
			b.state = chunkTrailer
		} else {
			b.state = chunkData
		}
	case chunkTrailer:
		if len(line) == 0 {
			b.state = chunkDone
			b.atEnd.Store(true)
			return nil
		}
		return b.takeTrailer(line)
	}
	return nil
}

// takeTrailer keeps a trailer field. Those that say how a message is framed,
// routed or authenticated have no business there (RFC 9110 §6.5.1).
func (b *body) takeTrailer(line []byte) error {
	f, ok := field(line)
	if !ok || forbiddenTrailer(f.Name) {
		return errTrailer
	}
	b.room -= len(line)
	b.fields--
	if b.room < 0 || b.fields < 0 {
		return errTooMuch
	}
	// The line's memory is about to be read into again. Earlier fields keep
	// pointing at the array that append has outgrown.
	at := len(b.notes)
	if b.trailer.Len() == 0 {
		b.notes, at = b.notes[:0], 0
	}
	b.notes = append(append(b.notes, f.Name...), f.Value...)
	name, end := at+len(f.Name), len(b.notes)
	b.trailer.AddField(exchange.Field{Name: b.notes[at:name:name], Value: b.notes[name:end:end]})
	return nil
}

func forbiddenTrailer(name []byte) bool {
	for _, s := range [...]string{
		"content-length", "transfer-encoding", "host", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
		"proxy-connection", "content-encoding", "content-type", "content-range", "authorization", "proxy-authorization",
		"cookie", "set-cookie", "cache-control", "max-forwards", "range", "age", "location", "vary", "www-authenticate",
		"forwarded", "via",
	} {
		if exchange.EqualFold(name, s) {
			return true
		}
	}
	return len(name) > 12 && exchange.EqualFold(name[:12], "x-forwarded-")
}

// parseChunkSize parses chunk-size [ chunk-ext ] and returns how many bytes the
// extension takes. White space around the size is refused, though a lenient
// parser would read past it.
func parseChunkSize(line []byte) (size int64, ext int, ok bool) {
	i := 0
	for ; i < len(line); i++ {
		d := hexTable[line[i]]
		if d < 0 {
			break
		}
		if i == 15 { // 60 bits are enough for anybody
			return 0, 0, false
		}
		size = size<<4 | int64(d)
	}
	if i == 0 {
		return 0, 0, false
	}
	return size, len(line) - i, i == len(line) || chunkExtension(line[i:])
}

// chunkExtension checks *( ";" BWS name [ "=" value ] ); nobody uses them, and
// they are not forwarded.
func chunkExtension(e []byte) bool {
	for len(e) > 0 {
		if e[0] != ';' {
			return false
		}
		e = e[1:]
		for len(e) > 0 && (e[0] == ' ' || e[0] == '\t') {
			e = e[1:]
		}
		n := tokenLen(e)
		if n == 0 {
			return false
		}
		if e = e[n:]; len(e) == 0 || e[0] != '=' {
			continue
		}
		e = e[1:]
		if len(e) > 0 && e[0] == '"' {
			n = quotedLen(e)
		} else {
			n = tokenLen(e)
		}
		if n == 0 {
			return false
		}
		e = e[n:]
	}
	return true
}

func tokenLen(b []byte) int {
	n := 0
	for n < len(b) && exchange.ValidName(b[n:n+1]) {
		n++
	}
	return n
}

// quotedLen returns the length of the quoted-string that b starts with, or 0.
func quotedLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
			if i == len(b) || b[i] < ' ' && b[i] != '\t' || b[i] == 0x7f {
				return 0
			}
		case c < ' ' && c != '\t' || c == 0x7f:
			return 0
		}
	}
	return 0
}

// chunkReady reports whether nextChunked would return without reading: the
// end of the message too, so that it travels with the last piece.
func (b *body) chunkReady() bool {
	rest := b.in.unread()
	if b.state == chunkData {
		return true
	}
	if b.state == chunkEnd {
		if len(rest) < 2 {
			return false
		}
		rest = rest[2:]
	}
	if b.state == chunkTrailer {
		return bytes.HasPrefix(rest, []byte("\r\n"))
	}
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		return false
	}
	if rest[0] == '0' {
		return bytes.HasPrefix(rest[i+1:], []byte("\r\n"))
	}
	return len(rest) > i+1
}

var hexTable = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()
