package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const (
	lowerAlnum = "abcdefghijklmnopqrstuvwxyz0123456789"
	deviceCode = "urn:ietf:params:oauth:grant-type:device_code"
)

func (f *findings) checkConnections(connections []Connection) {
	ids, domains := map[string]bool{}, map[string]bool{}
	for i, c := range connections {
		at := fmt.Sprintf("connections[%d].", i)
		f.checkID(at+"id", c.ID, lowerAlnum+"-", 63, ids)
		if c.Kind == "" || strings.Trim(c.Kind, lowerAlnum+"-_") != "" {
			f.add(at+"kind", "name a kind, such as google, microsoft, adfs, meta, oidc or saml")
		}
		if strings.TrimSpace(c.Name) == "" {
			f.add(at+"name", "write the name for the button")
		}
		if c.Issuer != "" {
			u, err := url.Parse(c.Issuer)
			if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
				u.Scheme != "https" && u.Scheme != "http" {
				f.add(at+"issuer", "write it as https://…, exactly as the provider publishes it")
			}
		}
		if strings.TrimSpace(c.ClientID) != c.ClientID {
			f.add(at+"client_id", "remove the spaces around it")
		}
		if !c.ClientSecret.Empty() {
			f.checkSecret(at+"client_secret", c.ClientSecret, 16)
		}
		for j, domain := range c.Domains {
			key := fmt.Sprintf("%sdomains[%d]", at, j)
			switch {
			case !strings.Contains(domain, ".") || strings.Trim(domain, lowerAlnum+"-.") != "" ||
				strings.Trim(domain, "-.") != domain || strings.Contains(domain, ".."):
				f.add(key, "write an e-mail domain in lower-case letters, digits, - and ., such as example.com")
			case domains[domain]:
				f.add(key, "two connections list %s: keep one", domain)
			}
			domains[domain] = true
		}
	}
}

// checkID also records the id in seen, to find duplicates.
func (f *findings) checkID(key, id, alphabet string, most int, seen map[string]bool) {
	switch {
	case id == "" || len(id) > most || strings.Trim(id, alphabet) != "" || strings.HasPrefix(id, "-"):
		f.add(key, "write 1 to %d letters, digits and dashes", most)
	case seen[id]:
		f.add(key, "the id %q occurs twice", id)
	}
	seen[id] = true
}

func (f *findings) checkClients(clients []Client) {
	ids := map[string]bool{}
	for i, c := range clients {
		at := fmt.Sprintf("clients[%d].", i)
		f.checkID(at+"id", c.ID, lowerAlnum+strings.ToUpper(lowerAlnum)+"-._", 128, ids)
		if strings.TrimSpace(c.Name) == "" {
			f.add(at+"name", "write the name that people see")
		}
		f.oneOf(at+"id_token_alg", c.IDTokenAlg, "RS256", "ES256", "EdDSA")
		f.oneOf(at+"access_token", c.AccessToken, "opaque", "jwt")
		f.checkClientAuth(at, c)
		f.checkGrants(at, c)
		for j, text := range c.RedirectURIs {
			f.checkRedirect(fmt.Sprintf("%sredirect_uris[%d]", at, j), text, c.Native)
		}
		for j, text := range c.PostLogoutRedirectURIs {
			f.checkRedirect(fmt.Sprintf("%spost_logout_redirect_uris[%d]", at, j), text, c.Native)
		}
		for j, scope := range c.Scopes {
			if scope == "" || strings.ContainsFunc(scope,
				func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
				f.add(fmt.Sprintf("%sscopes[%d]", at, j), "write one scope per entry, in printable ASCII (RFC 6749 §3.3)")
			}
		}
	}
}

func (f *findings) checkClientAuth(at string, c Client) {
	methods := strings.Fields(c.AuthMethod)
	switch {
	case c.Public && c.AuthMethod != "none":
		f.add(at+"auth_method", "a public client cannot authenticate: leave it out, or leave public out")
	case c.Public && !c.Secret.Empty():
		f.add(at+"secret", "a public client has no secret: leave it out, or leave public out")
	case c.Public:
	case slices.Contains(methods, "none"):
		f.add(at+"auth_method", "none is for public clients: set public, or leave it out")
	default:
		secret := false
		for _, m := range methods {
			f.oneOf(at+"auth_method", m, "client_secret_basic", "client_secret_post", "private_key_jwt")
			secret = secret || m != "private_key_jwt"
		}
		switch {
		case !secret && !c.Secret.Empty():
			f.add(at+"secret", "private_key_jwt uses no secret: leave it out")
		case secret && c.Secret.Empty():
			f.add(at+"secret", "%s, or set public", useReference)
		case secret:
			f.checkSecret(at+"secret", c.Secret, 32)
		}
		if slices.Contains(methods, "private_key_jwt") && (c.Keys == "") == (c.KeysURI == "") {
			f.add(at+"jwks", "private_key_jwt needs the app's public keys: set either jwks or jwks_uri")
		}
	}
	if c.SkipPKCE && (c.Public || c.Native) {
		f.add(at+"skip_pkce", "public and native clients always use PKCE: leave it out")
	}
}

func (f *findings) checkGrants(at string, c Client) {
	for i, grant := range c.GrantTypes {
		f.oneOf(fmt.Sprintf("%sgrant_types[%d]", at, i), grant, "authorization_code", "refresh_token", "client_credentials",
			deviceCode)
	}
	if len(c.GrantTypes) == 0 {
		f.add(at+"grant_types", "name at least one, or leave it out")
	}
	if c.Public && slices.Contains(c.GrantTypes, "client_credentials") {
		f.add(at+"grant_types", "a public client has no credentials: leave client_credentials out")
	}
	if slices.Contains(c.GrantTypes, "authorization_code") && len(c.RedirectURIs) == 0 {
		f.add(at+"redirect_uris", "authorization_code needs at least one")
	}
}

// checkRedirect accepts https, http on a loopback host, and for native clients reverse-DNS schemes (RFC 8252
// §7.1).
func (f *findings) checkRedirect(key, text string, native bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		f.add(key, "this is not a URI: write it as https://app.example.com/callback")
	case strings.Contains(text, "#"):
		f.add(key, "a redirect URI has no fragment (RFC 6749 §3.1.2)")
	case strings.Contains(text, "*"):
		f.add(key, "redirect URIs are compared byte for byte: remove the wildcard")
	case webURL(u):
	case native && strings.Contains(u.Scheme, ".") && u.User == nil:
	case u.Scheme == "http":
		f.add(key, "plain http is for localhost only: use https")
	default:
		f.add(key, "use https, or for a native client a scheme such as com.example.app")
	}
}

// checkSecret refuses secrets written into the file, and weak ones.
func (f *findings) checkSecret(key string, secret Secret, least int) {
	if secret.literal {
		f.add(key, "a secret does not belong in this file: %s", useReference)
	}
	if flaw := Weakness(secret.value, least); flaw != "" {
		f.add(key, "the secret %s", flaw)
	}
}

// Weakness returns what is wrong with a chosen secret, as the end of a sentence "the secret …", or "" if nothing
// is.
func Weakness(secret string, least int) string {
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(lowerAlnum, r) {
			return r
		}
		return -1
	}, strings.ToLower(secret))
	// Each word is too long to occur in a random secret by chance.
	for _, word := range []string{"changeme", "changeit", "changethis", "replaceme", "replacethis", "placeholder",
		"password", "passw0rd", "supersecret",
		"topsecret", "yoursecret", "mysecret", "clientsecret", "secretkey", "examplesecret", "gatehouse", "xxxxxxxx",
		"12345678", "abcdefgh", "qwertyui", "insecure"} {
		if strings.Contains(plain, word) {
			return "is a well-known one: generate one with openssl rand -base64 36"
		}
	}
	if len(secret) < least {
		return fmt.Sprintf("is too short: it needs at least %d characters; generate one with openssl rand -base64 36", least)
	}
	different := map[rune]bool{}
	for _, r := range secret {
		different[r] = true
	}
	if len(different) < least/3 {
		return "repeats itself: generate one with openssl rand -base64 36"
	}
	if slices.Contains([]string{"postgres", "secret", "admin", "administrator", "letmein", "redis", "root", "test",
		"guest"}, plain) {
		return "is a well-known one: generate one with openssl rand -base64 36"
	}
	return ""
}
