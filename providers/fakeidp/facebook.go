package fakeidp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// mountFacebook simulates Facebook Login and the part of the Graph API that it needs. Every call must name a
// version, except debug_token, which Facebook also serves without one.
func (s *Server) mountFacebook() {
	s.provider = provider{
		label: "Facebook", tokenPrefix: "EAA", fragment: "#_=_",
		cancelled: OAuthError{"access_denied", "Permissions error"},
		decline:   map[string]any{"error_code": 200, "error_reason": "user_denied"},
		explain:   facebookExplains,
		refuse: func(c *call, _ int, e OAuthError) {
			number := 100
			if e.Code == "invalid_client" {
				number = 1
			}
			c.graphError(http.StatusBadRequest, number, "OAuthException", e.Description)
		},
	}
	s.mountAuthorize("/{version}/dialog/oauth", versioned)
	s.handle("GET /{version}/oauth/access_token", AtToken, versioned(s.facebookToken))
	s.handle("POST /{version}/oauth/access_token", AtToken, versioned(s.facebookToken))
	s.handle("GET /{version}/me", AtUserInfo, versioned(s.facebookMe))
	s.handle("GET /{version}/me/permissions", AtPermissions, versioned(s.facebookPermissions))
	s.handle("GET /{version}/debug_token", AtDebugToken, versioned(s.facebookDebugToken))
	s.handle("GET /debug_token", AtDebugToken, s.facebookDebugToken)
	for _, path := range []string{"/dialog/oauth", "/oauth/access_token", "/me", "/me/permissions"} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			c := &call{Server: s, w: w, r: r, fault: &Fault{}}
			c.graphError(http.StatusBadRequest, 2635, "OAuthException", "You are calling an unversioned API.")
		})
	}
}

// versioned refuses paths whose first segment is not a version such as v25.0.
func versioned(answer func(*call)) func(*call) {
	return func(c *call) {
		number, isVersion := strings.CutPrefix(c.r.PathValue("version"), "v")
		major, minor, dotted := strings.Cut(number, ".")
		digits := func(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
		if !isVersion || !dotted || !digits(major) || !digits(minor) {
			c.graphError(http.StatusBadRequest, 2635, "OAuthException", "You are calling an unknown version of the API.")
			return
		}
		answer(c)
	}
}

// graphError sends an error in the Graph API's format.
func (c *call) graphError(status, code int, kind, message string) {
	c.send(status, map[string]any{"error": map[string]any{
		"message": message, "type": kind, "code": code, "fbtrace_id": "Asimulated",
	}})
}

func (s *Server) facebookToken(c *call) {
	g, e := c.redeem()
	if e != nil {
		c.refuseToken(http.StatusBadRequest, *e)
		return
	}
	c.json(http.StatusOK, map[string]any{
		"access_token": s.issueToken(g), "token_type": "bearer", "expires_in": int(tokenLife.Seconds()),
	})
}

// facebookExplains returns Facebook's text for an error about a code.
func facebookExplains(e OAuthError) OAuthError {
	switch e.Description {
	case whySecret:
		e.Description = "Error validating client secret."
	case whyClient:
		e.Description = "Error validating application. Cannot get application info due to a system error."
	case whyCode:
		e.Description = "Invalid verification code format."
	case whyUsed:
		e.Description = "This authorization code has been used."
	case whyExpired:
		e.Description = "This authorization code has expired."
	case whyRedirect:
		e.Description = "Error validating verification code. Please make sure your redirect_uri is identical " +
			"to the one you used in the OAuth dialog request"
	}
	return e
}

// sharesEmail reports whether the person granted the permission email.
func (g *grant) sharesEmail() bool {
	again := slices.Contains(strings.Split(g.request.form.Get("auth_type"), ","), "rerequest")
	return g.request.scope("email") && (!g.persona.DenyEmail || again)
}

// graphUser returns the grant behind a call, which must carry the right appsecret_proof ("Require App Secret" is
// on).
func (c *call) graphUser() (*grant, bool) {
	token := c.r.Form.Get("access_token")
	if bearer, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer "); ok && token == "" {
		token = bearer
	}
	g, ok := c.bearer(token)
	if !ok {
		c.graphError(http.StatusBadRequest, 190, "OAuthException", "Invalid OAuth access token.")
		return nil, false
	}
	switch proof := c.r.Form.Get("appsecret_proof"); {
	case proof == "":
		c.graphError(http.StatusBadRequest, 100, "GraphMethodException",
			"API calls from the server require an appsecret_proof argument")
		return nil, false
	case !hmac.Equal([]byte(proof), []byte(c.appSecretProof(token))):
		c.graphError(http.StatusBadRequest, 100, "GraphMethodException",
			"Invalid appsecret_proof provided in the API argument")
		return nil, false
	}
	return g, true
}

func (c *call) appSecretProof(token string) string {
	mac := hmac.New(sha256.New, []byte(c.opts.ClientSecret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

// facebookMe returns the requested and granted fields. An ungranted or missing e-mail address is left out.
func (s *Server) facebookMe(c *call) {
	g, ok := c.graphUser()
	if !ok {
		return
	}
	p, all := g.persona, map[string]any{}
	put(all, "name", p.Name)
	put(all, "first_name", p.GivenName)
	put(all, "last_name", p.FamilyName)
	if g.sharesEmail() {
		put(all, "email", p.Email)
	}
	override(all, p.Claims)
	fields := c.r.Form.Get("fields")
	if fields == "" {
		fields = "id,name"
	}
	document := map[string]any{"id": p.Subject}
	for _, name := range strings.Split(fields, ",") {
		if value, has := all[strings.TrimSpace(name)]; has {
			document[strings.TrimSpace(name)] = value
		}
	}
	c.json(http.StatusOK, document)
}

func (s *Server) facebookPermissions(c *call) {
	g, ok := c.graphUser()
	if !ok {
		return
	}
	list := []any{map[string]any{"permission": "public_profile", "status": "granted"}}
	if g.request.scope("email") {
		status := "granted"
		if !g.sharesEmail() {
			status = "declined"
		}
		list = append(list, map[string]any{"permission": "email", "status": status})
	}
	c.json(http.StatusOK, map[string]any{"data": list})
}

// facebookDebugToken describes a token. Documents[AtDebugToken] replaces members of its data.
func (s *Server) facebookDebugToken(c *call) {
	caller := c.r.Form.Get("access_token")
	if bearer, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer "); ok && caller == "" {
		caller = bearer
	}
	proof := c.r.Form.Get("appsecret_proof")
	switch {
	case caller != s.opts.ClientID+"|"+s.opts.ClientSecret:
		c.graphError(http.StatusBadRequest, 190, "OAuthException", "Invalid OAuth access token.")
		return
	case proof != "" && !hmac.Equal([]byte(proof), []byte(c.appSecretProof(caller))):
		c.graphError(http.StatusBadRequest, 100, "GraphMethodException",
			"Invalid appsecret_proof provided in the API argument")
		return
	}
	data := map[string]any{"is_valid": false, "scopes": []string{}}
	if g, ok := s.bearer(c.r.Form.Get("input_token")); ok {
		scopes := []string{"public_profile"}
		if g.sharesEmail() {
			scopes = append(scopes, "email")
		}
		data = map[string]any{
			"app_id": s.opts.ClientID, "type": "USER", "application": "Gatehouse", "is_valid": true, "scopes": scopes,
			"user_id":   g.persona.Subject,
			"issued_at": g.issued.Unix(), "expires_at": g.expires.Unix(), "data_access_expires_at": g.expires.Unix(),
		}
	}
	override(data, c.fault.Documents[AtDebugToken])
	c.send(http.StatusOK, map[string]any{"data": data})
}
