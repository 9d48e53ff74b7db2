package providers

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

const googleIssuer = "https://accounts.google.com"

var _ = register(Kind{
	Name: "google", Label: "Google", Icon: "google",
	Fields: []Field{
		fieldClientID, fieldSecret,
		{Key: "hosted_domain", Label: "Workspace domains", Free: true, Check: checkDomains,
			Help: "Only accounts of these Google Workspace domains may sign in; empty: every Google account."},
		fieldOrigin("authority", "Issuer", googleIssuer),
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		g := google{domains: splitList(c.Settings["hosted_domain"])}
		return newOpenID(env, c, shape{
			issuer: setting(c, "authority", googleIssuer), scopes: []string{"openid", "email", "profile"}, auth: authPost,
			hasChooser:    true,
			requestParams: g.params, issued: googleIssued, claims: g.claims,
		}), nil
	},
})

type google struct{ domains []string }

// params: Google rejects prompt=login. It cannot prove a fresh sign-in, only show its account chooser.
func (g google) params(t broker.UpstreamRequest) url.Values {
	words := url.Values{"login_hint": {t.LoginHint}, "hl": {t.Locale}, "hd": {t.DomainHint}, "max_age": {age(t)}}
	if len(g.domains) == 1 {
		words.Set("hd", g.domains[0])
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
	if len(g.domains) > 0 && !slices.Contains(g.domains, hd) {
		return broker.WrongTenant.Because(errors.New("google: the account is not in a Workspace domain of hosted_domain: " +
			strings.Join(g.domains, " ")))
	}
	_, domain, _ := strings.Cut(c.Email, "@")
	if c.Level == broker.EmailVerified && (domain == "gmail.com" || domain == "googlemail.com" || domain == hd) {
		c.Level = broker.EmailAuthoritative
	}
	return nil
}
