package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// clientVariant is a kind of app: how it begins, how it authenticates, and
// what its access tokens are.
type clientVariant struct {
	name         string
	client       string
	secret       string            // none where it signs, or is public
	signs        *ecdsa.PrivateKey // its assertions (private_key_jwt)
	authenticate *ecdsa.PrivateKey // its DPoP proofs
	jwt          bool
	pushed       bool // its requests go through /par
	posted       bool // its answers are form_post
	asks         bool // a person is asked for consent
}

// clusterAPI is the audience of the access tokens of public apps.
const clusterAPI = "api"

// plain is the default app of a cell.
func plain() clientVariant {
	return clientVariant{name: "opaque Bearer token", client: "app", secret: clusterSecret}
}

// variants registers an app of each kind.
func (q *cluster) variants() []clientVariant {
	q.t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			q.t.Fatal(err)
		}
		return k
	}
	all := []clientVariant{
		plain(),
		{name: "JWT, pushed", client: "jwt", secret: clusterSecret, jwt: true, pushed: true},
		{name: "opaque, DPoP, private_key_jwt, pushed", client: "keyed", signs: key(), authenticate: key(), pushed: true},
		{name: "JWT, DPoP, private_key_jwt, form_post", client: "bound", signs: key(), authenticate: key(), jwt: true,
			posted: true},
		{name: "public, DPoP", client: "spa", authenticate: key()},
		{name: "public, JWT, pushed", client: "spa-jwt", jwt: true, pushed: true},
	}
	api := broker.Client{ID: clusterAPI, Name: "API", AuthMethods: []string{"client_secret_basic"}, IDTokenAlg: "RS256",
		RedirectURIs: []string{clusterApp}, Scopes: []string{"openid"},
		GrantTypes: []string{"authorization_code"}, CreatedAt: q.clock.now(), UpdatedAt: q.clock.now()}
	if err := q.h.addClient(q.ctx, api, clusterSecret); err != nil {
		q.t.Fatal(err)
	}
	for _, g := range all[1:] {
		c := broker.Client{ID: g.client, Name: "App " + g.client, FirstParty: true, JWTAccess: g.jwt, PushedOnly: g.pushed,
			DPoPBound:  g.authenticate != nil,
			IDTokenAlg: "RS256", RedirectURIs: []string{clusterApp}, Scopes: []string{"openid", "profile", "email",
				"offline_access"},
			GrantTypes: []string{"authorization_code", "refresh_token", grantDevice}, CreatedAt: q.clock.now(),
			UpdatedAt: q.clock.now()}
		switch {
		case g.signs != nil:
			set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: g.signs.Public(), KeyID: "k"}}})
			if err != nil {
				q.t.Fatal(err)
			}
			c.AuthMethods, c.Keys = []string{"private_key_jwt"}, string(set)
		case g.secret != "":
			c.AuthMethods = []string{"client_secret_basic"}
		default:
			c.AuthMethods, c.Audience = []string{"none"}, []string{clusterAPI}
		}
		if !c.Public() {
			c.GrantTypes = append(c.GrantTypes, "client_credentials")
		}
		if err := q.h.addClient(q.ctx, c, g.secret); err != nil {
			q.t.Fatal(err)
		}
	}
	return append(all, q.registered(clientVariant{name: "registered by itself", asks: true}),
		q.registered(clientVariant{name: "registered by itself, DPoP, pushed, form_post", asks: true, authenticate: key(),
			pushed: true, posted: true}))
}

// registered has an app of the variant register itself.
func (q *cluster) registered(g clientVariant) clientVariant {
	q.t.Helper()
	token, err := clients.NewInitialToken(q.h.keyring, q.clock.now().Add(time.Hour), 1)
	if err != nil {
		q.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"redirect_uris": []string{clusterApp}, "client_name": "App of its own",
		"dpop_bound_access_tokens":              g.authenticate != nil,
		"require_pushed_authorization_requests": g.pushed, "grant_types": []string{"authorization_code", "refresh_token",
			grantDevice}})
	if err != nil {
		q.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, q.file.Issuer+"/register", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	rec := httptest.NewRecorder()
	q.replicas[0].ServeHTTP(rec, r)
	var said struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &said); err != nil || said.Secret == "" {
		q.t.Fatalf("%d %s, %v", rec.Code, rec.Body, err)
	}
	g.client, g.secret = said.ID, said.Secret
	return g
}

// machine reports whether the app may use client_credentials.
func (g clientVariant) machine() bool { return !g.asks && (g.secret != "" || g.signs != nil) }

// signed is a JWT by one of the app's keys.
func (c *cell) signed(key *ecdsa.PrivateKey, o *jose.SignerOptions, claims map[string]any) string {
	c.t.Helper()
	claims["jti"], claims["iat"] = broker.NewToken(), c.q.clock.now().Unix()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, o)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		c.t.Fatal(err)
	}
	jws, err := signer.Sign(b)
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// shows puts an access token on a request, as Bearer or with a DPoP proof.
func (c *cell) shows(r *http.Request, token string) {
	if c.app.authenticate == nil {
		r.Header.Set("Authorization", "Bearer "+token)
		return
	}
	sum := sha256.Sum256([]byte(token))
	r.Header.Set("Authorization", "DPoP "+token)
	c.withProof(r, map[string]any{"ath": base64.RawURLEncoding.EncodeToString(sum[:])})
}

// withProof adds a proof, where the app has a key.
func (c *cell) withProof(r *http.Request, claims map[string]any) {
	if c.app.authenticate == nil {
		return
	}
	claims["htm"], claims["htu"] = r.Method, c.q.file.Issuer+r.URL.Path
	o := (&jose.SignerOptions{}).WithType("dpop+jwt").WithHeader("jwk", jose.JSONWebKey{Key: c.app.authenticate.Public()})
	r.Header.Set("DPoP", c.signed(c.app.authenticate, o, claims))
}

// authenticates adds the app's authentication, in the form or in a header.
func (c *cell) authenticates(r *http.Request, form url.Values) {
	switch g := c.app; {
	case g.signs != nil:
		form.Set("client_id", g.client)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.signed(g.signs, (&jose.SignerOptions{}).WithHeader("kid", "k"),
			map[string]any{"iss": g.client, "sub": g.client,
				"aud": c.q.file.Issuer, "exp": c.q.clock.now().Add(time.Minute).Unix()}))
	case g.secret != "":
		r.SetBasicAuth(g.client, g.secret)
	default:
		form.Set("client_id", g.client)
	}
}

// pushes sends a pushed authorization request and returns its request_uri.
func (c *cell) pushes(request url.Values) url.Values {
	c.t.Helper()
	pairs := []string{}
	for name := range request {
		pairs = append(pairs, name, request.Get(name))
	}
	status, doc := c.call("/par", "", pairs...)
	if status != http.StatusCreated {
		c.t.Fatalf("%s: /par answers %d %v", c.app.name, status, doc)
	}
	return url.Values{"client_id": {c.app.client}, "request_uri": {doc["request_uri"].(string)}}
}

var postedCode = regexp.MustCompile(`name="code" value="([^"]+)"`)

// hears keeps the code of a response that a page of ours posts to the app.
func (c *cell) hears(rec *httptest.ResponseRecorder) {
	if body := rec.Body.String(); strings.Contains(body, `action="`+clusterApp+`"`) {
		if code := postedCode.FindStringSubmatch(body); code != nil {
			c.codes = append(c.codes, code[1])
		}
	}
}

// fits checks an access token against the variant of its app.
func (c *cell) fits(what string, doc map[string]any) {
	c.t.Helper()
	token, _ := doc["access_token"].(string)
	parts := strings.Split(token, ".")
	want := map[bool]string{true: "DPoP", false: "Bearer"}[c.app.authenticate != nil]
	if token == "" || doc["token_type"] != want || (len(parts) == 3) != c.app.jwt {
		c.t.Fatalf("%s, %s: %v", c.app.name, what, doc)
	}
	if !c.app.jwt {
		return
	}
	// An API that only verifies the signature accepts it for ten minutes and no longer.
	var head struct{ Typ string }
	var said struct{ Iat, Exp int64 }
	for i, into := range []any{&head, &said} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	if head.Typ != "at+jwt" || said.Exp-said.Iat != int64(broker.AccessLife/time.Second) {
		c.t.Errorf("%s, %s: %+v %+v", c.app.name, what, head, said)
	}
}

// userinfo sends an access token in a header, by GET and by POST, and returns the
// methods that succeed.
func (c *cell) userinfo(token string) (works []string) {
	c.t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r, err := http.NewRequest(method, c.q.file.Issuer+"/userinfo", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.shows(r, token)
		res, err := c.RoundTrip(r)
		if err != nil {
			c.t.Fatal(err)
		}
		res.Body.Close()
		switch res.StatusCode {
		case http.StatusOK:
			works = append(works, method)
		case http.StatusUnauthorized:
		default:
			c.t.Errorf("userinfo: %d", res.StatusCode)
		}
	}
	return works
}

// active calls the introspection endpoint: as the app, or as the API that the token
// is for, where the app is public and may not ask.
func (c *cell) active(token string) bool {
	c.t.Helper()
	app := c.app
	defer func() { c.app = app }()
	if app.secret == "" && app.signs == nil {
		c.app = clientVariant{client: clusterAPI, secret: clusterSecret}
	}
	status, doc := c.call("/introspect", "", "token", token)
	if status != http.StatusOK {
		c.t.Errorf("introspect: %d %v", status, doc)
	}
	return doc["active"] == true
}
