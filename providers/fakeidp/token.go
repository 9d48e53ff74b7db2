package fakeidp

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// Reasons for a refusal, in plain English; a kind may have its own texts (provider.explain).
const (
	whyClient       = "The client is unknown."
	whySecret       = "The client credentials are wrong."
	whyTwice        = "The client authenticated in two ways."
	whyGrant        = "Only authorization_code is supported."
	whyCode         = "The authorization code is unknown."
	whyUsed         = "The authorization code was already redeemed."
	whyExpired      = "The authorization code has expired."
	whyRedirect     = "The redirect_uri is not that of the authorization request."
	whyVerifier     = "The code_verifier does not match the code_challenge."
	whyUnregistered = "The redirect_uri is not registered for this client."
	whyPrompt       = "This prompt is not supported."
	whyNoUser       = "No user is signed in."
)

// token redeems a code for an access token and, if openid was requested, an ID token.
func (s *Server) token(c *call) {
	g, e := c.redeem()
	if e != nil {
		status := http.StatusBadRequest
		if e.Code == "invalid_client" || e.Code == "unauthorized_client" {
			status = http.StatusUnauthorized
		}
		c.refuseToken(status, *e)
		return
	}
	access := s.issueToken(g)
	document := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()),
		"scope": strings.Join(g.request.scopes, " "),
	}
	if s.provider.tokens != nil {
		s.provider.tokens(g, document)
	}
	if s.provider.idToken != nil && g.request.scope("openid") {
		id, err := s.mint(c.fault, "JWT", c.idClaims(g, access))
		if err != nil {
			c.serverError(err)
			return
		}
		document["id_token"] = id
	}
	c.json(http.StatusOK, document)
}

// idClaims returns the claims of an ID token before any fault.
func (c *call) idClaims(g *grant, access string) map[string]any {
	now := c.opts.Now()
	claims := map[string]any{
		"iss": c.issuer(), "aud": c.opts.ClientID, "sub": g.persona.Subject, "iat": now.Unix(),
		"exp": now.Add(tokenLife).Unix(),
	}
	put(claims, "nonce", g.request.form.Get("nonce"))
	override(claims, c.provider.idToken(c, g, access))
	override(claims, g.persona.Claims)
	return claims
}

func (c *call) refuseToken(status int, e OAuthError) {
	if c.fails(c.instead) {
		return
	}
	if c.provider.refuse != nil {
		c.provider.refuse(c, status, e)
		return
	}
	if status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	}
	document := map[string]any{"error": e.Code}
	put(document, "error_description", e.Description)
	c.send(status, document)
}

// redeem authenticates the client and consumes the code.
func (c *call) redeem() (*grant, *OAuthError) {
	if c.fault.TokenError.Code != "" {
		e := c.fault.TokenError
		return nil, &e
	}
	say := func(code, why string) (*grant, *OAuthError) {
		e := c.own(OAuthError{code, why})
		return nil, &e
	}
	form := c.r.Form
	// Facebook and GitHub support only this grant and let the client omit its name.
	if grantType := form.Get("grant_type"); grantType != "authorization_code" &&
		(grantType != "" || c.provider.idToken != nil) {
		return say("unsupported_grant_type", whyGrant)
	}
	if why := c.clientProblem(); why != "" {
		c.instead = c.fault.WrongSecret
		code := "invalid_client"
		if why == whySecret && c.opts.keycloak() {
			code = "unauthorized_client"
		}
		if why == whyTwice {
			code = "invalid_request"
		}
		return say(code, why)
	}
	g, why := c.take(form.Get("code"), c.fault.ReplayCodes)
	if why == whyCode {
		c.instead = c.fault.UnknownCode
	}
	if why == "" && form.Get("redirect_uri") != g.request.redirectURI {
		why = whyRedirect
	}
	if why == "" && !c.fault.IgnorePKCE && !verifies(form.Get("code_verifier"), g.request.form.Get("code_challenge")) {
		why = whyVerifier
	}
	if why != "" {
		return say("invalid_grant", why)
	}
	return g, nil
}

// clientProblem authenticates the client by Basic or form (RFC 6749 §2.3.1) and returns why that failed, "" if
// not.
func (c *call) clientProblem() string {
	id, secret := c.r.Form.Get("client_id"), c.r.Form.Get("client_secret")
	switch {
	case c.wrongMethod(), c.opts.Kind == KindLinkedIn && c.r.Header.Get("Authorization") != "":
		return whySecret
	case c.opts.Kind == KindApple:
		return c.appleSecretProblem()
	case c.r.Form.Get("client_assertion") != "":
		return c.assertionProblem()
	}
	if user, password, basic := c.r.BasicAuth(); basic {
		if secret != "" {
			return whyTwice
		}
		var errID, errSecret error
		id, errID = url.QueryUnescape(user)
		secret, errSecret = url.QueryUnescape(password)
		if errID != nil || errSecret != nil {
			return whySecret
		}
	}
	switch {
	case id != c.opts.ClientID:
		return whyClient
	case c.fault.RefuseSecret || secret != c.opts.ClientSecret:
		return whySecret
	}
	return ""
}

// verifies checks a code_verifier for S256 (RFC 7636 §4.6). Without a challenge there must be no verifier.
func verifies(verifier, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// userInfo sends the claims of the person behind an access token.
func (s *Server) userInfo(c *call) {
	token, _ := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	g, ok := s.bearer(token)
	if !ok {
		c.w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		c.send(http.StatusUnauthorized, map[string]any{"error": "invalid_token",
			"error_description": "The access token is unknown or has expired."})
		return
	}
	document := s.provider.profile(g)
	override(document, g.persona.Claims)
	if !s.opts.SignedUserInfo {
		c.json(http.StatusOK, document)
		return
	}
	document["iss"], document["aud"] = c.issuer(), c.opts.ClientID
	override(document, c.fault.Documents[c.at])
	signed := *c.fault
	signed.Claims = nil // they are the ID token's
	jwt, err := s.mint(&signed, "", document)
	if err != nil {
		c.serverError(err)
		return
	}
	c.sendBytes(http.StatusOK, "application/jwt", []byte(jwt))
}
