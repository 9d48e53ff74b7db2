package clients

import (
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

const (
	maxContacts   = 20
	longestMaxAge = 10 * 365 * 24 * 60 * 60 // seconds
)

// TakesSecret reports whether a client authenticates with a secret.
func TakesSecret(c broker.Client) bool {
	return slices.Contains(c.AuthMethods, "client_secret_basic") || slices.Contains(c.AuthMethods, "client_secret_post")
}

func (v *validation) authentication(c broker.Client) {
	const field = "token_endpoint_auth_method"
	for i, m := range c.AuthMethods {
		if !slices.Contains(AuthMethods(), m) {
			v.add(field, "%q is not one of %s", m, strings.Join(AuthMethods(), ", "))
		}
		if slices.Contains(c.AuthMethods[:i], m) {
			v.add(field, "%q occurs twice", m)
		}
	}
	switch {
	case len(c.AuthMethods) == 0:
		v.add(field, "is missing; use one of %s", strings.Join(AuthMethods(), ", "))
	case c.Public() && len(c.AuthMethods) > 1:
		v.add(field, "none excludes all others")
	case c.Public() && len(c.SecretHashes) > 0:
		v.add(field, "none is for clients without a secret; this one has %d", len(c.SecretHashes))
	}
	switch {
	case c.Public():
	case TakesSecret(c) && len(c.SecretHashes) == 0:
		v.add("client_secret", "is missing; %s needs one", strings.Join(c.AuthMethods, ", "))
	case !TakesSecret(c) && slices.Contains(c.AuthMethods, MethodKey) && len(c.SecretHashes) > 0:
		v.add("client_secret", "has %d live; %s uses none", len(c.SecretHashes), MethodKey)
	case len(c.SecretHashes) > maxSecrets:
		v.add("client_secret", "has %d live secrets; at most %d: the old one and the new one", len(c.SecretHashes),
			maxSecrets)
	}
}

// settings validates the settings that have a few values.
func (v *validation) settings(c broker.Client) {
	for _, s := range settings(&c) {
		if *s.value != "" && !slices.Contains(s.values[1:], *s.value) {
			v.add(s.name, "%q is not one of %s", *s.value, strings.Join(s.values, ", "))
		}
	}
	//defence:A2
	if c.PKCE == broker.PKCEOff && (c.Public() || c.Native) {
		v.add("pkce", "off is for confidential clients: public and native ones always use PKCE (RFC 9700 §2.1.1)")
	}
}

func (v *validation) keys(c broker.Client) {
	if c.AuthAlg != "" && !slices.Contains(AssertionAlgs(), c.AuthAlg) {
		v.add("token_endpoint_auth_signing_alg", "%q is not one of %s", c.AuthAlg, strings.Join(AssertionAlgs(), ", "))
	}
	switch {
	case c.Keys != "" && c.KeysURI != "":
		v.add("jwks_uri", "excludes jwks; set only one of them (RFC 7591 §2)")
	case c.Keys == "" && c.KeysURI == "" && slices.Contains(c.AuthMethods, MethodKey):
		v.add("jwks", "is missing; %s needs jwks or jwks_uri", MethodKey)
	case c.KeysURI != "":
		v.https("jwks_uri", c.KeysURI)
	case c.Keys != "":
		v.keySet(c)
	}
}

// keySet is stricter than the parser of fetched keys, because an operator can correct the keys here.
func (v *validation) keySet(c broker.Client) {
	const field = "jwks"
	list, problem := keyList([]byte(c.Keys))
	if problem != "" {
		v.add(field, "%s", problem)
		return
	}
	if len(list) == 0 {
		v.add(field, "has no keys")
	}
	var all Keys
	for i, raw := range list {
		k, problem := parseKey(raw)
		switch {
		case problem != "":
			v.add(field, "key %d %s", i+1, problem)
		case k.id == "" && len(list) > 1:
			v.add(field, "key %d needs a kid, because there are several", i+1)
		case k.id != "" && slices.ContainsFunc(all, func(other Key) bool { return other.id == k.id }):
			v.add(field, "the kid %q occurs twice", k.id)
		}
		all = append(all, k)
	}
	usable := slices.ContainsFunc(all, func(k Key) bool { return k.Fits(c.AuthAlg) })
	if slices.Contains(AssertionAlgs(), c.AuthAlg) && len(v.problems) == 0 && !usable {
		v.add(field, "has no key for %s", c.AuthAlg)
	}
}

func (v *validation) logout(c broker.Client) {
	v.web("backchannel_logout_uri", c.BackchannelLogoutURI)
	v.frontchannel(c)
	if c.DefaultMaxAge != nil && (*c.DefaultMaxAge < 0 || *c.DefaultMaxAge > longestMaxAge) {
		v.add("default_max_age", "must be 0 to %d seconds", longestMaxAge)
	}
	if c.PushedOnly && !c.May(GrantCode) {
		v.add("require_pushed_authorization_requests", "needs %s", GrantCode)
	}
}

// frontchannel requires that the framed URI is on the app's own origin (OIDC Front-Channel Logout §2).
func (v *validation) frontchannel(c broker.Client) {
	const field = "frontchannel_logout_uri"
	uri := c.FrontchannelLogoutURI
	if uri == "" || !v.web(field, uri) {
		return
	}
	u, err := url.Parse(uri)
	if err != nil || u.Query().Has("iss") || u.Query().Has("sid") {
		v.add(field, "%q must not contain iss or sid, which are added to it", uri)
		return
	}
	own := slices.ContainsFunc(c.RedirectURIs, func(redirect string) bool {
		r, err := url.Parse(redirect)
		return err == nil && r.Scheme == u.Scheme && r.Host == u.Host
	})
	if !own {
		v.add(field, "%q must have the scheme, host and port of a redirect URI", uri)
	}
}

// told validates the fields that people and other apps see.
func (v *validation) told(c broker.Client) {
	v.https("logo_uri", c.LogoURI)
	v.https("client_uri", c.ClientURI)
	v.https("policy_uri", c.PolicyURI)
	v.https("tos_uri", c.TosURI)
	v.https("initiate_login_uri", c.InitiateLoginURI)
	if len(c.Contacts) > maxContacts {
		v.add("contacts", "has %d contacts; at most %d", len(c.Contacts), maxContacts)
	}
	for _, who := range c.Contacts {
		if who == "" || len(who) > 254 || strings.TrimSpace(who) != who || !IsText(who) {
			v.add("contacts", "%q must be 1 to 254 characters, without spaces around it", who)
		}
	}
}

// web applies the rules of a web app's redirect URI, so that no field bypasses them. An empty value is valid.
func (v *validation) web(field, uri string) (ok bool) {
	if uri == "" {
		return true
	}
	p := broker.RedirectProblem(uri, false)
	if p != "" {
		v.add(field, "%q %s", uri, p)
	}
	return p == ""
}

// https also requires https on a loopback host.
func (v *validation) https(field, uri string) {
	if v.web(field, uri) && uri != "" && !strings.HasPrefix(uri, "https://") {
		v.add(field, "%q must begin with https://", uri)
	}
}
