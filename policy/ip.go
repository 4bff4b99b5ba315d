package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

const ipDoc = "Lets only addresses of a list pass, or all but those of a list; what is on both is refused. The address is client.ip: that of the connection, or what a trusted proxy says. " +
	"An IPv4 address is the same when it is written as IPv6 (::ffff:10.0.0.1). The refusal is 403 (ip_forbidden)."

// IP is the settings of ip.
type IP struct {
	Pos       config.Pos     `yaml:"-"`
	Allow     []netip.Prefix `yaml:"allow" short:"true" one:"true" doc:"Networks and addresses that may pass; none: all that are not denied."`
	Deny      []netip.Prefix `yaml:"deny" one:"true" doc:"Networks and addresses that may not."`
	AllowFile string         `yaml:"allow_file" doc:"A file with more of allow: a network or address a line, # begins a comment. Read again when it changes."`
	DenyFile  string         `yaml:"deny_file" doc:"A file with more of deny."`
	Mode      string         `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

var (
	errDenied    = errors.New("the address is denied")
	errUnlisted  = errors.New("the address is not among those that are allowed")
	errNoAddress = errors.New("the client has no address")
)

// Compile implements Spec.
func (s *IP) Compile(env *Env) (exchange.Middleware, error) {
	allow, err1 := compileNetworks(s.Allow, s.AllowFile, s.Pos, "allow")
	deny, err2 := compileNetworks(s.Deny, s.DenyFile, s.Pos, "deny")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	open := len(s.Allow) == 0 && s.AllowFile == "" // an empty file allows nobody
	if open && len(s.Deny) == 0 && s.DenyFile == "" {
		return nil, &Fault{Pos: s.Pos, Err: fmt.Errorf("names no network: allow or deny is needed")}
	}
	shadowed := s.Mode == shadow
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			a := x.Client.Addr.Addr().Unmap().WithZone("")
			var why error
			switch {
			case !a.IsValid():
				why = errNoAddress
			case deny.contains(a):
				why = errDenied
			case open || allow.contains(a):
				return next.Serve(x)
			default:
				why = errUnlisted
			}
			return env.refuse(next, x, "ip", shadowed, exchange.IPForbidden.Because(why))
		})
	}, nil
}

// Files returns the files that the settings are made of.
func (s *IP) Files() (list []string) {
	for _, f := range []string{s.AllowFile, s.DenyFile} {
		if f != "" {
			list = append(list, beside(s.Pos, f))
		}
	}
	return list
}

// networks is a set of addresses: spans that neither touch nor overlap, in
// order, so that a long list costs a binary search.
type networks []span

type span struct{ first, last netip.Addr }

func (n networks) contains(a netip.Addr) bool {
	low, high := 0, len(n)
	for low < high {
		mid := int(uint(low+high) / 2)
		switch {
		case a.Less(n[mid].first):
			high = mid
		case n[mid].last.Less(a):
			low = mid + 1
		default:
			return true
		}
	}
	return false
}

func compileNetworks(list []netip.Prefix, file string, pos config.Pos, path string) (networks, error) {
	var faults []error
	var spans networks
	for _, p := range list {
		plain, err := plainPrefix(p)
		if err != nil {
			faults = append(faults, &Fault{Path: path, Pos: pos, Err: err})
			continue
		}
		spans = append(spans, spanOf(plain))
	}
	if file != "" {
		more, err := readNetworks(beside(pos, file))
		if err != nil {
			faults = append(faults, &Fault{Path: path + "_file", Pos: pos, Err: err})
		}
		spans = append(spans, more...)
	}
	return merge(spans), errors.Join(faults...)
}

// plainPrefix takes ::ffff:10.0.0.0/104 for 10.0.0.0/8. One that is wider than
// all of IPv4 would have two meanings.
func plainPrefix(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("not a network")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%s is neither a network of IPv4 nor one of IPv6", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// spanOf returns the first and the last address of a network.
func spanOf(p netip.Prefix) span {
	if a := p.Addr(); a.Is4() {
		b := a.As4()
		fill(b[:], p.Bits())
		return span{a, netip.AddrFrom4(b)}
	}
	b := p.Addr().As16()
	fill(b[:], p.Bits())
	return span{p.Addr(), netip.AddrFrom16(b)}
}

func fill(b []byte, bits int) {
	for i := range b {
		if n := bits - 8*i; n <= 0 {
			b[i] = 0xff
		} else if n < 8 {
			b[i] |= 0xff >> n
		}
	}
}

// merge sorts spans and joins those that touch. Addresses of IPv4 come before
// those of IPv6 and never touch them.
func merge(spans networks) networks {
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].first.BitLen() == s.first.BitLen() && !out[n-1].last.Less(s.first) {
			if out[n-1].last.Less(s.last) {
				out[n-1].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	return slices.Clip(out)
}

const maxListFile = 64 << 20

// readNetworks reads a file of networks, one a line.
func readNetworks(path string) (networks, error) {
	data, err := readFile(path, maxListFile)
	if err != nil {
		return nil, err
	}
	var list networks
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text, _, _ := strings.Cut(string(line), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := parseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", filepath.Base(path), n, err)
		}
		list = append(list, spanOf(p))
	}
	return list, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return plainPrefix(netip.PrefixFrom(a, a.BitLen()))
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("not a network or address: %.60q", text)
	}
	return plainPrefix(p)
}

// beside is the path of a file that a configuration names: relative to it.
func beside(pos config.Pos, file string) string {
	if filepath.IsAbs(file) || pos.File == "" {
		return file
	}
	return filepath.Join(filepath.Dir(pos.File), file)
}

// readFile reads a file that is not longer than limit.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, err
}
