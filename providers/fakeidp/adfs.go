package fakeidp

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// mountADFS simulates AD FS 2019.
func (s *Server) mountADFS() {
	s.keys.certified = true
	s.provider = provider{
		label: "AD FS", formPost: true,
		prompts:   []string{"none", "login"},
		cancelled: OAuthError{"access_denied", "MSIS9622: The user declined."},
		check:     adfsCheck,
		idToken:   s.adfsIDToken,
		profile:   func(g *grant) map[string]any { return map[string]any{"sub": s.adfsSubject(g.persona)} },
		tokens: func(g *grant, document map[string]any) {
			document["token_type"] = "bearer"
			document["resource"] = cmp.Or(g.request.form.Get("resource"), "urn:microsoft:userinfo")
		},
	}
	s.handle("GET /adfs/.well-known/openid-configuration", AtDiscovery, s.adfsDiscovery)
	s.handle("GET /adfs/discovery/keys", AtJWKS, s.jwks)
	s.mountAuthorize("/adfs/oauth2/authorize", nil)
	s.handle("GET /adfs/oauth2/authorize/{$}", AtAuthorize, s.authorize)
	s.handle("POST /adfs/oauth2/authorize/{$}", AtAuthorize, s.authorize)
	s.handle("POST /adfs/oauth2/token", AtToken, s.token)
	s.handle("POST /adfs/oauth2/token/{$}", AtToken, s.token)
	s.handle("GET /adfs/userinfo", AtUserInfo, s.userInfo)
	s.handle("GET /adfs/oauth2/logout", AtEndSession, s.endSession)
}

func (s *Server) adfsDiscovery(c *call) {
	base := s.opts.BaseURL + "/adfs"
	c.json(http.StatusOK, map[string]any{
		"issuer": base,
		"access_token_issuer": "http://" +
			strings.TrimPrefix(strings.TrimPrefix(base, "https://"), "http://") + "/services/trust",
		"authorization_endpoint":                base + "/oauth2/authorize/",
		"token_endpoint":                        base + "/oauth2/token/",
		"jwks_uri":                              base + "/discovery/keys",
		"userinfo_endpoint":                     base + "/userinfo",
		"end_session_endpoint":                  base + "/oauth2/logout",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"grant_types_supported":                 []string{"authorization_code"},
		"subject_types_supported":               []string{"pairwise"},
		"scopes_supported":                      []string{"openid", "profile", "email", "allatclaims"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"claims_supported": []string{"aud", "iss", "iat", "exp", "auth_time", "nonce", "at_hash", "c_hash", "sub", "upn",
			"unique_name", "pwd_url", "pwd_exp", "mfa_auth_time", "sid", "nbf"},
		"code_challenge_methods_supported": []string{"plain", "S256"},
		"capabilities":                     []string{"kdf_ver2"},
		"http_logout_supported":            true,
		"frontchannel_logout_supported":    true,
	})
}

func adfsCheck(a *authRequest) *OAuthError {
	if !a.scope("openid") {
		return &OAuthError{"invalid_scope", "MSIS9329: The scope must have openid."}
	}
	return nil
}

// adfsIDToken always has upn and unique_name. The claims of the relying party's rules are added only where AD FS
// puts them into ID tokens.
func (s *Server) adfsIDToken(c *call, g *grant, access string) map[string]any {
	p, now := g.persona, s.opts.Now().Unix()
	claims := map[string]any{
		"sub": s.adfsSubject(p), "nbf": now, "at_hash": atHash("RS256", access),
		"apptype": "Confidential", "appid": s.opts.ClientID, "ver": "1.0", "scp": "openid",
		"authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
	}
	domain, _, _ := strings.Cut(p.HostedDomain, ".")
	if c.fault.tellsAuthTime(true) {
		claims["auth_time"] = g.authTime.Unix()
	}
	put(claims, "upn", p.Email)
	put(claims, "unique_name", strings.ToUpper(domain)+`\`+p.Login)
	ours := g.request.form.Get("resource") == s.opts.ClientID // else the rules are those of urn:microsoft:userinfo
	if s.opts.ClaimsInIDToken || ours && g.request.scope("allatclaims") && g.request.formPost {
		put(claims, "email", p.Email)
		put(claims, "name", p.Name)
		put(claims, "given_name", p.GivenName)
		put(claims, "family_name", p.FamilyName)
	}
	return claims
}

// adfsSubject is a hash that differs between relying parties.
func (s *Server) adfsSubject(p Persona) string {
	sum := sha256.Sum256([]byte("adfs|" + s.opts.ClientID + "|" + p.Subject))
	return base64.StdEncoding.EncodeToString(sum[:])
}
