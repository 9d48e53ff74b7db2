package providers

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/broker"
)

// The fields that several kinds have.
var (
	fieldClientID = Field{Key: keyClientID, Label: "Client ID", Required: true, Check: checkToken}
	fieldSecret   = Field{Key: keyClientSecret, Label: "Client secret", Required: true, Secret: true,
		Help: "Two may be live at a time, so that you can add a new one before the old one expires."}
	fieldACR = Field{Key: "trust_acr", Label: "Trust its acr", Flag: true, Free: true, Default: "false",
		Help: "The acr of its ID tokens may satisfy an app that requires one. It is ignored otherwise."}
	fieldCA = Field{Key: "ca_bundle", Label: "CA certificates", Long: true, Free: true, Check: checkPEM,
		Help: "PEM certificates trusted for this connection, in addition to the system's."}
	fieldNetworks = Field{Key: "networks", Label: "Private networks", Free: true, Check: checkNetworks,
		Help: "Private networks that this connection may reach, such as 10.20.0.0/16. No other private address is reachable."}
)

// fieldOrigin is the setting that replaces the provider's address with one of your own.
func fieldOrigin(key, label, otherwise string) Field {
	return Field{Key: key, Label: label, Default: otherwise, Check: checkOwnOrigin,
		Help: "For a simulator or a gateway of your own, in a network that the configuration allows; empty for " +
			otherwise + "."}
}

// checkToken accepts text that needs no escaping in a URL or header.
func checkToken(value string) string {
	if len(value) > 500 {
		return "is too long"
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "must be plain ASCII without spaces"
	}
	return ""
}

// checkURL accepts an absolute http or https URL of plain ASCII, without credentials or fragment. Plain http
// passes here because egress allows it to configured networks only.
func checkURL(value string) string {
	if why := checkToken(value); why != "" {
		return why
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return "must be an absolute URL"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https://"
	case u.User != nil:
		return "must not hold credentials"
	case strings.ContainsAny(value, `#\`):
		return "must have no fragment and no backslash"
	case !checkPort(u):
		return "must have a port from 1 to 65535 without leading zeros, or none"
	}
	return ""
}

// checkPort reports whether a URL has no port or one that exists. Programs disagree about 0, 0443 and 65979.
func checkPort(u *url.URL) bool {
	port := u.Port()
	n, err := strconv.ParseUint(port, 10, 16)
	//defence:B16 = true
	return port == "" && !strings.HasSuffix(u.Host, ":") || err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}

// checkIssuer accepts an issuer identifier (OIDC Discovery §3).
func checkIssuer(value string) string {
	if why := checkURL(value); why != "" {
		return why
	}
	if strings.Contains(value, "?") {
		return "must have no query"
	}
	return ""
}

// checkOrigin accepts scheme, host and port only.
func checkOrigin(value string) string {
	if why := checkURL(value); why != "" {
		return why
	}
	if u, err := url.Parse(value); err != nil || value != u.Scheme+"://"+u.Host {
		return "must be scheme and host alone, without a slash at the end"
	}
	return ""
}

// checkOwnOrigin accepts only an origin that egress reaches in allowed networks only: plain http, or an unusual
// port. Otherwise anyone who may edit a connection could give an Internet site a well-known provider's
// authority.
func checkOwnOrigin(value string) string {
	if why := checkOrigin(value); why != "" {
		return why
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") {
		return "must be plain http or name a port: only a host in an allowed network can replace the provider"
	}
	return ""
}

func checkDomain(value string) string {
	if canonical, err := broker.CanonicalDomain(value); err != nil || canonical != value {
		return "must be a domain in lower case, such as example.com"
	}
	return ""
}

func checkDomains(value string) string {
	for _, domain := range splitList(value) {
		if why := checkDomain(domain); why != "" {
			return why
		}
	}
	return ""
}

func checkPEM(value string) string {
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(value)) {
		return "must hold certificates in PEM form"
	}
	return ""
}

// private are the networks that a connection may open. Loopback, link-local and shared ones are up to the
// operator.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
}

func checkNetworks(value string) string {
	_, why := networks(value)
	return why
}

func networks(value string) (found []netip.Prefix, why string) {
	for _, text := range splitList(value) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, "must list networks such as 10.20.0.0/16"
		}
		inside := false
		for _, whole := range private {
			inside = inside || whole.Bits() <= p.Bits() && whole.Contains(p.Addr())
		}
		if !inside {
			return nil, "must list private networks only (RFC 1918, RFC 4193)"
		}
		found = append(found, p.Masked())
	}
	return found, ""
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func checkGUIDs(value string) string {
	for _, id := range splitList(value) {
		if !guid.MatchString(strings.ToLower(id)) {
			return "must list tenant ids such as 72f988bf-86f1-41af-91ab-2d7cd011db47"
		}
	}
	return ""
}

var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,200}$`)

// checkScopes accepts scopes of RFC 6749 §3.3, including openid.
func checkScopes(value string) string {
	openid := false
	for _, s := range splitList(value) {
		if !scopeToken.MatchString(s) {
			return "must list scopes separated by spaces"
		}
		openid = openid || s == "openid"
	}
	if !openid {
		return "must have the scope openid"
	}
	return ""
}
