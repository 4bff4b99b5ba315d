package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const securityHeadersDoc = "Adds the response header fields that tell browsers to be careful, also to the answers that the gateway makes itself. What the service sends itself stands, unless replace is set. " +
	"`security_headers: on` is the defaults: HSTS for a year (over https only), nosniff, no framing, and a referrer that tells other sites the origin alone."

// SecurityHeaders is the settings of security_headers.
type SecurityHeaders struct {
	Pos         config.Pos    `yaml:"-"`
	On          bool          `yaml:"-" word:"on"`
	HSTS        time.Duration `yaml:"hsts" default:"365d" doc:"Strict-Transport-Security: how long browsers use https only; off: not sent. It is never sent over http."`
	Subdomains  bool          `yaml:"hsts_subdomains" doc:"… and for every name below the host."`
	Preload     bool          `yaml:"hsts_preload" doc:"… and the host may be put on the list that browsers ship with. It can't be taken back soon."`
	NoSniff     bool          `yaml:"nosniff" default:"true" doc:"X-Content-Type-Options: nosniff."`
	Frame       string        `yaml:"frame" default:"deny" enum:"deny,same_origin,off" doc:"Who may show pages in a frame: X-Frame-Options, and frame-ancestors of Content-Security-Policy."`
	CSP         string        `yaml:"csp" doc:"Content-Security-Policy; frame-ancestors is added to it, unless it has it."`
	Referrer    string        `yaml:"referrer" default:"strict-origin-when-cross-origin" enum:"no-referrer,no-referrer-when-downgrade,origin,origin-when-cross-origin,same-origin,strict-origin,strict-origin-when-cross-origin,unsafe-url,off" doc:"Referrer-Policy."`
	Permissions string        `yaml:"permissions" doc:"Permissions-Policy: camera=(), geolocation=(self)."`
	COOP        string        `yaml:"coop" enum:"same-origin,same-origin-allow-popups,noopener-allow-popups,unsafe-none,off" default:"off" doc:"Cross-Origin-Opener-Policy."`
	COEP        string        `yaml:"coep" enum:"require-corp,credentialless,unsafe-none,off" default:"off" doc:"Cross-Origin-Embedder-Policy."`
	CORP        string        `yaml:"corp" enum:"same-origin,same-site,cross-origin,off" default:"off" doc:"Cross-Origin-Resource-Policy."`
	Replace     bool          `yaml:"replace" doc:"Take the place of what the service sends."`
}

// Compile implements Spec.
func (s *SecurityHeaders) Compile(env *Env) (exchange.Middleware, error) {
	hsts, err := s.hsts()
	if err != nil {
		return nil, &Fault{Path: "hsts", Pos: s.Pos, Err: err}
	}
	fields := s.fields()
	for _, f := range fields {
		if !exchange.ValidValue(f.value) {
			return nil, &Fault{Pos: s.Pos, Err: fmt.Errorf("%s: the value holds control characters", f.name)}
		}
	}
	add := func(x *exchange.Exchange, h *exchange.Header) {
		if hsts != "" && x.Request.Scheme == "https" { // RFC 6797 §7.2
			addCareful(h, "Strict-Transport-Security", hsts, s.Replace)
		}
		for i := range fields {
			addCareful(h, fields[i].name, fields[i].value, s.Replace)
		}
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if err := next.Serve(x); err != nil {
				e := exchange.AsError(err).With()
				add(x, &e.Header)
				return e
			}
			add(x, &x.Response.Header)
			return nil
		})
	}, nil
}

func addCareful(h *exchange.Header, name, value string, replace bool) {
	if replace {
		h.Set(name, value)
	} else if !h.Has(name) {
		h.Add(name, value)
	}
}

func (s *SecurityHeaders) hsts() (string, error) {
	if s.HSTS == 0 {
		if s.Preload || s.Subdomains {
			return "", errors.New("is off, so that neither hsts_subdomains nor hsts_preload has a meaning")
		}
		return "", nil
	}
	if s.HSTS < time.Second {
		return "", errors.New("must be at least 1s")
	}
	text := "max-age=" + strconv.FormatInt(int64(s.HSTS/time.Second), 10)
	if s.Subdomains {
		text += "; includeSubDomains"
	}
	if s.Preload {
		if !s.Subdomains || s.HSTS < 365*24*time.Hour {
			return "", errors.New("the preload list takes only hosts with hsts_subdomains and a year at least")
		}
		text += "; preload"
	}
	return text, nil
}

type constantField struct{ name, value string }

func (s *SecurityHeaders) fields() (list []constantField) {
	add := func(name, value string) {
		if value != "" && value != "off" {
			list = append(list, constantField{name, value})
		}
	}
	if s.NoSniff {
		add("X-Content-Type-Options", "nosniff")
	}
	csp := s.CSP
	if s.Frame == "deny" || s.Frame == "same_origin" {
		option, ancestors := "DENY", "frame-ancestors 'none'"
		if s.Frame == "same_origin" {
			option, ancestors = "SAMEORIGIN", "frame-ancestors 'self'"
		}
		add("X-Frame-Options", option)
		if csp == "" {
			csp = ancestors
		} else if !strings.Contains(csp, "frame-ancestors") {
			csp = strings.TrimRight(csp, "; ") + "; " + ancestors
		}
	}
	add("Content-Security-Policy", csp)
	add("Referrer-Policy", s.Referrer)
	add("Permissions-Policy", s.Permissions)
	add("Cross-Origin-Opener-Policy", s.COOP)
	add("Cross-Origin-Embedder-Policy", s.COEP)
	add("Cross-Origin-Resource-Policy", s.CORP)
	return list
}
