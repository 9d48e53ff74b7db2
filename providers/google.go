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
			Help: "Only accounts of this Google Workspace domain may sign in; empty for every Google account."},
		fieldOrigin("authority", "Issuer", googleIssuer),
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		g := google{domain: c.Settings["hosted_domain"]}
		return newOpenID(env, c, shape{
			issuer: setting(c, "authority", googleIssuer), scopes: []string{"openid", "email", "profile"}, secretInForm: true, chooser: true,
			words: g.words, issued: googleIssued, claims: g.claims,
		}), nil
	},
})

type google struct{ domain string }

// words: Google knows no prompt=login and answers it with an error. It cannot be made to prove freshness, only to show its chooser.
func (g google) words(t broker.Trip) url.Values {
	words := url.Values{"login_hint": {t.LoginHint}, "hl": {t.Locale}, "hd": {t.DomainHint}, "max_age": {age(t)}}
	if g.domain != "" {
		words.Set("hd", g.domain)
	}
	if t.Choose || t.Fresh {
		words.Set("prompt", broker.PromptSelect)
	}
	return words
}

// googleIssued takes the issuer of older tokens, which lacks the scheme, for what it is an alias of: one person stays one identity.
func googleIssued(m *metadata, t idToken) (string, error) {
	if _, host, _ := strings.Cut(m.issuer, "://"); t.issuer != m.issuer && t.issuer != host || host == "" {
		return "", errIssuer
	}
	return m.issuer, nil
}

// claims: Google is the authority for addresses of its own and of the Workspace domain that hd names; hd in the request was only a hint.
func (g google) claims(t idToken, c *broker.Claims) error {
	hd, _ := broker.CanonicalDomain(t.text("hd"))
	if g.domain != "" && hd != g.domain {
		return broker.WrongTenant.Because(errors.New("google: the account is not of the Workspace domain " + g.domain))
	}
	_, domain, _ := strings.Cut(c.Email, "@")
	if c.Level == broker.L2 && (domain == "gmail.com" || domain == "googlemail.com" || domain == hd) {
		c.Level = broker.L3
	}
	return nil
}
