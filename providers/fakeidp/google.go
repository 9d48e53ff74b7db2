package fakeidp

import (
	"net/url"
	"strings"
)

// mountGoogle simulates Google on one origin; the real one uses three.
func (s *Server) mountGoogle() {
	s.provider = provider{
		label: "Google", formPost: true, tokenPrefix: "ya29.",
		prompts:   []string{"none", "consent", "select_account"},
		cancelled: OAuthError{Code: "access_denied"},
		members:   googleMembers,
		explain:   googleExplains,
		idToken:   s.googleIDToken,
		profile: func(g *grant) map[string]any {
			claims := s.googleProfile(g)
			claims["sub"] = g.persona.Subject
			return claims
		},
	}
	s.handle("GET /.well-known/openid-configuration", AtDiscovery, s.googleDiscovery)
	s.handle("GET /oauth2/v3/certs", AtJWKS, s.jwks)
	s.mountAuthorize("/o/oauth2/v2/auth", nil)
	s.handle("POST /token", AtToken, s.token)
	s.handle("GET /v1/userinfo", AtUserInfo, s.userInfo)
	s.handle("POST /v1/userinfo", AtUserInfo, s.userInfo)
	s.handle("POST /revoke", AtRevoke, s.revoke)
}

func (s *Server) googleDiscovery(c *call) {
	base := s.opts.BaseURL
	c.w.Header().Set("Cache-Control", "public, max-age=3600")
	c.json(200, map[string]any{
		"issuer":                                base,
		"authorization_endpoint":                base + "/o/oauth2/v2/auth",
		"token_endpoint":                        base + "/token",
		"userinfo_endpoint":                     base + "/v1/userinfo",
		"revocation_endpoint":                   base + "/revoke",
		"jwks_uri":                              base + "/oauth2/v3/certs",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "email", "profile"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"claims_supported": []string{"aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss",
			"name", "picture", "sub"},
		"code_challenge_methods_supported": []string{"S256"},
		"grant_types_supported":            []string{"authorization_code"},
	})
}

// googleMembers are added to the code in Google's response.
func googleMembers(g *grant) map[string]any {
	members := map[string]any{"scope": strings.Join(g.request.scopes, " "), "authuser": "0", "prompt": "none"}
	put(members, "hd", g.persona.HostedDomain)
	return members
}

// googleIDToken adds Google's claims. azp is the client, because a Google project here has one client.
func (s *Server) googleIDToken(c *call, g *grant, access string) map[string]any {
	claims := s.googleProfile(g)
	claims["azp"] = s.opts.ClientID
	claims["at_hash"] = atHash("RS256", access)
	if c.fault.tellsAuthTime(false) && g.request.claimsIDToken("auth_time") {
		claims["auth_time"] = g.authTime.Unix()
	}
	if s.opts.LegacyIssuer {
		if issuer, err := url.Parse(s.opts.BaseURL); err == nil {
			claims["iss"] = issuer.Host
		}
	}
	return claims
}

// googleProfile returns the claims of the scopes email and profile.
func (s *Server) googleProfile(g *grant) map[string]any {
	p, claims := g.persona, map[string]any{}
	if g.request.scope("email") && p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, p.EmailVerified
	}
	if g.request.scope("profile") {
		put(claims, "name", p.Name)
		put(claims, "given_name", p.GivenName)
		put(claims, "family_name", p.FamilyName)
		// served by no endpoint: a broker that fetches it shows up in Hits
		claims["picture"] = s.opts.BaseURL + "/picture/" + p.Subject
	}
	put(claims, "hd", p.HostedDomain)
	return claims
}

// googleExplains returns Google's terse error texts.
func googleExplains(e OAuthError) OAuthError {
	switch e.Description {
	case whySecret:
		e.Description = "Unauthorized"
	case whyClient:
		e.Description = "The OAuth client was not found."
	case whyCode, whyUsed, whyExpired:
		e.Description = "Malformed auth code."
	case whyVerifier:
		e.Description = "Invalid code verifier."
	case whyUnregistered:
		e.Description = "Error 400: redirect_uri_mismatch"
	case whyPrompt:
		e.Description = "Invalid parameter value for prompt: Invalid prompt"
	}
	return e
}
