package policy

import (
	"net/netip"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// key is by what a limit counts: the values of expressions, as one text.
//
// An address of IPv6 counts by its /64, because one client has a whole one. A
// fact that is not there, or has no text, is the client's address instead,
// with a "!" before it that no value can forge: so what can't be told apart is
// never one bucket for everybody, and never no limit.
type key []keyPart

type keyPart struct {
	program *expr.Program
	address bool // it is client.ip
}

const maxKeyParts = 8

func compileKey(env *Env, texts []string, pos config.Pos) (key, error) {
	var k key
	for _, text := range texts {
		p, err := env.Expr.Compile(text, expr.String)
		if err != nil {
			return nil, &Fault{Path: "key", Pos: pos, Text: text, Err: err}
		}
		k = append(k, keyPart{p, strings.TrimSpace(text) == "client.ip"})
	}
	return k, nil
}

// append appends the key of x to dst.
func (k key) append(dst []byte, x *exchange.Exchange) []byte {
	for i := range k {
		if i > 0 {
			dst = append(dst, '|')
		}
		p := &k[i]
		if p.address {
			dst = appendNetwork(dst, x)
			continue
		}
		n := len(dst)
		out, err := p.program.Append(dst, x)
		if err != nil || len(out) == n {
			dst = appendNetwork(append(dst[:n], '!'), x)
			continue
		}
		dst = escapeKey(out, n)
	}
	return dst
}

// appendNetwork appends the address of the client, of IPv6 its /64.
func appendNetwork(dst []byte, x *exchange.Exchange) []byte {
	a := x.Client.Addr.Addr().Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return append(dst, "unknown"...)
	case a.Is4():
		return a.AppendTo(dst)
	}
	b := a.As16()
	clear(b[8:])
	return append(netip.AddrFrom16(b).AppendTo(dst), "/64"...)
}

// escapeKey puts a backslash before what has a meaning in keys, from n on.
func escapeKey(dst []byte, n int) []byte {
	more := 0
	for _, c := range dst[n:] {
		if c == '|' || c == '!' || c == '\\' {
			more++
		}
	}
	if more == 0 {
		return dst
	}
	from := len(dst)
	for range more {
		dst = append(dst, 0)
	}
	for to := len(dst); to > from; {
		from, to = from-1, to-1
		c := dst[from]
		dst[to] = c
		if c == '|' || c == '!' || c == '\\' {
			to--
			dst[to] = '\\'
		}
	}
	return dst
}
