package transcode

import (
	"encoding/base64"
	"strings"
	"unsafe"

	"gopura/exchange"
)

// bytesOf views a string as bytes that nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// The rule of headers. Every field of a request is metadata of the call under
// its own name, but those that are about the HTTP message: its body, its
// caching, its ranges, its connection, and what gRPC says with them itself.
// Binary metadata (a name that ends in -bin) is base64, as in gRPC. Metadata of
// the answer, head and trailers, are fields of the response by the same rule.
func about(name []byte) bool {
	if len(name) == 0 || name[0] == ':' {
		return true
	}
	switch name[0] | 0x20 {
	case 'a':
		return prefixed(name, "accept")
	case 'c':
		return prefixed(name, "content-") || exchange.EqualFold(name, "connection") || exchange.EqualFold(name, "cache-control")
	case 'e':
		return exchange.EqualFold(name, "expect") || exchange.EqualFold(name, "etag")
	case 'g':
		return prefixed(name, "grpc-")
	case 'h':
		return exchange.EqualFold(name, "host") || exchange.EqualFold(name, "http2-settings")
	case 'i':
		return prefixed(name, "if-")
	case 'k':
		return exchange.EqualFold(name, "keep-alive")
	case 'p':
		return prefixed(name, "proxy-") || exchange.EqualFold(name, "pragma") || exchange.EqualFold(name, "priority")
	case 'r':
		return exchange.EqualFold(name, "range")
	case 's':
		return prefixed(name, "sec-")
	case 't':
		return exchange.EqualFold(name, "te") || exchange.EqualFold(name, "trailer") || exchange.EqualFold(name, "transfer-encoding")
	case 'u':
		return exchange.EqualFold(name, "upgrade") || exchange.EqualFold(name, "upgrade-insecure-requests")
	}
	return false
}

func prefixed(name []byte, prefix string) bool {
	return len(name) >= len(prefix) && exchange.EqualFold(name[:len(prefix)], prefix)
}

// requestMetadata fills dst with the metadata that the header of a request is.
func requestMetadata(dst, h *exchange.Header) *FieldError {
	for _, f := range h.Fields() {
		if about(f.Name) {
			continue
		}
		if n := len(f.Name); n > 4 && exchange.EqualFold(f.Name[n-4:], "-bin") && !isBase64(f.Value) {
			e := flaw("the value of a -bin field is base64")
			e.Where = "header"
			return e.within(strings.ToLower(string(f.Name)))
		}
		dst.AddField(f)
	}
	return nil
}

func isBase64(v []byte) bool {
	text := strings.TrimRight(string(v), "=")
	_, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil
}

// responseHeader leaves of the head of a gRPC answer what is metadata.
func responseHeader(h *exchange.Header) {
	h.Filter(func(f exchange.Field) bool { return !dropped(f.Name) })
}

// dropped says which fields of an answer are gRPC's own. Unlike in requests, what
// says how the answer may be cached is the service's word to the client.
func dropped(name []byte) bool {
	switch name[0] | 0x20 {
	case 'c':
		if exchange.EqualFold(name, "cache-control") {
			return false
		}
	case 'e':
		return false
	}
	return about(name)
}

// addMetadata adds the metadata of trailers that the head does not have.
func addMetadata(h, trailer *exchange.Header) {
	had := h.Len()
	for _, f := range trailer.Fields() {
		if dropped(f.Name) {
			continue
		}
		twice := false
		for i := range had {
			twice = twice || exchange.EqualFold(h.At(i).Name, string(f.Name))
		}
		if !twice {
			h.AddField(f)
		}
	}
}

// checkType refuses a body that says it is something else than JSON: a form, or
// what a page of another site may send unasked.
func (c *call) checkType() error {
	q := &c.x.Request
	if e := q.Header.Get("Content-Encoding"); len(e) > 0 && !exchange.EqualFold(e, "identity") {
		return exchange.MediaTypeUnsupported.Saying("The request body is compressed; send it as it is.")
	}
	kind := q.Header.Get("Content-Type")
	if len(kind) == 0 || c.b.raw || q.Body.Len() == 0 {
		return nil
	}
	for i, b := range kind {
		if b == ';' {
			kind = kind[:i]
			break
		}
	}
	for len(kind) > 0 && kind[len(kind)-1] == ' ' {
		kind = kind[:len(kind)-1]
	}
	for _, ok := range []string{"application/json", "application/x-ndjson", "application/jsonl", "application/x-jsonlines", "text/json"} {
		if exchange.EqualFold(kind, ok) {
			return nil
		}
	}
	if n := len(kind) - len("+json"); n > 0 && exchange.EqualFold(kind[n:], "+json") {
		return nil
	}
	return exchange.MediaTypeUnsupported.Saying("The request body must be JSON: send Content-Type: application/json.")
}
