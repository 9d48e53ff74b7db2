package fakeidp

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// mountGitHub simulates GitHub's web application flow and the API that describes the signed-in user.
func (s *Server) mountGitHub() {
	s.provider = provider{
		label: "GitHub", tokenPrefix: "gho_", hint: "login",
		prompts:       []string{"select_account"},
		cancelled:     OAuthError{"access_denied", "The user has denied your application access."},
		explain:       githubExplains,
		wrongRedirect: githubWrongRedirect,
	}
	s.mountAuthorize("/login/oauth/authorize", githubDefaults)
	s.handle("POST /login/oauth/access_token", AtToken, s.githubToken)
	s.handle("GET /user", AtUserInfo, s.githubUser)
	s.handle("GET /user/emails", AtEmails, s.githubEmails)
}

// githubDefaults supplies what GitHub lets a client omit: response_type, and redirect_uri if one is registered.
func githubDefaults(answer func(*call)) func(*call) {
	return func(c *call) {
		if c.r.Form.Get("response_type") == "" {
			c.r.Form.Set("response_type", "code")
		}
		if c.r.Form.Get("redirect_uri") == "" {
			c.r.Form.Set("redirect_uri", c.firstRedirect())
		}
		answer(c)
	}
}

func (s *Server) firstRedirect() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.redirects) == 0 {
		return ""
	}
	return s.redirects[0]
}

// githubWrongRedirect reports a wrong redirect_uri to the registered address.
func githubWrongRedirect(c *call, form url.Values) bool {
	registered := c.firstRedirect()
	if registered == "" {
		return false
	}
	c.answerError(&authRequest{form: form, redirectURI: registered},
		OAuthError{"redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this application."},
		nil)
	return true
}

func githubExplains(e OAuthError) OAuthError {
	switch e.Description {
	case whySecret, whyClient, whyTwice:
		return OAuthError{"incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."}
	case whyCode, whyUsed, whyExpired, whyVerifier:
		return OAuthError{"bad_verification_code", "The code passed is incorrect or expired."}
	case whyRedirect:
		return OAuthError{"redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this " +
			"application."}
	}
	return e
}

// githubToken responds with a form unless the client accepts JSON, and with status 200 even for errors.
func (s *Server) githubToken(c *call) {
	if c.r.Form.Get("redirect_uri") == "" {
		c.r.Form.Set("redirect_uri", c.firstRedirect())
	}
	g, e := c.redeem()
	var document map[string]any
	if e != nil {
		document = map[string]any{"error": e.Code, "error_description": e.Description,
			"error_uri": "https://docs.github.com/"}
	} else {
		document = map[string]any{"access_token": s.issueToken(g), "token_type": "bearer",
			"scope": strings.Join(g.request.scopes, ",")}
	}
	if strings.Contains(c.r.Header.Get("Accept"), "application/json") {
		c.json(http.StatusOK, document)
		return
	}
	override(document, c.fault.Documents[c.at])
	values := url.Values{}
	for member, value := range document {
		values.Set(member, fmt.Sprint(value))
	}
	c.sendBytes(http.StatusOK, "application/x-www-form-urlencoded; charset=utf-8", []byte(values.Encode()))
}

// githubBearer returns the grant behind an API call.
func (c *call) githubBearer() (*grant, bool) {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "token") {
		if g, ok := c.bearer(token); ok {
			return g, true
		}
	}
	c.send(http.StatusUnauthorized, map[string]any{"message": "Bad credentials",
		"documentation_url": "https://docs.github.com/rest"})
	return nil, false
}

// githubUser returns the profile. Its email is the public one: unverified, and often null.
func (s *Server) githubUser(c *call) {
	g, ok := c.githubBearer()
	if !ok {
		return
	}
	p := g.persona
	document := map[string]any{"login": p.Login, "node_id": "U_simulated", "type": "User", "site_admin": false,
		"name": nil, "email": nil}
	document["id"] = p.Subject
	if number, err := strconv.ParseInt(p.Subject, 10, 64); err == nil {
		document["id"] = number
	}
	put(document, "name", p.Name)
	override(document, p.Claims)
	c.json(http.StatusOK, document)
}

// githubEmails returns every address and its state; 404 without the scope.
func (s *Server) githubEmails(c *call) {
	g, ok := c.githubBearer()
	if !ok {
		return
	}
	if !g.request.scope("user:email") && !g.request.scope("user") {
		c.send(http.StatusNotFound, map[string]any{"message": "Not Found",
			"documentation_url": "https://docs.github.com/rest"})
		return
	}
	p := g.persona
	list := []any{}
	entry := func(e Email) {
		list = append(list, map[string]any{"email": e.Address, "primary": e.Primary, "verified": e.Verified,
			"visibility": nil})
	}
	if p.Email != "" {
		entry(Email{p.Email, true, p.EmailVerified})
	}
	for _, other := range p.OtherEmails {
		entry(other)
	}
	entry(Email{p.Subject + "+" + p.Login + "@users.noreply.github.com", false, true})
	c.send(http.StatusOK, list)
}
