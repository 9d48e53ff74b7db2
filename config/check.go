package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"gatehouse/broker"
)

const useReference = "write env:NAME or file:/path"

// check reports every setting that would not work or would be unsafe.
func (f *findings) check(c *Config) {
	f.checkFront(c)
	f.checkStorage(c)
	f.checkMail(c)
	f.checkNetworks("trusted_proxies", c.TrustedProxies)
	f.checkNetworks("upstream_networks", c.UpstreamNetworks)
	f.checkProduct(c)
	f.checkConnections(c.Connections)
	f.checkClients(c.Clients)
}

func (f *findings) checkFront(c *Config) {
	f.checkIssuer(c)
	f.checkAddress("listen", c.Listen)
	if c.Operations.Listen != Off {
		f.checkAddress("operations.listen", c.Operations.Listen)
	}
	if c.Operations.Listen == c.Listen {
		f.add("operations.listen", "it is the same as listen: use another port, or write off")
	}
	for i, host := range c.InternalHosts {
		u, err := url.Parse("//" + host)
		if err != nil || u.Host != host || u.Hostname() == "" || strings.ToLower(host) != host ||
			strings.HasSuffix(host, ":") {
			f.add(fmt.Sprintf("internal_hosts[%d]", i), "write host or host:port in lower case, such as gatehouse:8080")
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		f.add("tls", "set both tls.cert and tls.key, or neither")
	}
}

// checkIssuer requires the canonical spelling of an origin, because apps compare it byte for byte (OIDC
// Discovery §4.3).
func (f *findings) checkIssuer(c *Config) {
	if c.Issuer == "" {
		return // the default comes from listen, so listen is reported
	}
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		f.add("issuer", "write it as https://login.example.com")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		f.add("issuer", "plain http is for localhost only: use https")
	case u.Scheme+"://"+u.Host != c.Issuer || strings.ToLower(c.Issuer) != c.Issuer:
		f.add("issuer", "only scheme, host and port in lower case, nothing after: write https://login.example.com")
	case u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http" ||
		strings.HasSuffix(u.Host, ":"):
		f.add("issuer", "leave the default port out")
	case u.Scheme == "http" && c.TLS.Cert != "":
		f.add("issuer", "tls.cert is set: write the issuer with https")
	case u.Scheme == "https" && c.TLS.Cert == "" && len(c.TrustedProxies) == 0:
		f.add("issuer", "nothing terminates https: set tls.cert and tls.key, or name your proxy in trusted_proxies")
	}
}

func (f *findings) checkAddress(key, address string) {
	if portOf(address) == "" {
		f.add(key, "write it as host:port, such as localhost:8080 or :8080")
	}
}

// portOf returns the port of host:port, or "" if that is malformed.
func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		return ""
	}
	return port
}

func (f *findings) checkStorage(c *Config) {
	if c.DataDir == "" {
		f.add("data_dir", "name a folder")
	}
	if c.Audit.Retention < 0 {
		f.add("audit.retention", "%d is no number of days: write 400, or 0 to keep events for ever", c.Audit.Retention)
	}
	if c.Audit.Refusals < 1 {
		f.add("audit.refusals", "%d is no number of refusals: write 100, for example", c.Audit.Refusals)
	}
	if c.DatabasePool < 1 || c.DatabasePool > 1000 {
		f.add("database_pool", "write a number from 1 to 1000")
	}
	if c.SQLiteSynchronous != "normal" && c.SQLiteSynchronous != "full" {
		f.add("sqlite_synchronous", "write normal or full")
	}
	if c.Redis != "" {
		f.checkURL("redis", c.Redis, "redis", "rediss")
	}
	path, sqlite := c.SQLite()
	switch {
	case sqlite && (path == "" || strings.ContainsAny(path, "?#") || strings.HasPrefix(path, ":") ||
		strings.HasPrefix(path, "//")):
		f.add("database", "write sqlite: and the path of a file, without options")
	case !sqlite:
		u := f.checkURL("database", c.Database, "postgres", "postgresql") // sqlite: went before
		if u == nil {
			return
		}
		if strings.Trim(u.Path, "/") == "" {
			f.add("database", "the URL has no database name: write postgres://user@host/database")
		}
		if c.Keyring == "" && c.KeyringData == "" {
			f.add("keyring", "PostgreSQL needs a keyring that all replicas share: create one with gatehouse keys create, "+
				"then write the path of its file, or env:NAME")
		}
	}
}

func (f *findings) checkMail(c *Config) {
	if c.Mail.From == "" {
		f.add("mail.from", "mail over SMTP needs a sender: write it as Gatehouse <login@example.com>")
	} else if from, err := mail.ParseAddress(c.Mail.From); err != nil || strings.ContainsAny(c.Mail.From, "\r\n") ||
		!strings.Contains(from.Address, "@") {
		f.add("mail.from", "this is not an address: write it as Gatehouse <login@example.com>")
	}
	if c.Mail.SMTP == "" {
		return
	}
	u := f.checkURL("mail.smtp", c.Mail.SMTP, "smtp", "smtps")
	if u == nil {
		return
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		f.add("mail.smtp", "leave out what follows the port: write smtp://user:password@host:587")
	}
	if _, has := u.User.Password(); u.User != nil && !has {
		f.add("mail.smtp", "a user without a password: add the password")
	}
}

// checkURL requires a URL with a host and one of the schemes. It refuses a password written into the file, and a
// well-known one. It returns nil if the value is not a URL.
func (f *findings) checkURL(key string, value broker.Secret, schemes ...string) *url.URL {
	u, err := url.Parse(value.Reveal()) // its error quotes the URL with the password
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" && u.Query().Get("host") == "" {
		f.add(key, "write it as %s://…", strings.Join(schemes, ":// or "))
		return nil
	}
	password, _ := u.User.Password()
	if password == "" {
		password = u.Query().Get("password")
	}
	if password == "" {
		return u
	}
	if f.literal[key] {
		f.add(key, "a password does not belong in this file: %s for the whole URL", useReference)
	}
	// Any password is allowed on this machine, for a developer's database.
	if flaw := Weakness(password, 8); flaw != "" && !isLoopback(u.Hostname()) {
		f.add(key, "the password in the URL %s", flaw)
	}
	return u
}

// checkNetworks refuses networks that are too wide, and those whose addresses cannot be a proxy or an upstream.
func (f *findings) checkNetworks(key string, networks Networks) {
	for i, network := range networks {
		key := fmt.Sprintf("%s[%d]", key, i)
		if least := map[bool]int{true: 8, false: 7}[network.Addr().Is4()]; network.Bits() < least {
			f.add(key, "%s is too wide: list only your own networks", network)
		}
		for _, never := range []string{"169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "0.0.0.0/8"} {
			if network.Overlaps(netip.MustParsePrefix(never)) {
				f.add(key, "%s contains addresses of %s, which are never used: leave them out", network, never)
			}
		}
	}
}

func (f *findings) checkProduct(c *Config) {
	if name := c.Product.Name; strings.TrimSpace(name) != name || name == "" || len(name) > 60 ||
		strings.ContainsAny(name, "\r\n\t\x00<>") {
		f.add("product.name", "write a name of at most 60 bytes on one line")
	}
	f.checkLink("product.support_url", c.Product.SupportURL, true)
	f.checkLink("product.privacy_url", c.Product.PrivacyURL, false)
	f.checkLink("product.terms_url", c.Product.TermsURL, false)
	f.oneOf("registration", c.Registration, "invite", "form", "silent")
	f.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	if len(c.Languages) == 0 {
		f.add("languages", "name at least one")
	}
	for i, tag := range c.Languages {
		if _, err := language.Parse(tag); err != nil || slices.Contains(c.Languages[:i], tag) {
			f.add(fmt.Sprintf("languages[%d]", i), "%q is not a language tag, or occurs twice: write en, fr, es, de", tag)
		}
	}
}

func (f *findings) checkLink(key, text string, mailToo bool) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if mailToo && err == nil && u.Scheme == "mailto" && strings.Contains(u.Opaque, "@") {
		return
	}
	if err != nil || !webURL(u) {
		f.add(key, "write it as https://…")
	}
}

func (f *findings) oneOf(key, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		f.add(key, "write one of %s", strings.Join(choices, ", "))
	}
}

// webURL accepts https, and http on a loopback host.
func webURL(u *url.URL) bool {
	return u.Hostname() != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
