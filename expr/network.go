package expr

import (
	"fmt"
	"net/netip"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const inCIDR = "inCIDR"

// networks declares `client.ip.inCIDR("10.0.0.0/8")`, and the same with a list.
func networks() cel.EnvOption {
	return cel.Function(inCIDR,
		cel.MemberOverload("string_in_cidr", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(func(addr, network ref.Val) ref.Val { return inNetworks(addr, network) })),
		cel.MemberOverload("string_in_cidrs", []*cel.Type{cel.StringType, cel.ListType(cel.StringType)}, cel.BoolType,
			cel.BinaryBinding(func(addr, list ref.Val) ref.Val {
				l := list.(traits.Lister)
				n, _ := l.Size().(types.Int)
				for i := types.Int(0); i < n; i++ {
					if in := inNetworks(addr, l.Get(i)); in != types.False {
						return in
					}
				}
				return types.False
			})))
}

// inNetworks is an error when either is not what it should be: an address list
// must not take garbage for a stranger, nor for a friend.
func inNetworks(addr, network ref.Val) ref.Val {
	a, ok := addr.(types.String)
	n, ok2 := network.(types.String)
	if !ok || !ok2 {
		return types.NewErr("inCIDR wants texts")
	}
	ip, err := netip.ParseAddr(string(a))
	if err != nil {
		return types.NewErr("not an IP address: %q", string(a))
	}
	p, err := parseNetwork(string(n))
	if err != nil {
		return types.NewErr("%s", err.Error())
	}
	return types.Bool(p.Contains(ip.Unmap().WithZone("")))
}

// parseNetwork reads 10.0.0.0/8 or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, fmt.Errorf("not a network: %q", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return p, fmt.Errorf("an IPv4 network is written without ::ffff: %q", s)
	}
	return p, nil
}
