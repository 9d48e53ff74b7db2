package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"gatehouse/broker"
)

const (
	githubWeb = "https://github.com"
	githubAPI = "https://api.github.com"
)

var _ = register(Kind{
	Name: "github", Label: "GitHub", Icon: "github",
	Fields: []Field{
		fieldClientID, fieldSecret,
		fieldOrigin("authority", "GitHub", githubWeb),
		{Key: "api_url", Label: "API", Default: githubAPI, Check: checkOwnAPI,
			Help: "Set it together with the address above; GitHub Enterprise Server has its API at {address}/api/v3."},
		fieldCA, fieldNetworks,
	},
	check: func(c broker.Connection) []string {
		if (c.Settings["authority"] == "") != (c.Settings["api_url"] == "") {
			return []string{"set both authority and api_url, or neither"}
		}
		return nil
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		return &github{
			env: env, connection: c.ID, clientID: c.ClientID,
			web: setting(c, "authority", githubWeb), api: setting(c, "api_url", githubAPI),
			exchanger: &exchanger{client: env.HTTP, id: c.ClientID, secrets: c.Secrets, explain: githubExplain,
				badSecret: func(_ int, code, _ string) bool { return code == "incorrect_client_credentials" }},
		}, nil
	},
})

// checkOwnAPI accepts an origin of your own with a path.
func checkOwnAPI(value string) string {
	if why := checkIssuer(value); why != "" {
		return why
	}
	u, err := url.Parse(value)
	if err != nil || strings.HasSuffix(value, "/") {
		return "must not end in a slash"
	}
	return checkOwnOrigin(u.Scheme + "://" + u.Host)
}

// github speaks plain OAuth 2: there is no ID token, so the API identifies the person.
type github struct {
	env                  Env
	connection, clientID string
	web, api             string
	exchanger            *exchanger
}

// Begin redirects the browser to GitHub, which cannot be asked for a fresh sign-in.
func (g *github) Begin(_ context.Context, t broker.UpstreamRequest) (broker.Redirect, error) {
	config := oauth2.Config{ClientID: g.clientID, RedirectURL: t.Callback, Scopes: []string{"read:user", "user:email"},
		Endpoint: oauth2.Endpoint{AuthURL: g.web + "/login/oauth/authorize"}}
	words := url.Values{"login": {t.LoginHint}}
	if t.Choose || t.Fresh {
		words.Set("prompt", broker.PromptSelect)
	}
	options := append(params(words),
		//defence:B2 = oauth2.AccessTypeOnline
		oauth2.S256ChallengeOption(t.Verifier))
	return broker.Redirect{URL: config.AuthCodeURL(t.State, options...)}, nil
}

// Finish redeems the code and asks the API for its user.
func (g *github) Finish(ctx context.Context, t broker.UpstreamRequest, answer url.Values) (broker.Claims, error) {
	if iss := answer.Get("iss"); iss != "" && iss != g.web+"/login/oauth" {
		return broker.Claims{}, broker.UpstreamRejected.Because(errors.New("the response is from another issuer"))
	}
	code, err := codeIn(answer, githubExplain)
	if err != nil {
		return broker.Claims{}, err
	}
	token, err := g.exchanger.redeem(ctx, g.web+"/login/oauth/access_token", t, code, inForm)
	if err != nil {
		return broker.Claims{}, err
	}
	body, _, err := g.env.fetch(ctx, "github: user", g.api+"/user", token.AccessToken, maxProfile)
	if err != nil {
		return broker.Claims{}, err
	}
	user, err := parseDocument(body)
	if err != nil {
		return broker.Claims{}, broker.UpstreamRejected.Because(fmt.Errorf("github: user: %w", err))
	}
	list, err := g.emails(ctx, token.AccessToken)
	if err != nil {
		return broker.Claims{}, err
	}
	return g.person(user, list)
}

// person builds claims from a user and the user's list of addresses.
func (g *github) person(user document, emails []any) (broker.Claims, error) {
	c := broker.Claims{Connection: g.connection, Issuer: g.web, Name: user.name("name"), Email: primary(emails)}
	// The number is permanent; a login name can be given up and taken by another person.
	number, _ := user["id"].(json.Number)
	id, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || id <= 0 {
		return broker.Claims{}, broker.UpstreamRejected.Because(errors.New("github: the user has no id"))
	}
	c.Subject = strconv.FormatInt(id, 10)
	if c.Email != "" {
		c.Level = broker.EmailVerified
	}
	return c, nil
}

// read takes a user with "emails" added, the response of /user/emails.
func (g *github) read(d document) (broker.Claims, error) {
	list, _ := d["emails"].([]any)
	return g.person(d, list)
}

// emails returns the user's addresses, none if the scope was not granted.
func (g *github) emails(ctx context.Context, token string) ([]any, error) {
	body, _, err := g.env.fetch(ctx, "github: emails", g.api+"/user/emails", token, maxProfile)
	if errors.Is(err, broker.UpstreamRejected) { // the scope was not granted
		g.env.Log.InfoContext(ctx, "github: cannot read the addresses; the scope user:email was not granted", "error",
			err.Error())
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(body)
	if err != nil {
		return nil, broker.UpstreamRejected.Because(fmt.Errorf("github: emails: %w", err))
	}
	list, _ := v.([]any)
	return list, nil
}

// primary returns the primary address if it is verified. The profile's own address is unverified and is not
// read.
func primary(emails []any) string {
	for _, e := range emails {
		d, _ := e.(document)
		if address := d.email("email"); d["primary"] == true && d["verified"] == true &&
			!strings.HasSuffix(address, "@users.noreply.github.com") {
			return address
		}
	}
	return ""
}

func githubExplain(code, description string, answer url.Values) broker.Code {
	switch code {
	case "bad_verification_code":
		return broker.StateInvalid
	case "application_suspended", "incorrect_client_credentials":
		return broker.UpstreamMisconfigured
	}
	return standardCode(code, description, answer)
}
