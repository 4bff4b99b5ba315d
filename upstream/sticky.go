package upstream

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"

	"gopura/exchange"
)

// sticky sends a client back to the target that its cookie names. Without
// such a cookie, or when that target is out, the client gets the next one in
// rotation and a cookie that says so.
type sticky struct {
	*roundRobin
	cookie string
	byID   map[string]*Target
}

func (p *sticky) Pick(x *exchange.Exchange, tried ...*Target) (*Target, Done, error) {
	t := p.byID[string(cookieValue(&x.Request.Header, p.cookie))]
	for _, u := range tried {
		if t == u {
			t = nil
		}
	}
	if t == nil {
		t = p.targets[p.from(p.cursor.Add(1), tried, -1)]
	}
	if _, _, err := t.enter(); err != nil {
		return nil, nil, err
	}
	return t, t.doneSticky, nil
}

// stick is done, and sets the cookie when the client has another or none.
func (t *Target) stick(x *exchange.Exchange, err error) {
	if err == nil && string(cookieValue(&x.Request.Header, t.service.set.Balance.Cookie)) != t.id {
		if x.Request.Scheme == "https" {
			x.Response.Header.Add("Set-Cookie", t.cookieSecure)
		} else {
			x.Response.Header.Add("Set-Cookie", t.cookie)
		}
	}
	t.finish(x, err)
}

// opaqueID names a target without saying where it is.
func opaqueID(secret []byte, service, key string) string {
	h := hmac.New(sha256.New, append([]byte("gopura sticky "), secret...))
	h.Write([]byte(service))
	h.Write([]byte{0})
	h.Write([]byte(key))
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:10])
}

// cookieValue returns the value of the first cookie of that name, or nil
// (RFC 6265 §4.2.1: pairs separated by "; "; names compare with case).
func cookieValue(h *exchange.Header, name string) []byte {
	for v := range h.Values("Cookie") {
		for len(v) > 0 {
			var pair []byte
			pair, v, _ = bytes.Cut(v, []byte{';'})
			pair = bytes.TrimLeft(pair, " \t")
			if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
				return bytes.TrimRight(pair[len(name)+1:], " \t")
			}
		}
	}
	return nil
}
