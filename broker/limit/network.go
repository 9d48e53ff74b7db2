package limit

import "net/netip"

// Network returns what one subscriber holds: an IPv4 address, or an IPv6 /64, which has plenty of addresses. It
// returns "" for text that is no address.
func Network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap()
	//defence:H4
	if a.Is6() {
		return netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
	}
	return a.String()
}
