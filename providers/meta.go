package providers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"gatehouse/broker"
)

const (
	facebookWeb   = "https://www.facebook.com"
	facebookGraph = "https://graph.facebook.com"
	// graphVersion is the version used if the connection names none. Facebook retires a version about two years
	// after its release, and serves calls to a retired one with the oldest version still supported.
	graphVersion = "v25.0"
)

var _ = register(Kind{
	Name: "meta", Label: "Facebook", Icon: "facebook",
	Fields: []Field{
		{Key: keyClientID, Label: "App ID", Required: true, Check: checkDigits},
		{Key: keyClientSecret, Label: "App secret", Required: true, Secret: true,
			Help: "Turn on “Require App Secret”. Two may be live at a time."},
		{Key: "version", Label: "Graph API version", Default: graphVersion, Free: true, Check: checkVersion,
			Help: "A version lives about two years. " +
				"Look at Facebook's changelog once a year and raise it here before it expires."},
		{Key: "config_id", Label: "Configuration ID", Free: true, Check: checkDigits,
			Help: "Of Facebook Login for Business. Its permissions replace those that Gatehouse asks for; include email."},
		fieldOrigin("authority", "Dialog", facebookWeb), fieldOrigin("graph_url", "Graph API", facebookGraph),
	},
	check: func(c broker.Connection) []string {
		if (c.Settings["authority"] == "") != (c.Settings["graph_url"] == "") {
			return []string{"set both authority and graph_url, or neither"}
		}
		return nil
	},
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		version := "/" + setting(c, "version", graphVersion)
		return &meta{
			env: env, connection: c.ID, appID: c.ClientID, secrets: c.Secrets, config: c.Settings["config_id"],
			web: setting(c, "authority", facebookWeb) + version, graph: setting(c, "graph_url", facebookGraph) + version,
			exchanger: &exchanger{client: env.HTTP, id: c.ClientID, secrets: c.Secrets,
				refused: graphRefusal, explain: graphExplain, badSecret: graphBadSecret},
		}, nil
	},
})

func checkDigits(value string) string {
	if strings.Trim(value, "0123456789") != "" || len(value) > 40 {
		return "must be a number"
	}
	return ""
}

var graphVersions = regexp.MustCompile(`^v[1-9][0-9]{1,2}\.[0-9]$`)

func checkVersion(value string) string {
	if !graphVersions.MatchString(value) {
		return "must be a version such as " + graphVersion
	}
	return ""
}

// meta is Facebook Login: plain OAuth 2, where the Graph API identifies the person.
type meta struct {
	env               Env
	connection, appID string
	secrets           []broker.Secret
	web, graph        string // with the version
	config            string // of Facebook Login for Business, empty for none
	exchanger         *exchanger
}

// issuer includes the app id, because the ids of people are specific to an app.
func (f *meta) issuer() string { return "facebook:" + f.appID }

// Begin redirects the browser to Facebook's dialog.
func (f *meta) Begin(_ context.Context, t broker.UpstreamRequest) (broker.Redirect, error) {
	config := oauth2.Config{ClientID: f.appID, RedirectURL: t.Callback, Scopes: []string{"public_profile", "email"},
		Endpoint: oauth2.Endpoint{AuthURL: f.web + "/dialog/oauth"}}
	var types []string
	if t.Rerequest {
		types = append(types, "rerequest")
	}
	if t.Fresh || t.MaxAge != nil && *t.MaxAge <= 0 {
		types = append(types, "reauthenticate")
	}
	words := url.Values{"auth_type": {strings.Join(types, ",")}, "config_id": {f.config}}
	if f.config != "" {
		config.Scopes = nil
	}
	if lang, region, ok := strings.Cut(t.Locale, "-"); ok && len(lang) == 2 && len(region) == 2 {
		words.Set("locale", lang+"_"+region)
	}
	options := append(params(words),
		//defence:B2 = oauth2.AccessTypeOnline
		oauth2.S256ChallengeOption(t.Verifier))
	return broker.Redirect{URL: config.AuthCodeURL(t.State, options...)}, nil
}

// Finish redeems the code and loads the person. It also checks that the token was issued to this app for that
// person: a token issued to another app proves nothing.
func (f *meta) Finish(ctx context.Context, t broker.UpstreamRequest, answer url.Values) (broker.Claims, error) {
	if answer.Has("iss") && answer.Get("iss") != facebookWeb {
		return broker.Claims{}, broker.UpstreamRejected.Because(errors.New("the response is from another issuer"))
	}
	code, err := codeIn(answer, graphExplain)
	if err != nil {
		return broker.Claims{}, err
	}
	g, err := f.exchanger.redeem(ctx, f.graph+"/oauth/access_token", t, code, inForm)
	if err != nil {
		return broker.Claims{}, err
	}
	query := url.Values{"fields": {"id,name,first_name,last_name,email"}, "appsecret_proof": {proof(g)}}
	me, err := f.call(ctx, "me", query, g.AccessToken)
	if err != nil {
		return broker.Claims{}, err
	}
	scopes, err := f.inspect(ctx, g, me.subject("id"))
	if err != nil {
		return broker.Claims{}, err
	}
	if !slices.Contains(scopes, "email") { // the permission may be declined, or withdrawn later
		delete(me, "email")
	}
	return f.read(me)
}

// read builds claims from the response of /me.
func (f *meta) read(me document) (broker.Claims, error) {
	c := broker.Claims{Connection: f.connection, Issuer: f.issuer(), Subject: me.subject("id"), Email: me.email("email"),
		Name: me.name("name"), GivenName: me.name("first_name"), FamilyName: me.name("last_name")}
	c.Level = assertedLevel(c.Email)
	return c, nil
}

// proof shows that the caller knows the app's secret, so that a stolen token alone is useless.
func proof(g grant) string {
	mac := hmac.New(sha256.New, []byte(g.secret.Reveal()))
	mac.Write([]byte(g.AccessToken))
	return hex.EncodeToString(mac.Sum(nil))
}

// inspect checks that a token is for this app and this person, and returns the granted scopes.
func (f *meta) inspect(ctx context.Context, g grant, id string) ([]string, error) {
	d, err := f.call(ctx, "debug_token", url.Values{"input_token": {g.AccessToken}}, f.appID+"|"+g.secret.Reveal())
	if err != nil {
		return nil, err
	}
	data, _ := d["data"].(document)
	if checkDigits(id) != "" || id == "" || data["is_valid"] != true ||
		//defence:B12
		fmt.Sprint(data["app_id"]) != f.appID ||
		fmt.Sprint(data["user_id"]) != id {
		return nil, broker.UpstreamRejected.Because(errors.New("facebook: the token is for another app or person"))
	}
	return data.texts("scopes"), nil
}

// call sends a GET request to the Graph API.
func (f *meta) call(ctx context.Context, path string, query url.Values, bearer string) (document, error) {
	status, body, header, err := f.env.ask(ctx, "facebook: "+path, f.graph+"/"+path+"?"+query.Encode(), bearer, maxProfile)
	if err != nil {
		return nil, err
	}
	// Facebook serves calls to a retired version with another one, and says so only here.
	if served := header.Get("Facebook-Api-Version"); served != "" && !strings.HasSuffix(f.graph, "/"+served) {
		f.env.Log.WarnContext(ctx, "facebook: the configured Graph API version has expired; set a newer version", "served",
			oneLine(served))
	}
	d, err := parseDocument(body)
	if status == 200 && err == nil && d["error"] == nil {
		return d, nil
	}
	if code, message := graphError(d); code != "" {
		return nil, graphExplain(code, message, nil).Because(providerError(code, message, bearer, query.Get("input_token"),
			query.Get("appsecret_proof")))
	}
	if busy(status) {
		return nil, broker.ConnectionUnavailable.Because(fmt.Errorf("facebook: %s: status %d", path, status))
	}
	return nil, broker.UpstreamRejected.Because(fmt.Errorf("facebook: %s: status %d: %w", path, status,
		errors.Join(err, errors.New("unexpected form"))))
}

// graphError reads the Graph API's own error format: "code" or "code/subcode".
func graphError(d document) (code, message string) {
	e, _ := d["error"].(document)
	number, _ := e["code"].(json.Number)
	code = number.String()
	if sub, ok := e["error_subcode"].(json.Number); ok {
		code += "/" + sub.String()
	}
	message, _ = e["message"].(string)
	return code, message
}

func graphRefusal(r *oauth2.RetrieveError) (code, description string) {
	d, err := parseDocument(r.Body)
	if err != nil {
		return "", ""
	}
	return graphError(d)
}

func graphBadSecret(_ int, code, message string) bool {
	return code == "1" && strings.Contains(message, "secret") || strings.Contains(message, "client secret")
}

// graphExplain maps the error codes of the Graph API and of the dialog.
func graphExplain(code, message string, answer url.Values) broker.Code {
	number, sub, _ := strings.Cut(code, "/")
	switch {
	case sub == "36007" || sub == "36009": // the code is too old, or was used
		return broker.StateInvalid
	case number == "2" || number == "4" || number == "17" || number == "32" || number == "341": // down, or too many calls
		return broker.ConnectionUnavailable
	case number == "1" || number == "101" || number == "191" || number == "2635" ||
		strings.Contains(message, "appsecret_proof"):
		return broker.UpstreamMisconfigured
	}
	return standardCode(code, message, answer)
}
