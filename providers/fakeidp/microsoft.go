package fakeidp

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// templatedIssuer stands literally in Microsoft's multi-tenant metadata and keys.
const templatedIssuer = "{tenantid}"

// mountMicrosoft simulates Entra ID v2.0: common, organizations, consumers, and tenants by id or domain.
func (s *Server) mountMicrosoft() {
	s.keys.certified = true
	s.provider = provider{
		label: "Microsoft", formPost: true,
		prompts:   []string{"login", "none", "consent", "select_account"},
		cancelled: AADSTS(65004),
		decline:   map[string]any{"error_subcode": "cancel"},
		check:     s.microsoftCheck,
		admits:    s.microsoftAllows,
		explain:   microsoftExplains,
		refuse:    microsoftRefuses,
		idToken:   s.microsoftIDToken,
		profile:   s.microsoftProfile,
		tokens:    func(_ *grant, document map[string]any) { document["ext_expires_in"] = document["expires_in"] },
		members: func(*grant) map[string]any {
			return map[string]any{"session_state": "00000000-0000-4000-8000-000000000000"}
		},
	}
	s.handle("GET /{tenant}/v2.0/.well-known/openid-configuration", AtDiscovery, s.microsoftDiscovery)
	s.handle("GET /{tenant}/discovery/v2.0/keys", AtJWKS, s.microsoftKeys)
	s.mountAuthorize("/{tenant}/oauth2/v2.0/authorize", nil)
	s.handle("POST /{tenant}/oauth2/v2.0/token", AtToken, s.token)
	s.handle("GET /oidc/userinfo", AtUserInfo, s.userInfo)
	s.handle("POST /oidc/userinfo", AtUserInfo, s.userInfo)
	s.handle("GET /{tenant}/oauth2/v2.0/logout", AtEndSession, s.endSession)
}

// tenantIssuer returns the tenant part of an authority's issuer: a template or an id, "" for an unknown tenant.
func (s *Server) tenantIssuer(tenant string) string {
	switch {
	case tenant == "common" || tenant == "organizations":
		return templatedIssuer
	case tenant == "consumers":
		return MSATenant
	case isGUID(tenant):
		return tenant
	}
	for _, p := range s.Personas() {
		if p.TenantID != "" && !p.Guest && p.HostedDomain != "" && strings.EqualFold(p.HostedDomain, tenant) {
			return p.TenantID
		}
	}
	return ""
}

func isGUID(text string) bool {
	groups := strings.Split(text, "-")
	if len(groups) != 5 || strings.Trim(text, "0123456789abcdef-") != "" {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if len(groups[i]) != length {
			return false
		}
	}
	return true
}

func (s *Server) entraIssuer(tenant string) string { return s.opts.BaseURL + "/" + tenant + "/v2.0" }

func (s *Server) microsoftDiscovery(c *call) {
	tenant := c.r.PathValue("tenant")
	issuer := s.tenantIssuer(tenant)
	if issuer == "" {
		microsoftRefuses(c, http.StatusBadRequest, AADSTS(90002))
		return
	}
	base := s.opts.BaseURL + "/" + tenant
	if issuer != templatedIssuer && tenant != "consumers" {
		base = s.opts.BaseURL + "/" + issuer
	}
	c.w.Header().Set("Cache-Control", "max-age=86400, private")
	c.json(http.StatusOK, map[string]any{
		"issuer":                                s.entraIssuer(issuer),
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"end_session_endpoint":                  base + "/oauth2/v2.0/logout",
		"userinfo_endpoint":                     s.opts.BaseURL + "/oidc/userinfo",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"response_modes_supported":              []string{"query", "form_post"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email"},
		"request_uri_parameter_supported":       false,
		"http_logout_supported":                 true,
		"frontchannel_logout_supported":         true,
		"claims_supported": []string{"sub", "iss", "cloud_instance_name", "aud", "exp", "iat", "auth_time", "acr", "nonce",
			"preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"},
		"tenant_region_scope":   nil,
		"cloud_instance_name":   "microsoftonline.com",
		"kerberos_endpoint":     base + "/kerberos",
		"msgraph_host":          "graph.microsoft.com",
		"cloud_graph_host_name": "graph.windows.net",
	})
}

// microsoftKeys sends the keys, each with the issuer that it may sign for. That prevents forgeries like
// Storm-0558.
func (s *Server) microsoftKeys(c *call) {
	issuer := s.tenantIssuer(c.r.PathValue("tenant"))
	work, err := s.keys.published()
	if err != nil {
		c.serverError(err)
		return
	}
	consumer, err := s.keys.key(&s.keys.consumer)
	if err != nil {
		c.serverError(err)
		return
	}
	list := []any{}
	for _, key := range append(work, consumer) {
		members, err := key.jwk(true)
		if err != nil {
			c.serverError(err)
			return
		}
		delete(members, "alg") // Microsoft's keys name no algorithm
		members["cloud_instance_name"] = "microsoftonline.com"
		switch {
		case key.consumer:
			members["issuer"] = s.entraIssuer(MSATenant)
		case issuer == MSATenant:
			continue
		case c.fault.KeyIssuer != "":
			members["issuer"] = c.fault.KeyIssuer
		default:
			members["issuer"] = s.entraIssuer(issuer)
		}
		list = append(list, members)
	}
	c.w.Header().Set("Cache-Control", "max-age=86400, private")
	c.json(http.StatusOK, map[string]any{"keys": list})
}

func (s *Server) microsoftCheck(a *authRequest) *OAuthError {
	refuse := func(number int) *OAuthError {
		e := AADSTS(number)
		return &e
	}
	switch {
	case s.tenantIssuer(a.tenant) == "":
		return refuse(90002)
	case !a.scope("openid"):
		return refuse(70011)
	}
	return nil
}

// microsoftAllows returns why an authority refuses an account. Microsoft shows this to the person and does not report
// it to the client.
func (s *Server) microsoftAllows(a *authRequest, p Persona) string {
	switch authority := s.tenantIssuer(a.tenant); {
	case a.tenant == "common":
		return ""
	case a.tenant == "organizations" && p.TenantID == MSATenant:
		return "You can’t sign in here with a personal account. Use your work or school account instead."
	case a.tenant == "organizations" || authority == p.TenantID:
		return ""
	}
	return AADSTS(50020).Description
}

// microsoftIDToken adds the claims of a v2.0 ID token: backdated five minutes, with neither at_hash nor c_hash.
func (s *Server) microsoftIDToken(c *call, g *grant, _ string) map[string]any {
	p, now := g.persona, s.opts.Now()
	claims := map[string]any{
		"iss": s.entraIssuer(p.TenantID), "tid": p.TenantID, "ver": "2.0", "sub": s.pairwise(p),
		"iat": now.Unix() - 300, "nbf": now.Unix() - 300, "exp": now.Unix() + 3600,
		"acct": 0, "uti": "simulated", "rh": "0.simulated",
	}
	if p.Guest {
		claims["acct"] = 1
	}
	put(claims, "idp", p.HomeIDP)
	if g.request.scope("profile") {
		claims["oid"] = p.Subject
		put(claims, "name", p.Name)
		put(claims, "preferred_username", p.Email)
	}
	if g.request.scope("email") && p.Email != "" {
		claims["email"] = p.Email
		if p.XmsEdov != nil {
			claims["xms_edov"] = *p.XmsEdov
		}
	}
	if c.fault.tellsAuthTime(false) { // max_age changes nothing: it is an optional claim
		claims["auth_time"] = g.authTime.Unix()
	}
	if c.fault.V1Token {
		claims["iss"], claims["ver"] = "https://sts.windows.net/"+p.TenantID+"/", "1.0"
		put(claims, "upn", p.Email)
		put(claims, "unique_name", p.Email)
		delete(claims, "preferred_username")
	}
	return claims
}

// pairwise is Microsoft's sub, which differs between clients.
func (s *Server) pairwise(p Persona) string {
	sum := sha256.Sum256([]byte(s.opts.ClientID + "|" + p.TenantID + "|" + p.Subject))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// microsoftProfile is Graph's userinfo: without tid, oid or any verification.
func (s *Server) microsoftProfile(g *grant) map[string]any {
	p, claims := g.persona, map[string]any{"sub": s.pairwise(g.persona)}
	put(claims, "name", p.Name)
	put(claims, "given_name", p.GivenName)
	put(claims, "family_name", p.FamilyName)
	if g.request.scope("email") {
		put(claims, "email", p.Email)
	}
	claims["picture"] = s.opts.BaseURL + "/picture/" + p.Subject
	return claims
}
