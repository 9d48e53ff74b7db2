package fakeidp

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AppleTeam is the team id of the simulator's client.
const AppleTeam = "TEAM123456"

// mountApple simulates Sign in with Apple: the client secret is a JWT, the response is posted, and the name comes
// once, beside the code.
func (s *Server) mountApple() {
	s.provider = provider{
		label: "Apple", formPost: true,
		cancelled: OAuthError{Code: "user_cancelled_authorize"},
		check: func(a *authRequest) *OAuthError {
			if (a.scope("name") || a.scope("email")) && !a.formPost {
				return &OAuthError{"invalid_request", "response_mode must be form_post when name or email scope is requested."}
			}
			a.form.Del("code_challenge") // it has no PKCE
			return nil
		},
		members: s.appleMembers,
		idToken: s.appleIDToken,
	}
	s.handle("GET /.well-known/openid-configuration", AtDiscovery, s.appleDiscovery)
	s.handle("GET /auth/keys", AtJWKS, s.jwks)
	s.mountAuthorize("/auth/authorize", nil)
	s.handle("POST /auth/token", AtToken, s.token)
}

func (s *Server) appleDiscovery(c *call) {
	base := s.opts.BaseURL
	c.json(http.StatusOK, map[string]any{
		"issuer": base, "authorization_endpoint": base + "/auth/authorize", "token_endpoint": base + "/auth/token",
		"revocation_endpoint": base + "/auth/revoke", "jwks_uri": base + "/auth/keys",
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "email", "name"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		"claims_supported": []string{"aud", "email", "email_verified", "exp", "iat", "is_private_email", "iss", "nonce",
			"nonce_supported", "real_user_status", "sub", "transfer_sub"},
	})
}

// appleMembers adds the name to a person's first response, as JSON.
func (s *Server) appleMembers(g *grant) map[string]any {
	p := g.persona
	s.mu.Lock()
	first := !s.told[p.Subject]
	s.told[p.Subject] = true
	s.mu.Unlock()
	if !first || !g.request.scope("name") {
		return nil
	}
	user, err := json.Marshal(map[string]any{"email": p.Email,
		"name": map[string]any{"firstName": p.GivenName, "lastName": p.FamilyName}})
	if err != nil {
		return nil
	}
	return map[string]any{"user": string(user)}
}

// appleIDToken has no name. Apple sends booleans as text.
func (s *Server) appleIDToken(_ *call, g *grant, access string) map[string]any {
	p := g.persona
	claims := map[string]any{"at_hash": atHash("RS256", access), "auth_time": g.authTime.Unix(), "nonce_supported": true}
	if g.request.scope("email") && p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, "true"
		if strings.HasSuffix(p.Email, "@privaterelay.appleid.com") {
			claims["is_private_email"] = "true"
		}
	}
	return claims
}

// appleSecretProblem checks the client secret: a JWT by the key of SetClientKeys.
func (c *call) appleSecretProblem() string {
	token, err := jwt.ParseSigned(c.r.Form.Get("client_secret"), []jose.SignatureAlgorithm{"ES256"})
	if err != nil || len(token.Headers) != 1 || c.r.Form.Get("client_id") != c.opts.ClientID {
		return whySecret
	}
	c.mu.Lock()
	keys := c.clientKeys
	c.mu.Unlock()
	var claims jwt.Claims
	now := c.opts.Now()
	for _, k := range keys.Key(token.Headers[0].KeyID) {
		if token.Claims(k, &claims) == nil && claims.Issuer == AppleTeam && claims.Subject == c.opts.ClientID &&
			claims.Audience.Contains(c.opts.BaseURL) && claims.Expiry != nil && now.Before(claims.Expiry.Time()) {
			return ""
		}
	}
	return whySecret
}
