package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Address returns the client's IP address. Behind trusted proxies that is the rightmost address in
// X-Forwarded-For that is not a proxy's. Addresses further left come from the client and prove nothing. A
// malformed entry ends the search at the last proxy (SECURITY.md G12).
func (k *Toolkit) Address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	at := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		//defence:G12
		if !k.trusted(at) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			//defence:G12
			break
		}
		at = next.Unmap().WithZone("")
	}
	return at.String()
}

func (k *Toolkit) trusted(a netip.Addr) bool {
	for _, p := range k.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
