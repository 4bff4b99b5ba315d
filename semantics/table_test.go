package semantics_test

import (
	"strings"
	"testing"

	"gopura/exchange"
	"gopura/semantics"
)

const (
	reset  = "reset"  // the stream is, without an answer
	served = "served" // it reaches the pipeline
)

// heads are the heads that a client may send, and what comes of them: whatever carries
// them, HTTP/2 or HTTP/3.
var heads = []struct {
	name   string
	change []string // to get(): "-:path" leaves a field out, "a: b" replaces a pseudo-header or adds a field
	want   string
}{
	{"a plain request", nil, served},
	// Names and values: what would end a line of HTTP/1, or begin another.
	{"name in upper case", []string{"X-Upper: 1"}, reset},
	{"name with a colon", []string{"a:b: 1"}, reset},
	{"name with a space", []string{"a b: 1"}, reset},
	{"name with a newline", []string{"a\nb: 1"}, reset},
	{"name with CR LF", []string{"a: b\r\ntransfer-encoding: chunked"}, reset},
	{"name beyond ASCII", []string{"\u212aeep: 1"}, reset},
	{"empty name", []string{": 1"}, reset},
	{"value with CR LF", []string{"a: b\r\nx: y"}, reset},
	{"value with LF", []string{"a: b\nx: y"}, reset},
	{"value with CR", []string{"a: b\rx: y"}, reset},
	{"value with NUL", []string{"a: b\x00"}, reset},
	{"value with DEL", []string{"a: b\x7f"}, reset},
	{"control character late in a long value", []string{"a: 0123456789abcdef0123456789abcdef\n"}, reset},
	{"value with a tab and bytes beyond ASCII", []string{"a: b\tc\xff"}, served},
	{"white space around a value", []string{"a:  b\t"}, served},
	// Connection-specific fields (RFC 9113 §8.2.2, RFC 9114 §4.2)
	{"connection", []string{"connection: close"}, reset},
	{"transfer-encoding", []string{"transfer-encoding: chunked"}, reset},
	{"keep-alive", []string{"keep-alive: timeout=5"}, reset},
	{"proxy-connection", []string{"proxy-connection: close"}, reset},
	{"upgrade", []string{"upgrade: h2c"}, reset},
	{"te: gzip", []string{"te: gzip"}, reset},
	{"te: trailers, gzip", []string{"te: trailers, gzip"}, reset},
	{"te: trailers", []string{"te: trailers"}, served},
	{"transfer_encoding", []string{"transfer_encoding: chunked"}, "400 bad_header"},
	{"content_length", []string{"content_length: 5"}, "400 bad_header"},
	{"http2-settings", []string{"http2-settings: AAMAAABkAAQAAP__"}, served},
	{"proxy-authorization", []string{"proxy-authorization: Basic eDp5"}, served},
	// Lengths
	{"length 0", []string{"content-length: 0"}, served},
	{"two lengths", []string{"content-length: 0", "content-length: 5"}, "400 bad_framing"},
	{"two equal lengths", []string{"content-length: 0", "content-length: 0"}, "400 bad_framing"},
	{"list of lengths", []string{"content-length: 0, 0"}, "400 bad_framing"},
	{"signed length", []string{"content-length: +0"}, "400 bad_framing"},
	{"negative length", []string{"content-length: -1"}, "400 bad_framing"},
	{"length in hex", []string{"content-length: 0x0"}, "400 bad_framing"},
	{"length with an underscore", []string{"content-length: 0_0"}, "400 bad_framing"},
	{"length that overflows", []string{"content-length: 18446744073709551616"}, "400 bad_framing"},
	{"empty length", []string{"content-length: "}, "400 bad_framing"},
	// Pseudo-headers
	{"no method", []string{"-:method"}, reset},
	{"no scheme", []string{"-:scheme"}, reset},
	{"no path", []string{"-:path"}, reset},
	{"empty path", []string{":path: "}, reset},
	{"two paths", []string{"+:path: /admin"}, reset},
	{"two methods", []string{"+:method: GET"}, reset},
	{"two authorities", []string{"+:authority: b.test"}, reset},
	{"unknown pseudo-header", []string{":foo: bar"}, reset},
	{"pseudo-header of a response", []string{"+:status: 200"}, reset},
	{"pseudo-header behind a field", []string{"-:path", "a: b", "+:path: /"}, reset},
	{"scheme ftp", []string{":scheme: ftp"}, reset},
	{"scheme with a request line", []string{":scheme: http://x/ HTTP/1.1\r\n"}, reset},
	// Methods and targets
	{"method in lower case", []string{":method: get"}, served},
	{"method with a space", []string{":method: GET /x"}, "400 bad_request"},
	{"method with CR LF", []string{":method: GET / HTTP/1.1\r\n"}, reset},
	{"empty method", []string{":method: "}, "400 bad_request"},
	{"long method", []string{":method: " + strings.Repeat("A", exchange.MaxMethod)}, served},
	{"method that is too long", []string{":method: " + strings.Repeat("A", exchange.MaxMethod+1)}, "400 bad_request"},
	{"TRACE", []string{":method: TRACE"}, "405 method_not_supported"},
	{"CONNECT", []string{":method: CONNECT", "-:path", "-:scheme"}, "405 method_not_supported"},
	{"CONNECT with a path", []string{":method: CONNECT"}, reset},
	{"protocol of another method", []string{"+:protocol: websocket"}, reset},
	{"tunnel that has ended", []string{":method: CONNECT", "+:protocol: websocket"}, "400 bad_request"},
	{"tunnel to h2c", []string{":method: CONNECT", "+:protocol: H2C"}, "400 bad_request"},
	{"* with OPTIONS", []string{":method: OPTIONS", ":path: *"}, served},
	{"* with GET", []string{":path: *"}, "400 bad_target"},
	{"absolute target", []string{":path: http://b.test/"}, "400 bad_target"},
	{"no slash", []string{":path: admin"}, "400 bad_target"},
	{"backslash first", []string{`:path: \admin`}, "400 bad_target"},
	{"fragment", []string{":path: /a#b"}, "400 bad_target"},
	{"space in the path", []string{":path: /a b"}, "400 bad_target"},
	{"tab in the path", []string{":path: /a\tb"}, "400 bad_target"},
	{"request line in the query", []string{":path: /?a HTTP/1.1"}, "400 bad_target"},
	{"CR LF in the path", []string{":path: / HTTP/1.1\r\nhost: b.test\r\n\r\n"}, reset},
	{"bytes beyond ASCII", []string{":path: /?\xc3\xa4"}, "400 bad_target"},
	{"long target", []string{":path: /" + strings.Repeat("a", 8<<10)}, "414 target_too_long"},
	// Hosts
	{"no authority", []string{"-:authority"}, "400 bad_host"},
	{"empty authority", []string{":authority: "}, "400 bad_host"},
	{"userinfo", []string{":authority: u@shop.test"}, reset},
	{"comma in the authority", []string{":authority: a,b"}, "400 bad_host"},
	{"slash in the authority", []string{":authority: a/b"}, "400 bad_host"},
	{"two ports", []string{":authority: a:1:2"}, "400 bad_host"},
	{"port that is none", []string{":authority: a:b"}, "400 bad_host"},
	{"zone of an address", []string{":authority: [fe80::1%25lo]"}, "400 bad_host"},
	{"Host that differs", []string{"host: b.test"}, "400 bad_host"},
	{"Host that is the same", []string{"host: SHOP.test"}, served},
	{"Host alone", []string{"-:authority", "host: shop.test"}, served},
	{"two Hosts", []string{"-:authority", "host: shop.test", "host: shop.test"}, "400 bad_host"},
	{"two Hosts beside an authority", []string{"host: shop.test", "host: shop.test"}, "400 bad_host"},
	// Limits
	{"as many fields as may be", strings.Split(strings.Repeat("a: b\n", 99)+"a: b", "\n"), served},
	{"one field more", strings.Split(strings.Repeat("a: b\n", 100)+"a: b", "\n"), "431 header_too_large"},
	{"large head", []string{"a: " + strings.Repeat("a", 32<<10)}, "431 header_too_large"},
	{"large head of small fields", strings.Split(strings.Repeat("a: "+strings.Repeat("b", 1000)+"\n", 39)+"a: b", "\n"), "431 header_too_large"},
	{"expectation that nobody knows", []string{"expect: wonders"}, "417 expectation_failed"},
}

type field struct{ name, value string }

// get is a GET, changed.
func get(change []string) []field {
	list := []field{{":method", "GET"}, {":scheme", "https"}, {":authority", "shop.test"}, {":path", "/"}}
next:
	for _, c := range change {
		add := c[0] == '+'
		leave := c[0] == '-'
		if add || leave {
			c = c[1:]
		}
		name, value := c, ""
		if i := strings.Index(c[1:], ": "); !leave {
			name, value = c[:i+1], c[i+3:]
		}
		for i := range list {
			if list[i].name == name && name[0] == ':' && !add {
				if leave {
					list = append(list[:i], list[i+1:]...)
				} else {
					list[i].value = value
				}
				continue next
			}
		}
		list = append(list, field{name, value})
	}
	return list
}

// TestHeads judges the heads as they are: without an engine.
func TestHeads(t *testing.T) {
	for _, c := range heads {
		t.Run(c.name, func(t *testing.T) {
			x := new(exchange.Exchange)
			x.Reset()
			defer x.Done()
			if got := judge(x, get(c.change)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			for _, f := range x.Request.Header.Fields() {
				if !exchange.ValidName(f.Name) || !exchange.ValidValue(f.Value) {
					t.Errorf("kept: %q: %q", f.Name, f.Value)
				}
			}
		})
	}
}

// judge makes x's request of a head that ends the stream, and says what comes of it.
func judge(x *exchange.Exchange, head []field) string {
	var s semantics.Section
	s.Start(&x.Request.Header, semantics.Limits{Bytes: 32 << 10, Fields: 100})
	for _, f := range head {
		s.Field(f.name, f.value)
	}
	e, malformed := s.Request(x, s.Flaw, 8<<10)
	if e == nil && s.Tunnels() {
		e = s.Upgrade(x, true)
	}
	switch {
	case malformed:
		return reset
	case e != nil:
		return said(e)
	}
	return served
}
