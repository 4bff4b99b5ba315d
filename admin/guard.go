package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

// actHeader is what a request that changes something carries when there is no
// token. No form can send it, and no page of another site without our consent,
// which nobody gets.
const actHeader = "Gopura-Admin"

// forwardedHeaders are what a proxy adds: behind one, a loopback peer says
// nothing about who asks.
var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// guard decides who may send a request. It does not change.
type guard struct {
	port  int
	hosts []string // further names, at any port
	token *[sha256.Size]byte

	console bool // is served
}

func newGuard(conf *config.Admin, port int) *guard {
	g := &guard{port: port, console: conf.Console}
	for _, h := range conf.Hosts {
		g.hosts = append(g.hosts, strings.Trim(strings.ToLower(h), "[]."))
	}
	if !conf.Token.IsZero() {
		g.token = new([sha256.Size]byte) // zero: the hash of nothing, lets nobody in
		if text := conf.Token.Reveal(); text != "" {
			*g.token = sha256.Sum256([]byte(text)) // hashed, so that a comparison takes as long for every length
		}
	}
	return g
}

// check returns why a request is refused, or nil.
func (g *guard) check(r *http.Request) *refusal {
	if !g.knows(r.Host, localAddr(r)) {
		return &refusal{http.StatusMisdirectedRequest, "foreign_host", "This Host is none of the admin listener's. If it should be, name it in admin.hosts."}
	}
	page := g.console && isConsole(r)
	if foreign(r) && !(page && navigates(r)) {
		return &refusal{http.StatusForbidden, "foreign_origin", "Requests sent by pages of other sites are refused."}
	}
	if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
		return nil
	}
	if g.token != nil {
		if page {
			return nil
		}
		return g.authorize(r)
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !peer.Addr().Unmap().IsLoopback() || proxied(r) {
		return &refusal{http.StatusForbidden, "loopback_only", "Without admin.token, only requests straight from this machine are served."}
	}
	if changes(r) && !slices.Equal(r.Header.Values(actHeader), []string{"1"}) {
		return &refusal{http.StatusForbidden, "header_required", "Without admin.token, a request that changes something must have the header " + actHeader + ": 1."}
	}
	return nil
}

func (g *guard) authorize(r *http.Request) *refusal {
	fields := r.Header.Values("Authorization")
	if len(fields) == 1 {
		scheme, token, _ := strings.Cut(fields[0], " ")
		sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
		if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 {
			return nil
		}
	}
	return &refusal{http.StatusUnauthorized, "token_required", "The request needs the header Authorization: Bearer with admin.token."}
}

// knows reports whether a Host leads here on purpose. A name that merely
// resolves to this machine does not: a page could have made its own name do so.
// An address in the place of a name can't be made to lead elsewhere.
func (g *guard) knows(hostport string, local netip.AddrPort) bool {
	host, port := strings.ToLower(hostport), "80"
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	} else if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = inner[:len(inner)-1]
	}
	host = strings.TrimSuffix(host, ".")
	if slices.Contains(g.hosts, host) {
		return true
	}
	if port != strconv.Itoa(g.port) {
		return false
	}
	if host == "localhost" || host == "127.0.0.1" || host == "::1" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && local.IsValid() && addr.Unmap() == local.Addr().Unmap().WithZone("")
}

func localAddr(r *http.Request) (local netip.AddrPort) {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		local = a.AddrPort()
	}
	return local
}

// foreign reports whether a browser says that the page behind the request came
// from elsewhere. What is no browser sends neither header.
func foreign(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return true
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin) // "null" has no host
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	return false
}

func proxied(r *http.Request) bool {
	return slices.ContainsFunc(forwardedHeaders, func(h string) bool { return len(r.Header.Values(h)) > 0 })
}

func changes(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
