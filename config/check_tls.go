package config

import (
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Check is the rule of a listener's TLS.
func (t *TLS) Check(at *At) {
	switch {
	case t.SelfSigned && len(t.Certificates) > 0:
		at.Problem("self_signed", "either self_signed or certificates, not both")
	case t.SelfSigned && t.ACME != nil:
		at.Problem("self_signed", "either self_signed or acme, not both")
	case !t.SelfSigned && len(t.Certificates) == 0 && t.ACME == nil:
		at.Hint("self_signed makes one for development", "", "needs certificates")
	}
	if t.SelfSigned && t.StrictSNI {
		at.Problem("strict_sni", "has no meaning for a certificate that fits no name")
	}
	if t.Profile == "modern" && t.MinVersion == "1.2" {
		at.Problem("min_version", "the profile modern begins with 1.3")
	}
}

// Check is the rule of getting certificates.
func (a *ACME) Check(at *At) {
	if len(a.Domains) == 0 {
		at.Problem("domains", "name at least one host")
	}
	for i, domain := range a.Domains {
		path := "domains[" + strconv.Itoa(i) + "]"
		_, err := netip.ParseAddr(domain)
		switch why := hostFault(domain, false); {
		case strings.HasPrefix(domain, "*."):
			at.Hint("name the hosts, or bring a certificate from a file", path, "a wildcard needs the challenge dns-01, which Gopura does not have")
		case why != "":
			at.Problem(path, "not a host name: %s", why)
		case err == nil:
			at.Problem(path, "an address gets no certificate this way; name a host")
		}
	}
	folded := make([]string, len(a.Domains))
	for i, domain := range a.Domains {
		folded[i] = strings.ToLower(strings.TrimSuffix(domain, "."))
	}
	for i := range repeated(folded, itself) {
		at.Problem("domains["+strconv.Itoa(i)+"]", "this host is named twice")
	}
	for i := range repeated(a.Challenge, itself) {
		at.Problem("challenge["+strconv.Itoa(i)+"]", "the challenge %s is named twice", a.Challenge[i])
	}
	if len(a.Challenge) == 0 {
		at.Problem("challenge", "name at least one")
	}
	if a.Email != "" && (strings.Count(a.Email, "@") != 1 || strings.ContainsAny(a.Email, " ,;<>:\r\n")) {
		at.Problem("email", "%s is no address", at.Shown("email", a.Email))
	}
	if a.CA == "letsencrypt" || a.CA == "letsencrypt-staging" {
		return
	}
	u, err := url.Parse(a.CA)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		at.Hint("letsencrypt, letsencrypt-staging, or a URL", "ca", "%s is no certificate authority", at.Shown("ca", a.CA))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		at.Problem("ca", "the CA must be reached over https")
	case u.User != nil:
		at.Problem("ca", "credentials don't belong here")
	}
}

// checkACME checks that no host is got by two ways: the authorities would get
// in each other's way.
func (d *Document) checkACME() {
	type owner struct {
		listener string
		acme     *ACME
	}
	owners := make(map[string]owner)
	for i := range d.Listeners {
		l := &d.Listeners[i]
		if l.TLS == nil || l.TLS.ACME == nil {
			continue
		}
		a := l.TLS.ACME
		for j, domain := range a.Domains {
			domain = strings.ToLower(strings.TrimSuffix(domain, "."))
			o, known := owners[domain]
			if known && (o.acme.CA != a.CA || o.acme.Email != a.Email || o.acme.Storage != a.Storage) {
				path := join("listen", l.Name) + ".tls.acme.domains[" + strconv.Itoa(j) + "]"
				d.Problem(d.places[path], path, "the listener %s gets a certificate for this host in another way", quote(o.listener))
			} else if !known {
				owners[domain] = owner{l.Name, a}
			}
		}
	}
}

// Check is the rule of HSTS.
func (h *HSTS) Check(at *At) {
	const year = 365 * 24 * 3600e9
	if h.Preload && (!h.Subdomains || h.MaxAge < year) {
		at.Problem("preload", "browsers take this only with subdomains: true and a max_age of at least 1y")
	}
}

// Check is the rule of the TLS of targets.
func (t *UpstreamTLS) Check(at *At) {
	if (t.Cert == "") != (t.Key == "") {
		at.Problem("", "cert and key go together")
	}
	if t.ServerName != "" && hostFault(t.ServerName, false) != "" {
		at.Problem("server_name", "%s is no host name: %s", at.Shown("server_name", t.ServerName), hostFault(t.ServerName, false))
	}
	for i, name := range t.Names {
		if why := hostFault(name, false); why != "" {
			at.Problem("names["+strconv.Itoa(i)+"]", "not a host name: %s", why)
		}
	}
	for i, pin := range t.Pins {
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(pin, "sha256/")); err != nil || len(sum) != sha256.Size {
			at.Hint("openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
				"pins["+strconv.Itoa(i)+"]", "not the SHA-256 of a public key in base64")
		}
	}
	if !t.Insecure {
		return
	}
	for _, f := range []struct {
		key string
		set bool
	}{{"ca", t.CA != ""}, {"names", len(t.Names) > 0}, {"pins", len(t.Pins) > 0}} {
		if f.set {
			at.Problem("insecure", "verifies nothing, so that %s would have no effect", f.key)
		}
	}
	at.Warn("insecure", "anybody between the gateway and the targets can read and change what passes")
}
