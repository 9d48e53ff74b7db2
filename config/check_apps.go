package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

const lowerAlnum = "abcdefghijklmnopqrstuvwxyz0123456789"

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
		if c.ClientSecret != "" {
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

// checkClients checks what only this file has. The registry of apps has the other rules: redirect URIs, grants,
// scopes and algorithms.
func (f *findings) checkClients(clients []Client) {
	ids := map[string]bool{}
	for i, c := range clients {
		at := fmt.Sprintf("clients[%d].", i)
		f.checkID(at+"id", c.ID, lowerAlnum+strings.ToUpper(lowerAlnum)+"-._", 128, ids)
		if strings.TrimSpace(c.Name) == "" {
			f.add(at+"name", "write the name that people see")
		}
		f.oneOf(at+"access_token", c.AccessToken, "opaque", "jwt")
		f.checkClientAuth(at, c)
	}
}

func (f *findings) checkClientAuth(at string, c Client) {
	methods := strings.Fields(c.AuthMethod)
	switch {
	case c.Public && c.AuthMethod != "none":
		f.add(at+"auth_method", "a public client cannot authenticate: leave it out, or leave public out")
	case c.Public && c.Secret != "":
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
		case !secret && c.Secret != "":
			f.add(at+"secret", "private_key_jwt uses no secret: leave it out")
		case secret && c.Secret == "":
			f.add(at+"secret", "%s, or set public", useReference)
		case secret:
			f.checkSecret(at+"secret", c.Secret, 32)
		}
		if slices.Contains(methods, "private_key_jwt") && (c.Keys == "") == (c.KeysURI == "") {
			f.add(at+"jwks", "private_key_jwt needs the app's public keys: set either jwks or jwks_uri")
		}
	}
}

// checkSecret refuses secrets written into the file, and weak ones.
func (f *findings) checkSecret(key string, secret broker.Secret, least int) {
	if f.literal[key] {
		f.add(key, "a secret does not belong in this file: %s", useReference)
	}
	if flaw := Weakness(secret.Reveal(), least); flaw != "" {
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
			return "is a well-known one: generate one with openssl rand -hex 32"
		}
	}
	if len(secret) < least {
		return fmt.Sprintf("is too short: it needs at least %d characters; generate one with openssl rand -hex 32", least)
	}
	different := map[rune]bool{}
	for _, r := range secret {
		different[r] = true
	}
	if len(different) < least/3 {
		return "repeats itself: generate one with openssl rand -hex 32"
	}
	if slices.Contains([]string{"postgres", "secret", "admin", "administrator", "letmein", "redis", "root", "test",
		"guest"}, plain) {
		return "is a well-known one: generate one with openssl rand -hex 32"
	}
	return ""
}
