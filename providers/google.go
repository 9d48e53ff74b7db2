package providers

import (
	"errors"
	"net/url"
	"strings"

	"gatehouse/broker"
)

const googleIssuer = "https://accounts.google.com"

var _ = register(Kind{
	Name: "google", Label: "Google", Icon: "google",
	Fields: []Field{
		fieldClientID, fieldSecret,
		{Key: "hosted_domain", Label: "Workspace domain", Free: true, Check: checkDomain,
			Help: "Only accounts of this Google Workspace domain may sign in; empty: every Google account."},
		fieldOrigin("authority", "Issuer", googleIssuer),
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		g := google{domain: c.Settings["hosted_domain"]}
		return newOpenID(env, c, shape{
			issuer: setting(c, "authority", googleIssuer), scopes: []string{"openid", "email", "profile"}, auth: authPost,
			hasChooser:    true,
			requestParams: g.params, issued: googleIssued, claims: g.claims,
		}), nil
	},
})

type google struct{ domain string }

// params: Google rejects prompt=login. It cannot prove a fresh sign-in, only show its account chooser.
func (g google) params(t broker.UpstreamRequest) url.Values {
	words := url.Values{"login_hint": {t.LoginHint}, "hl": {t.Locale}, "hd": {t.DomainHint}, "max_age": {age(t)}}
	if g.domain != "" {
		words.Set("hd", g.domain)
	}
	if words.Get("max_age") != "" {
		// Google tells auth_time only if asked like this, and only where "Session age claims" is on.
		words.Set("claims", `{"id_token":{"auth_time":{"essential":true}}}`)
	}
	switch {
	case t.Prompt == broker.PromptConsent:
		words.Set("prompt", t.Prompt)
	case t.Choose || t.Fresh || t.Prompt != "":
		words.Set("prompt", broker.PromptSelect)
	}
	return words
}

// googleIssued also accepts the issuer of older tokens, which lacks the scheme, and returns the full one: one
// person stays one identity.
func googleIssued(m *metadata, t idToken) (string, error) {
	if _, host, _ := strings.Cut(m.issuer, "://"); t.issuer != m.issuer && t.issuer != host || host == "" {
		return "", errIssuer
	}
	return m.issuer, nil
}

// claims: Google is authoritative for its own addresses and for the Workspace domain in the hd claim. The hd in
// the request is only a hint.
func (g google) claims(t idToken, c *broker.Claims) error {
	hd, _ := broker.CanonicalDomain(t.text("hd"))
	if g.domain != "" && hd != g.domain {
		return broker.WrongTenant.Because(errors.New("google: the account is not in the Workspace domain " + g.domain))
	}
	_, domain, _ := strings.Cut(c.Email, "@")
	if c.Level == broker.EmailVerified && (domain == "gmail.com" || domain == "googlemail.com" || domain == hd) {
		c.Level = broker.EmailAuthoritative
	}
	return nil
}
