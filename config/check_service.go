package config

import (
	"net/url"
	"strconv"
	"strings"
)

// Check is the rule of a service.
func (s *Service) Check(at *At) {
	if len(s.Targets) == 0 {
		at.Problem("targets", "needs at least one target")
		return
	}
	weights, https := 0, false
	for i := range s.Targets {
		t := &s.Targets[i]
		weights += t.Weight
		https = https || strings.HasPrefix(t.URL, "https:") || strings.HasPrefix(t.URL, "grpcs:")
	}
	for i := range repeated(s.Targets, func(t *Target) string { return t.URL }) {
		at.Problem("targets["+strconv.Itoa(i)+"]", "this target is named twice; give it a weight instead")
	}
	if weights == 0 {
		at.Problem("targets", "at least one target needs a weight above 0")
	}
	if s.TLS != nil && !https {
		at.Warn("tls", "has no effect: no target begins with https:// or grpcs://")
	}
	if s.Host != "preserve" && s.Host != "target" {
		host, port, withPort := strings.Cut(s.Host, ":")
		why := hostFault(host, false)
		if why == "" && withPort {
			why = portFault(port, 1)
		}
		if strings.HasPrefix(s.Host, "[") || strings.Count(s.Host, ":") > 1 {
			why = addressFault(s.Host)
		}
		if why != "" {
			at.Problem("host", "expected preserve, target or a host name, got %s: %s", at.Shown("host", s.Host), why)
		}
	}
}

// Check is the rule of a target. Its messages show no part of the address that
// came from a reference.
func (t *Target) Check(at *At) {
	complain := func(hint, why string) {
		at.Hint(hint, "url", "%s is no address of a target: %s", at.Shown("url", t.URL), why)
	}
	if path, ok := strings.CutPrefix(t.URL, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		switch {
		case !strings.HasPrefix(path, "/"):
			complain("unix:/run/app.sock", "the path of a socket must be absolute")
		case len(path) > 107: // sun_path, unix(7)
			complain("", "the path of a socket has at most 107 bytes")
		}
		t.URL = "unix:" + path
		at.keep("url", t.URL)
		return
	}
	scheme, rest, ok := strings.Cut(t.URL, "://")
	switch scheme {
	case "http", "https", "grpc", "grpcs", "h2c":
	default:
		ok = false
	}
	if !ok {
		hint := ""
		if host, port, ok := strings.Cut(t.URL, ":"); ok && isDigits(port) && hostFault(host, false) == "" && at.Shown("url", t.URL) != hidden {
			hint = "did you mean " + quote("http://"+t.URL) + "?"
		}
		complain(hint, "expected http://, https://, grpc://, grpcs://, h2c:// or unix:")
		return
	}
	u, err := url.Parse(t.URL)
	switch {
	case err != nil || u.Hostname() == "":
		complain("", "expected host or host:port after "+scheme+"://")
	case u.User != nil:
		complain("", "credentials don't belong here")
	case u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(rest, "?#"):
		complain("", "a target has no query or fragment")
	case strings.Trim(u.Path, "/") != "":
		complain("the policy rewrite can put a path in front", "a target has no path")
	case hostFault(u.Hostname(), false) != "":
		complain("", hostFault(u.Hostname(), false))
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && portFault(u.Port(), 1) != "":
		complain("", "the port must be a number between 1 and 65535")
	default:
		t.URL = scheme + "://" + strings.TrimRight(rest, "/")
		at.keep("url", t.URL)
	}
}

// Check is the rule of a balance.
func (b *Balance) Check(at *At) {
	switch {
	case b.Kind == "hash" && b.Key == "":
		at.Hint("such as key: client.ip", "kind", "hash needs a key")
	case b.Kind != "hash" && b.Key != "":
		at.Problem("key", "only hash takes a key")
	}
	switch {
	case b.Kind != "sticky" && b.Cookie != "":
		at.Problem("cookie", "only sticky takes a cookie")
	case b.Kind == "sticky" && b.Cookie == "":
		b.Cookie = "gopura_target"
	case b.Cookie != "" && !isToken(b.Cookie):
		at.Problem("cookie", "%s is no name for a cookie", at.Shown("cookie", b.Cookie))
	}
}

// Check is the rule of a health check.
func (h *Health) Check(at *At) {
	switch {
	case h.TCP && h.GRPC:
		at.Problem("tcp", "either tcp or grpc, not both")
	case h.TCP && h.Path != "":
		at.Problem("tcp", "either a path or tcp, not both")
	case h.GRPC && h.Path != "":
		at.Problem("grpc", "either a path or grpc, not both")
	case h.Service != "" && !h.GRPC:
		at.Hint("health: { grpc: true, service: … }", "service", "only grpc asks about a service")
	case !h.TCP && !h.GRPC && h.Path == "":
		at.Hint("a path such as /healthz, or tcp, or grpc", "", "needs a path, tcp or grpc")
	case h.Path != "" && !isPath(h.Path):
		at.Problem("path", "%s is no path: it must begin with / and hold no spaces", at.Shown("path", h.Path))
	}
	if h.Timeout > h.Interval {
		at.Warn("timeout", "the timeout %v is longer than the interval %v", h.Timeout, h.Interval)
	}
	if !statusSet(h.Status) {
		at.Hint("200, or 200-399, or 200,204", "status", "%s is no set of statuses", at.Shown("status", h.Status))
	}
	if h.Host != "" {
		name, port, withPort := strings.Cut(h.Host, ":")
		if hostFault(name, false) != "" || withPort && portFault(port, 1) != "" {
			at.Problem("host", "%s is no host name", at.Shown("host", h.Host))
		}
	}
}

// statusSet reports whether text is a list of statuses and ranges of them.
func statusSet(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || a < 100 || b > 599 || a > b {
			return false
		}
	}
	return true
}

// Check is the rule of the retries.
func (r *Retries) Check(at *At) {
	if len(r.On) == 0 {
		at.Hint("retries: off", "on", "name at least one failure")
	}
}

// Check is the rule of the timeouts of a service.
func (t *ServiceTimeouts) Check(at *At) {
	if t.Response > 0 && t.Connect > t.Response {
		at.Warn("connect", "the timeout to connect, %v, is longer than that of the response, %v", t.Connect, t.Response)
	}
}

// isPath reports whether text can be the path of a request, with or without a
// query.
func isPath(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' })
}

// isToken reports whether text is a token (RFC 9110, 5.6.2).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r >= 0x80 || !wordByte(byte(r)) && !strings.ContainsRune("!#$%&'*+-.^`|~", r)
	})
}
