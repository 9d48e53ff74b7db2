package fakeidp

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionType is the type of a client assertion (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// SetClientKeys registers the client's JWK Set, for private_key_jwt. It panics on malformed JSON.
func (s *Server) SetClientKeys(set []byte) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		panic("fakeidp: client keys: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientKeys = keys
}

// wrongMethod reports whether the client authenticated by another method than Options.ClientAuth.
func (c *call) wrongMethod() bool {
	_, _, basic := c.r.BasicAuth()
	used := map[string]bool{"client_secret_basic": basic, "client_secret_post": c.r.Form.Get("client_secret") != "",
		"private_key_jwt": c.r.Form.Get("client_assertion") != ""}
	return c.opts.ClientAuth != "" && !used[c.opts.ClientAuth]
}

// assertionProblem checks a client assertion (RFC 7523 §3) and returns what is wrong with it, "" if nothing is.
func (c *call) assertionProblem() string {
	raw := c.r.Form.Get("client_assertion")
	if c.r.Form.Get("client_assertion_type") != assertionType {
		return whySecret
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"})
	if err != nil || len(token.Headers) != 1 {
		return whySecret
	}
	c.mu.Lock()
	keys := c.clientKeys
	c.mu.Unlock()
	var claims jwt.Claims
	verified := slices.ContainsFunc(keys.Key(token.Headers[0].KeyID),
		func(k jose.JSONWebKey) bool { return token.Claims(k, &claims) == nil })
	root := c.opts.BaseURL + strings.TrimSuffix(c.opts.IssuerPath, "/")
	atToken := c.r.URL.Path == c.opts.IssuerPath+"/token"
	audience := len(claims.Audience) == 1 &&
		(atToken && claims.Audience[0] == root+"/token" || claims.Audience[0] == c.issuer())
	now := c.opts.Now()
	if !verified || claims.Issuer != c.opts.ClientID || claims.Subject != c.opts.ClientID || !audience ||
		claims.Expiry == nil || claims.Expiry.Time().Sub(now) > 10*time.Minute || now.After(claims.Expiry.Time()) {
		return whySecret
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if claims.ID == "" || c.assertions[claims.ID] {
		return whySecret
	}
	c.assertions[claims.ID] = true
	return ""
}

// push stores an authorization request (RFC 9126).
func (s *Server) push(c *call) {
	if why := c.clientProblem(); why != "" {
		e := c.own(OAuthError{"invalid_client", why})
		c.refuseToken(http.StatusUnauthorized, e)
		return
	}
	reference := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	form := copyValues(c.r.PostForm)
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	form.Set("client_id", s.opts.ClientID)
	s.mu.Lock()
	s.pushed[reference] = form
	s.mu.Unlock()
	c.json(http.StatusCreated, map[string]any{"request_uri": reference, "expires_in": 60})
}

// pushedForm returns the parameters of an authorization request, which may refer to a pushed one.
func (c *call) pushedForm(form url.Values) (url.Values, bool) {
	reference := form.Get("request_uri")
	if reference == "" {
		return form, !c.opts.RequirePAR
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	stored, known := c.pushed[reference]
	return copyValues(stored), known
}
