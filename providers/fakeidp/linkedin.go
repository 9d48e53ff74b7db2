package fakeidp

import "net/http"

// mountLinkedIn simulates Sign In with LinkedIn using OpenID Connect: its ID tokens repeat no nonce, its token
// endpoint wants the secret in the form and knows no PKCE.
func (s *Server) mountLinkedIn() {
	s.provider = provider{
		label:     "LinkedIn",
		cancelled: OAuthError{"user_cancelled_authorize", "The user cancelled the authorization"},
		check: func(a *authRequest) *OAuthError {
			a.form.Del("nonce")
			a.form.Del("code_challenge")
			return nil
		},
		idToken: func(_ *call, g *grant, _ string) map[string]any { return linkedInProfile(g) },
		profile: func(g *grant) map[string]any {
			claims := linkedInProfile(g)
			claims["sub"] = g.persona.Subject
			return claims
		},
	}
	s.handle("GET /.well-known/openid-configuration", AtDiscovery, s.linkedInDiscovery)
	s.handle("GET /openid/jwks", AtJWKS, s.jwks)
	s.mountAuthorize("/v2/authorization", nil)
	s.handle("POST /v2/accessToken", AtToken, s.token)
	s.handle("GET /v2/userinfo", AtUserInfo, s.userInfo)
}

func (s *Server) linkedInDiscovery(c *call) {
	base := s.opts.BaseURL
	c.json(http.StatusOK, map[string]any{
		"issuer": base, "authorization_endpoint": base + "/v2/authorization", "token_endpoint": base + "/v2/accessToken",
		"userinfo_endpoint": base + "/v2/userinfo", "jwks_uri": base + "/openid/jwks",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email"},
		"claims_supported": []string{"iss", "aud", "iat", "exp", "sub", "name", "given_name", "family_name", "picture",
			"email", "email_verified", "locale"},
	})
}

// linkedInProfile has email_verified as text.
func linkedInProfile(g *grant) map[string]any {
	p, claims := g.persona, map[string]any{}
	if g.request.scope("email") && p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, "false"
		if p.EmailVerified {
			claims["email_verified"] = "true"
		}
	}
	if g.request.scope("profile") {
		put(claims, "name", p.Name)
		put(claims, "given_name", p.GivenName)
		put(claims, "family_name", p.FamilyName)
	}
	return claims
}
