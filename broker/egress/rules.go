package egress

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rules decide which URLs may be requested and which addresses may be dialled.
type rules struct {
	allowed, blocked []netip.Prefix
	unicast          netip.Prefix
}

func newRules(allow []netip.Prefix) (rules, error) {
	r := rules{unicast: netip.MustParsePrefix("2000::/3")}
	for _, prefix := range allow {
		if !prefix.IsValid() || prefix.Addr().Is4In6() || prefix.Addr().Zone() != "" {
			return rules{}, fmt.Errorf("egress: cannot allow the network %s: it is invalid, IPv4-mapped or has a zone", prefix)
		}
		r.allowed = append(r.allowed, prefix.Masked())
	}
	// IANA's special-purpose registries (RFC 6890 and its updates). In IPv6 only 2000::/3 is public unicast,
	// which excludes ::1, ::ffff:0:0/96, 64:ff9b::/96, fc00::/7 and fe80::/10. Listed here are the ranges inside
	// it that are not public, or that lead back to IPv4.
	for _, text := range strings.Fields(`
		0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
		192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3
		2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20`) {
		r.blocked = append(r.blocked, netip.MustParsePrefix(text))
	}
	return r, nil
}

// maySend checks the URL without resolving its host.
func (r rules) maySend(u *url.URL) error {
	if u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%w: the scheme is not https", ErrBlockedURL)
	}
	if u.User != nil {
		return fmt.Errorf("%w: it contains credentials", ErrBlockedURL)
	}
	host := u.Hostname()
	if host == "" {
		return fmt.Errorf("%w: it names no host", ErrBlockedURL)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Is4In6() {
			return fmt.Errorf("%w: IPv4-mapped IPv6 address", ErrBlockedAddress)
		}
		return r.may(u.Scheme, cmp.Or(u.Port(), "443"), addr)
	}
	// "2130706433", "127.1" and "0x7f.0.0.1" are not names: some resolvers read them as addresses.
	//defence:B16
	if endsInNumber(host) {
		return fmt.Errorf("%w: the host is a number", ErrBlockedAddress)
	}
	return nil
}

// mayDial checks one resolved address, as "ip:port", immediately before the connection.
func (r rules) mayDial(scheme, address string) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrBlockedAddress, address)
	}
	return r.may(scheme, strconv.Itoa(int(target.Port())), target.Addr())
}

func (r rules) may(scheme, port string, addr netip.Addr) error {
	addr = addr.Unmap()
	if addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() || addr.Zone() != "" {
		return fmt.Errorf("%w: %s", ErrBlockedAddress, addr)
	}
	within := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(r.allowed, within) {
		return nil
	}
	//defence:B16
	if slices.ContainsFunc(r.blocked, within) || addr.Is6() && !r.unicast.Contains(addr) {
		return fmt.Errorf("%w: %s", ErrBlockedAddress, addr)
	}
	if scheme != "https" || port != "443" {
		return fmt.Errorf("%w: only https on port 443", ErrBlockedURL)
	}
	return nil
}

// endsInNumber is the WHATWG URL standard's test for hosts that must be parsed as IPv4 addresses (§3.5, "ends in
// a number").
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last != "" && strings.Trim(last, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(strings.ToLower(last), "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}
