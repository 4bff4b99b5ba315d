package certs

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
)

// names are the hosts that a certificate is for, lower case, without the dot
// at the end.
type names struct {
	exact map[string]bool
	wild  map[string]bool // of *.example.com: ".example.com"
}

// namesOf returns the names in a certificate. The common name counts only when
// there are no others (RFC 6125 §6.4.4).
func namesOf(leaf *x509.Certificate) names {
	n := names{map[string]bool{}, map[string]bool{}}
	for _, name := range leaf.DNSNames {
		n.add(name)
	}
	for _, ip := range leaf.IPAddresses {
		text := ip.String()
		n.exact[text] = true
		n.exact["["+text+"]"] = true
	}
	if len(n.exact)+len(n.wild) == 0 && leaf.Subject.CommonName != "" {
		n.add(leaf.Subject.CommonName)
	}
	return n
}

// labelOf is the same as an operator reads it.
func labelOf(leaf *x509.Certificate) []string {
	label := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		label = append(label, ip.String())
	}
	if len(label) == 0 {
		label = append(label, leaf.Subject.CommonName)
	}
	return label
}

func (n names) add(name string) {
	name = fold(name)
	if rest, ok := strings.CutPrefix(name, "*"); ok && strings.HasPrefix(rest, ".") {
		n.wild[rest] = true
		return
	}
	n.exact[name] = true
}

// cover reports whether the certificate is for a host, which is written as
// exchange.Request has it. A wildcard stands for one whole label (RFC 9525
// §6.3). It allocates nothing.
func (n names) cover(host []byte) bool {
	if n.exact[string(host)] {
		return true
	}
	dot := bytes.IndexByte(host, '.')
	return dot > 0 && n.wild[string(host[dot:])]
}

// unnamed reports whether a client has asked for no server name: an address is
// none (RFC 6066 §3), although some clients send theirs.
func unnamed(name string) bool {
	if name == "" {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// fold returns a server name in the form that names are compared in.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
