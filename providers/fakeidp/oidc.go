package fakeidp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// algorithms are those of the JOSE registry that Options.Alg may name.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	"Ed25519"}

// mountOIDC simulates a standard OpenID Provider, with RFC 9207.
func (s *Server) mountOIDC() {
	if s.opts.Alg != "" {
		s.keys.alg = s.opts.Alg
	}
	if !slices.Contains(algorithms, s.keys.alg) {
		panic("fakeidp: unknown algorithm " + s.keys.alg)
	}
	s.provider = provider{
		label: "OpenID Provider", formPost: true, issuesIss: true,
		cancelled: OAuthError{"access_denied", "The person cancelled."},
		check:     oidcCheck,
		idToken:   s.oidcIDToken,
		profile: func(g *grant) map[string]any {
			claims := oidcProfile(g)
			claims["sub"] = g.persona.Subject
			return claims
		},
	}
	root := strings.TrimSuffix(s.opts.IssuerPath, "/")
	s.handle("GET "+root+"/.well-known/openid-configuration", AtDiscovery, s.oidcDiscovery)
	s.handle("GET "+root+"/jwks", AtJWKS, s.jwks)
	s.mountAuthorize(root+"/authorize", nil)
	s.handle("POST "+root+"/token", AtToken, s.token)
	s.handle("POST "+root+"/par", AtPAR, s.push)
	s.handle("GET "+root+"/userinfo", AtUserInfo, s.userInfo)
	s.handle("POST "+root+"/userinfo", AtUserInfo, s.userInfo)
	s.handle("GET "+root+"/end_session", AtEndSession, s.endSession)
	s.handle("POST "+root+"/end_session", AtEndSession, s.endSession)
}

// Issuer returns the issuer in the discovery document. For Microsoft it is the multi-tenant template; it is
// empty for a kind without discovery.
func (s *Server) Issuer() string { return s.issuer() }

func (s *Server) issuer() string {
	switch s.opts.Kind {
	case KindOIDC:
		return s.opts.BaseURL + s.opts.IssuerPath
	case KindADFS:
		return s.opts.BaseURL + "/adfs"
	case KindMicrosoft:
		return s.entraIssuer(templatedIssuer)
	case KindGoogle, KindApple, KindLinkedIn:
		return s.opts.BaseURL
	}
	return ""
}

func (s *Server) oidcDiscovery(c *call) {
	root := s.opts.BaseURL + strings.TrimSuffix(s.opts.IssuerPath, "/")
	c.json(http.StatusOK, map[string]any{
		"issuer":                                s.issuer(),
		"authorization_endpoint":                root + "/authorize",
		"token_endpoint":                        root + "/token",
		"userinfo_endpoint":                     root + "/userinfo",
		"jwks_uri":                              root + "/jwks",
		"end_session_endpoint":                  root + "/end_session",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"grant_types_supported":                 []string{"authorization_code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{s.keys.alg},
		"token_endpoint_auth_methods_supported": s.authMethods(),
		"pushed_authorization_request_endpoint": root + "/par",
		"require_pushed_authorization_requests": s.opts.RequirePAR,
		"scopes_supported":                      []string{"openid", "profile", "email"},
		"claims_supported": []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "amr", "name",
			"given_name",
			"family_name", "preferred_username", "email", "email_verified"},
		"code_challenge_methods_supported":               []string{"S256"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (s *Server) authMethods() []string {
	if s.opts.ClientAuth != "" {
		return []string{s.opts.ClientAuth}
	}
	return []string{"client_secret_basic", "client_secret_post"}
}

func oidcCheck(a *authRequest) *OAuthError {
	if !a.scope("openid") {
		return &OAuthError{"invalid_scope", "The scope must have openid."}
	}
	return nil
}

func (s *Server) oidcIDToken(c *call, g *grant, access string) map[string]any {
	claims := oidcProfile(g)
	claims["at_hash"] = atHash(s.keys.alg, access)
	if c.fault.tellsAuthTime(g.request.form.Has("max_age")) {
		claims["auth_time"] = g.authTime.Unix()
	}
	claims["amr"] = []string{"pwd"}
	claims["sid"] = g.sid
	return claims
}

func oidcProfile(g *grant) map[string]any {
	p, claims := g.persona, map[string]any{}
	if g.request.scope("email") && p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, p.EmailVerified
	}
	if g.request.scope("profile") {
		put(claims, "name", p.Name)
		put(claims, "given_name", p.GivenName)
		put(claims, "family_name", p.FamilyName)
		claims["preferred_username"] = p.Login
	}
	return claims
}

// endSession shows the signed-out page, or redirects to a registered address. It keeps no session to end.
func (s *Server) endSession(c *call) {
	target := c.r.Form.Get("post_logout_redirect_uri")
	if target == "" || !slices.Contains(s.opts.PostLogoutRedirectURIs, target) {
		c.message(http.StatusOK, "You are signed out", "You can close this page.")
		return
	}
	if state := c.r.Form.Get("state"); state != "" {
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		target += separator + url.Values{"state": {state}}.Encode()
	}
	c.w.Header().Set("Location", target)
	c.w.WriteHeader(http.StatusFound)
}
