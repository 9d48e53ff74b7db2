package broker

import (
	"net/netip"
	"net/url"
	"strings"
)

// MatchRedirect reports whether a requested redirect_uri is registered, byte for byte (RFC 9700 §4.1.3). The
// only exception is the port of a loopback IP literal over http (RFC 8252 §7.3).
func MatchRedirect(registered []string, requested string) bool {
	for _, r := range registered {
		//defence:A3 = true
		if r == requested || sameButPort(r, requested) {
			return true
		}
	}
	return false
}

// sameButPort compares strings, not parsed URLs, because parsers disagree.
func sameButPort(registered, requested string) bool {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		a, ok := strings.CutPrefix(registered, host)
		if !ok {
			continue
		}
		b, ok := strings.CutPrefix(requested, host)
		if !ok {
			continue
		}
		a, okA := cutPort(a)
		b, okB := cutPort(b)
		return okA && okB &&
			//defence:A3
			a == b
	}
	return false
}

// cutPort removes ":digits", and requires that a path or nothing follows.
func cutPort(s string) (string, bool) {
	if p, ok := strings.CutPrefix(s, ":"); ok {
		i := 0
		for i < len(p) && p[i] >= '0' && p[i] <= '9' {
			i++
		}
		if i == 0 || i > 5 {
			return "", false
		}
		s = p[i:]
	}
	return s, s == "" || s[0] == '/'
}

// RedirectProblem returns why a URI cannot be registered as a redirect URI, or "". It accepts https, http on a
// loopback host, and for native clients a reverse-DNS scheme (RFC 8252 §7).
func RedirectProblem(uri string, native bool) string {
	if uri == "" || len(uri) > 2000 {
		return "must have 1 to 2000 characters"
	}
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] >= 0x7f || uri[i] == '\\' {
			return "must be plain ASCII without spaces, control characters or backslashes"
		}
	}
	u, err := url.Parse(uri)
	_, broken := url.PathUnescape(uri) // Parse accepts some invalid escapes
	switch {
	case err != nil || broken != nil || u.Scheme == "":
		return "must be an absolute URI"
	case strings.Contains(uri, "#"):
		return "must not have a fragment"
	//defence:A3
	case u.User != nil:
		return "must not have user information"
	case strings.Contains(uri, "*"):
		return "must not have a wildcard"
	//defence:A3
	case dotSegments(uri):
		return "must not have dot segments"
	}
	switch u.Scheme {
	case "https":
		if u.Hostname() == "" {
			return "must name a host"
		}
		return ""
	case "http":
		if !LoopbackHost(u.Hostname()) {
			return "must be https; http is for a loopback host only"
		}
		return ""
	default:
		if !native {
			return "must be https; a custom scheme is for native clients only"
		}
		if !strings.Contains(u.Scheme, ".") || strings.ToLower(uri[:len(u.Scheme)]) != uri[:len(u.Scheme)] {
			return "must use a reverse-DNS scheme in lower case, such as com.example.app"
		}
		return ""
	}
}

func dotSegments(uri string) bool {
	_, path, _ := strings.Cut(uri, ":")
	path, _, _ = strings.Cut(path, "?")
	path = strings.ReplaceAll(strings.ToLower(path), "%2e", ".")
	path = strings.ReplaceAll(path, "%2f", "/")
	for seg := range strings.SplitSeq(path, "/") {
		seg, _, _ = strings.Cut(seg, ";")
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// LoopbackHost reports whether a host name means this machine by definition.
func LoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, _ := netip.ParseAddr(host) // the zero address is not a loopback address
	return ip.IsLoopback()
}
