package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

// DebugHeader carries a token that asks for an explanation of the request. It is
// taken from every request and never passed on.
const DebugHeader = "Gopura-Debug"

// ExplanationHeader tells the client of such a request the id of its explanation.
const ExplanationHeader = "Gopura-Explanation"

// Bounds of a token.
const (
	MaxDebugLife  = time.Hour
	maxDebugToken = 1024
	debugSkew     = time.Minute // between the clocks of replicas
)

// DebugScope is what a token is good for.
type DebugScope struct {
	Host string // empty: any
	Path string // a prefix of whole segments; empty: any
}

// debugKey signs tokens. It is made of the admin token, so that replicas with the
// same one take each other's; without one, it is this process's own.
func (g *Gateway) debugKey(s *snapshot) (key []byte, ok bool) {
	a := s.doc.Admin
	if a == nil {
		return nil, false // nobody could read the explanation
	}
	secret := g.secret[:]
	if text := a.Token.Reveal(); text != "" {
		secret = []byte(text)
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("gopura debug token 1"))
	return h.Sum(nil), true
}

var errNoAdmin = errors.New("there is no admin listener that could show explanations")

// DebugToken makes the value of DebugHeader: until when, what for, and a signature.
//
//	1767366245.c2hvcC5leGFtcGxlCi91c2Vycy8.MAC
func (g *Gateway) DebugToken(life time.Duration, scope DebugScope) (value string, expires time.Time, err error) {
	current := g.current.Get()
	if current == nil {
		return "", expires, errNotYet
	}
	switch {
	case life <= 0 || life > MaxDebugLife:
		return "", expires, errors.New("a token lasts up to an hour")
	case strings.ContainsAny(scope.Host, "\n/ ") || strings.ContainsAny(scope.Path, "\n ") || scope.Path != "" && scope.Path[0] != '/':
		return "", expires, errors.New("a token is for a host, and a path that begins with /")
	case len(scope.Host)+len(scope.Path) > maxDebugToken/2:
		return "", expires, errors.New("host and path are too long")
	}
	key, ok := g.debugKey(current.Value)
	if !ok {
		return "", expires, errNoAdmin
	}
	expires = time.Now().Add(life).Truncate(time.Second)
	text := strconv.FormatInt(expires.Unix(), 10) + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.ToLower(scope.Host)+"\n"+scope.Path))
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(key, []byte(text))), expires, nil
}

func sign(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// mayDebug reports whether a token is good for a request now. The signature comes
// first: of what is not signed nothing is read.
func (g *Gateway) mayDebug(s *snapshot, x *exchange.Exchange, token []byte, now time.Time) bool {
	if len(token) == 0 || len(token) > maxDebugToken || bytes.ContainsAny(token, "\r\n") { // which base64 would not see
		return false
	}
	key, ok := g.debugKey(s)
	dot := bytes.LastIndexByte(token, '.')
	if !ok || dot < 0 {
		return false
	}
	text := token[:dot]
	mac := make([]byte, sha256.Size+2)
	n, err := base64.RawURLEncoding.Strict().Decode(mac, limitTo(token[dot+1:], base64.RawURLEncoding.EncodedLen(sha256.Size)))
	if err != nil || !hmac.Equal(mac[:n], sign(key, text)) {
		return false
	}
	until, encoded, ok := bytes.Cut(text, []byte("."))
	if !ok {
		return false
	}
	seconds, err := strconv.ParseInt(string(until), 10, 64)
	if err != nil || now.Unix() >= seconds || seconds > now.Add(MaxDebugLife+debugSkew).Unix() {
		return false
	}
	scope, err := base64.RawURLEncoding.DecodeString(string(encoded))
	if err != nil {
		return false
	}
	host, path, ok := strings.Cut(string(scope), "\n")
	return ok && (host == "" || host == string(x.Request.Host)) && below(string(x.Request.Path), path)
}

// limitTo cuts what is too long to be right, so that it can't be decoded.
func limitTo(b []byte, n int) []byte {
	if len(b) > n+2 {
		return b[:n+2]
	}
	return b
}

// below reports whether a path is prefix or in it, by whole segments.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
