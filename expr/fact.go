package expr

import (
	"crypto/tls"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"gopura/exchange"
)

// fact is one name of the namespace: a value, or a table of values by key.
type fact struct {
	name  string
	table bool
	typ   *cel.Type // nil: text, or a table
	raw   part      // the part of a URL that takes the text as it is; inText: none
	doc   string

	append func(dst []byte, x *exchange.Exchange, key string) []byte // its text
	has    func(x *exchange.Exchange, key string) bool               // tables: is the key there?
	claim  func(x *exchange.Exchange, key string) any                // in place of append: a value of any type
}

// encoded appends the text as the part raw of a URL takes it.
func (f *fact) encoded(dst []byte, x *exchange.Exchange, key string) []byte {
	if f.table {
		return append(dst, x.Request.Param(key)...)
	}
	return f.append(dst, x, key)
}

// facts is the whole namespace, in the order of the reference page.
var facts = append([]*fact{
	{name: "request.method", doc: "The method, GET.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Request.Method...) }},
	{name: "request.scheme", doc: "http or https, as the client sees it.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Request.Scheme...) }},
	{name: "request.host", doc: "The host asked for, lower case, without port.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Request.Host...) }},
	{name: "request.path", raw: inPath, doc: "The path, normalised, percent-encoded.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Request.Path...) }},
	{name: "request.query", raw: inQuery, doc: "The query, without its question mark, as sent.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Request.Query...) }},
	{name: "request.target", doc: "Path and query exactly as sent.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Request.Target...) }},
	{name: "request.id", doc: "The id of the request, as upstream and client are told.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.ID...) }},
	{name: "request.trace_id", doc: "The id of the trace that the request is in, in hexadecimal; empty without traces, and before a route is found.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		if x.Trace.ID != (exchange.TraceID{}) {
			b, _ = x.Trace.ID.AppendText(b)
		}
		return b
	}},
	{name: "client.ip", doc: "The address of the client: of its connection, or what a trusted proxy said.", append: appendClientIP},
	{name: "client.port", doc: "The port of the client.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		return strconv.AppendUint(b, uint64(x.Client.Addr.Port()), 10)
	}},
	{name: "client.protocol", doc: "HTTP/1.1, HTTP/2.0, ….", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Client.Protocol...) }},
	{name: "listener", doc: "The name of the listener.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Client.Listener...) }},
	{name: "route", doc: "The name of the matched route.", append: func(b []byte, x *exchange.Exchange, _ string) []byte { return append(b, x.Route...) }},
	{name: "path", table: true, raw: inPath, doc: "A path parameter of the route, decoded: path.id.", append: appendParam,
		has: func(x *exchange.Exchange, key string) bool { return x.Request.Param(key) != nil }},
	{name: "query", table: true, doc: "The first query parameter of that name, decoded: query.v or query[\"page-size\"].", append: appendQuery,
		has: func(x *exchange.Exchange, key string) bool { _, ok := findQuery(x.Request.Query, key); return ok }},
	{name: "header", table: true, doc: "The first header field of that name: header[\"x-plan\"].",
		append: func(b []byte, x *exchange.Exchange, key string) []byte {
			return append(b, x.Request.Header.Get(key)...)
		},
		has: func(x *exchange.Exchange, key string) bool { return x.Request.Header.Has(key) }},
	{name: "cookie", table: true, doc: "The first cookie of that name, as sent: cookie.session.",
		append: func(b []byte, x *exchange.Exchange, key string) []byte {
			v, _ := findCookie(x, key)
			return append(b, v...)
		},
		has: func(x *exchange.Exchange, key string) bool { _, ok := findCookie(x, key); return ok }},
	{name: "identity.name", doc: "The identity block that proved who the client is; empty before.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		if x.Identity != nil {
			b = append(b, x.Identity.Name...)
		}
		return b
	}},
	{name: "identity.sub", doc: "The subject that was proven; empty before.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		if x.Identity != nil {
			b = append(b, x.Identity.Sub...)
		}
		return b
	}},
	{name: "jwt", table: true, doc: "A claim of the identity, of any type; null when it is not there. jwt.scope is a list of words.", claim: claim, has: hasClaim},
	{name: "tls.version", doc: "TLS 1.3, …; empty without TLS.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		if t := x.Client.TLS; t != nil {
			b = append(b, tls.VersionName(t.Version)...)
		}
		return b
	}},
	{name: "tls.sni", doc: "The server name that the client asked for in TLS.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		if t := x.Client.TLS; t != nil {
			b = append(b, t.ServerName...)
		}
		return b
	}},
	{name: "tls.alpn", doc: "The protocol agreed on in TLS: h2, http/1.1.", append: func(b []byte, x *exchange.Exchange, _ string) []byte {
		if t := x.Client.TLS; t != nil {
			b = append(b, t.NegotiatedProtocol...)
		}
		return b
	}},
}, clientFacts...)

// Fact describes a fact for the reference page.
type Fact struct{ Name, Type, Doc string }

// Facts lists the namespace.
func Facts() []Fact {
	list := make([]Fact, len(facts))
	for i, f := range facts {
		list[i] = Fact{f.name, cel.FormatCELType(f.celType()), f.doc}
	}
	return list
}

func factNamed(name string) *fact {
	for _, f := range facts {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (f *fact) celType() *cel.Type {
	switch {
	case f.typ != nil:
		return f.typ
	case f.claim != nil:
		return cel.MapType(cel.StringType, cel.DynType)
	case f.table:
		return cel.MapType(cel.StringType, cel.StringType)
	case f.name == "client.port":
		return cel.IntType
	}
	return cel.StringType
}

// text appends the text of a fact without entering CEL.
func (f *fact) text(dst []byte, x *exchange.Exchange, key string) ([]byte, error) {
	if f.claim == nil {
		return f.append(dst, x, key), nil
	}
	switch v := f.claim(x, key).(type) {
	case nil:
		return dst, nil
	case string:
		return append(dst, v...), nil
	default:
		return appendValue(dst, types.DefaultTypeAdapter.NativeToValue(v))
	}
}

func appendClientIP(b []byte, x *exchange.Exchange, _ string) []byte {
	if a := x.Client.Addr.Addr(); a.IsValid() {
		b = a.Unmap().AppendTo(b)
	}
	return b
}

func appendParam(b []byte, x *exchange.Exchange, key string) []byte {
	return appendDecoded(b, x.Request.Param(key), false)
}

func appendQuery(b []byte, x *exchange.Exchange, key string) []byte {
	v, _ := findQuery(x.Request.Query, key)
	return appendDecoded(b, v, true)
}

// claim returns a claim. The scope is a list of words, however the identity
// carries it: in a token it is one text (RFC 8693 §4.2).
func claim(x *exchange.Exchange, key string) any {
	if x.Identity == nil {
		return noClaim(key)
	}
	v, ok := x.Identity.Claims[key]
	if !ok || v == nil {
		return noClaim(key)
	}
	if s, ok := v.(string); ok && key == "scope" {
		return strings.Fields(s)
	}
	return v
}

func noClaim(key string) any {
	if key == "scope" {
		return []string(nil)
	}
	return nil
}

func hasClaim(x *exchange.Exchange, key string) bool {
	if x.Identity == nil {
		return false
	}
	_, ok := x.Identity.Claims[key]
	return ok
}
