package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Address is the client's IP address: the peer, or, behind trusted proxies, the
// rightmost address in X-Forwarded-For that is not one of them. What lies further
// left was written by the client and proves nothing; a text that is no address
// ends the search at the last proxy (SECURITY.md G12).
func (k *Kit) Address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	at := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	//defence:G12
	for i := len(hops) - 1; i >= 0 && k.trusted(at); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			//defence:G12
			break
		}
		at = next.Unmap().WithZone("")
	}
	return at.String()
}

func (k *Kit) trusted(a netip.Addr) bool {
	for _, p := range k.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
