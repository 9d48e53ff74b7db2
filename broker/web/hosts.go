package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// OnlyHosts refuses requests by any host name but localhost and the given ones, so that a page of a website whose name
// leads here cannot read a listener without sign-in (DNS rebinding). An IP address is no name and passes. A port
// in names is ignored.
func OnlyHosts(next http.Handler, names ...string) http.Handler {
	known := []string{"localhost"}
	for _, n := range names {
		known = append(known, hostname(n))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostname(r.Host)
		_, err := netip.ParseAddr(host)
		//defence:G13
		if err != nil && !slices.Contains(known, host) {
			http.Error(w, fmt.Sprintf("%d misdirected: use an IP address, or list the host in internal_hosts",
				http.StatusMisdirectedRequest), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns the host of host:port in lower case, without brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
