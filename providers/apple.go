package providers

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

const appleIssuer = "https://appleid.apple.com"

var _ = register(Kind{
	Name: "apple", Label: "Apple", Icon: "apple",
	Fields: []Field{
		{Key: keyClientID, Label: "Services ID", Required: true, Check: checkToken},
		{Key: "team_id", Label: "Team ID", Required: true, Check: checkAppleID},
		{Key: "key_id", Label: "Key ID", Required: true, Free: true, Check: checkAppleID,
			Help: "Of the private key. While two keys are live: both ids, in the order of the keys, the newest first."},
		{Key: keyClientSecret, Label: "Private key", Required: true, Secret: true, Help: "The .p8 file from Apple."},
		fieldOrigin("authority", "Issuer", appleIssuer),
	},
	check: func(c broker.Connection) (found []string) {
		for _, secret := range c.Secrets {
			if k, err := parseClientKey(secret); err != nil || !slices.Contains(k.algorithms(), "ES256") {
				found = append(found, "client_secret must be the private key of Apple's .p8 file")
			}
		}
		return found
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		a := apple{client: c.ClientID, team: c.Settings["team_id"], keys: splitList(c.Settings["key_id"]), secrets: c.Secrets,
			issuer: setting(c, "authority", appleIssuer)}
		return newOpenID(env, c, shape{
			issuer: a.issuer, accept: a.accept, issued: a.issued, scopes: []string{"openid", "email", "name"},
			noVerifier: true, mintSecret: a.secret, requestParams: appleParams, named: appleNamed,
			maxPost: 16 << 10, // it posts every response, at first with the name
		}), nil
	},
})

func checkAppleID(value string) string {
	for _, id := range splitList(value) {
		if len(id) > 20 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return "must be an id of 10 capital letters and digits, as Apple shows it"
		}
	}
	return ""
}

type apple struct {
	client, team, issuer string
	keys                 []string
	secrets              []broker.Secret
}

// secret returns the client secret: a JWT signed by the private key.
func (a apple) secret(private broker.Secret, now time.Time) (string, error) {
	k, err := parseClientKey(private)
	if err != nil {
		return "", err
	}
	n := slices.Index(a.secrets, private)
	if n < 0 || n >= len(a.keys) {
		n = 0
	}
	if len(a.keys) == 0 {
		return "", errors.New("key_id is missing")
	}
	k.id = a.keys[n]
	return k.sign(map[string]any{"iss": a.team, "sub": a.client, "aud": a.issuer, "iat": now.Unix(),
		"exp": now.Add(5 * time.Minute).Unix()}, nil)
}

// aliases are the names under which Apple has issued tokens.
func (a apple) aliases() []string {
	if a.issuer == appleIssuer {
		return []string{appleIssuer, "https://account.apple.com"}
	}
	return []string{a.issuer}
}

func (a apple) accept(issuer string) error {
	if !slices.Contains(a.aliases(), issuer) {
		return fmt.Errorf("the discovery document is for %q, which is not Apple", oneLine(issuer))
	}
	return nil
}

// issued accepts every name of Apple and returns one: one person stays one identity.
func (a apple) issued(_ *metadata, t idToken) (string, error) {
	if !slices.Contains(a.aliases(), t.issuer) {
		return "", errIssuer
	}
	return a.issuer, nil
}

// appleParams: Apple posts the response if it is asked for the name or the address. It has no prompt and no hints.
func appleParams(t broker.UpstreamRequest) url.Values {
	return url.Values{"response_mode": {"form_post"}, "locale": {t.Locale}}
}

// appleNamed reads the name that Apple posts beside the code at a person's first sign-in. It is not signed: it is
// shown, and nothing else of it is used.
func appleNamed(answer url.Values, c *broker.Claims) {
	raw := answer.Get("user")
	if c.Name != "" || raw == "" || len(raw) > 4<<10 {
		return
	}
	d, err := parseDocument([]byte(raw))
	if err != nil {
		return
	}
	name, _ := d["name"].(document)
	c.GivenName, c.FamilyName = name.name("firstName"), name.name("lastName")
	c.Name = strings.TrimSpace(c.GivenName + " " + c.FamilyName)
}
