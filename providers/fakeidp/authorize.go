package fakeidp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authRequest is an authorization request whose client and redirect_uri have been checked.
type authRequest struct {
	form        url.Values
	path        string // of the authorization endpoint
	tenant      string // Microsoft: the first segment of the path
	redirectURI string
	scopes      []string
	prompt      []string
	formPost    bool
}

func (a *authRequest) scope(name string) bool    { return slices.Contains(a.scopes, name) }
func (a *authRequest) prompts(value string) bool { return slices.Contains(a.prompt, value) }

// claimsIDToken reports whether the claims parameter (OIDC Core §5.5) requests a claim of the ID token.
func (a *authRequest) claimsIDToken(name string) bool {
	var wanted struct {
		IDToken map[string]any `json:"id_token"`
	}
	err := json.Unmarshal([]byte(a.form.Get("claims")), &wanted)
	_, there := wanted.IDToken[name]
	return err == nil && there
}

// mountAuthorize mounts an authorization endpoint and the links of its page, each wrapped by wrap unless it is
// nil.
func (s *Server) mountAuthorize(path string, wrap func(func(*call)) func(*call)) {
	if wrap == nil {
		wrap = func(answer func(*call)) func(*call) { return answer }
	}
	s.handle("GET "+path, AtAuthorize, wrap(s.authorize))
	s.handle("POST "+path, AtAuthorize, wrap(s.authorize))
	s.handle("GET "+path+"/choose", AtChoose, wrap(s.choose))
	s.handle("GET "+path+"/cancel", AtChoose, wrap(s.cancel))
}

// authorize shows the list of people, or responds directly if a hint or an error decides.
func (s *Server) authorize(c *call) {
	a, ok := c.readRequest()
	if !ok {
		return
	}
	if e := c.objection(a); e != nil {
		c.answerError(a, *e, nil)
		return
	}
	hint := "login_hint"
	if s.provider.hint != "" {
		hint = s.provider.hint
	}
	persona, known := s.hinted(a.form.Get(hint))
	switch {
	case a.prompts("none") && !known:
		c.answerError(a, c.own(OAuthError{"login_required", whyNoUser}), nil)
	case known && !a.prompts("select_account"):
		c.complete(a, persona)
	default:
		c.list(a)
	}
}

// choose signs in as the persona that the link names.
func (s *Server) choose(c *call) {
	a, ok := c.readRequest()
	if !ok {
		return
	}
	if e := c.objection(a); e != nil {
		c.answerError(a, *e, nil)
		return
	}
	persona, known := s.byLogin(c.r.Form.Get(personaParam))
	if !known {
		c.message(http.StatusNotFound, "No such person", "The simulator has no person of this name.")
		return
	}
	c.complete(a, persona)
}

// cancel responds as the provider does when the person cancels.
func (s *Server) cancel(c *call) {
	if a, ok := c.readRequest(); ok {
		c.answerError(a, s.provider.cancelled, s.provider.decline)
	}
}

// readRequest checks the client and its redirect_uri. If they are wrong it shows the person an error page,
// because the browser must not be redirected.
func (c *call) readRequest() (*authRequest, bool) {
	form, ok := c.pushedForm(copyValues(c.r.Form))
	if !ok {
		c.message(http.StatusBadRequest, "invalid_request_uri", "The request was not pushed, or is unknown.")
		return nil, false
	}
	form.Del(personaParam)
	path := strings.TrimSuffix(c.r.URL.Path, "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/choose"), "/cancel")
	a := &authRequest{
		form: form, path: path, tenant: c.r.PathValue("tenant"), redirectURI: form.Get("redirect_uri"),
		scopes: strings.FieldsFunc(form.Get("scope"), func(r rune) bool { return r == ' ' || r == ',' }),
		prompt: strings.Fields(form.Get("prompt")), formPost: form.Get("response_mode") == "form_post",
	}
	if form.Get("client_id") != c.opts.ClientID {
		c.message(http.StatusBadRequest, "Unknown client", c.own(OAuthError{"unauthorized_client", whyClient}).Description)
		return nil, false
	}
	c.mu.Lock()
	registered := slices.Contains(c.redirects, a.redirectURI)
	c.mu.Unlock()
	if registered {
		return a, true
	}
	if c.provider.wrongRedirect == nil || !c.provider.wrongRedirect(c, form) {
		c.message(http.StatusBadRequest, "redirect_uri mismatch",
			c.own(OAuthError{"invalid_request", whyUnregistered}).Description)
	}
	return nil, false
}

// objection returns the error that the provider sends to the client instead of asking the person.
func (c *call) objection(a *authRequest) *OAuthError {
	p, form := &c.provider, a.form
	if c.fault.AuthorizeError.Code != "" {
		e := c.fault.AuthorizeError
		return &e
	}
	say := func(code, why string) *OAuthError {
		e := c.own(OAuthError{code, why})
		return &e
	}
	unknownPrompt := func(value string) bool { return p.prompts != nil && !slices.Contains(p.prompts, value) }
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch mode := form.Get("response_mode"); {
	case mode != "" && mode != "query" && (!a.formPost || !p.formPost):
		a.formPost = false
		return say("invalid_request", "This response_mode is not supported.")
	case form.Get("response_type") != "code":
		return say("unsupported_response_type", "The response_type must be code.")
	case challenge != "" && (method != "S256" || len(challenge) != 43):
		return say("invalid_request", "A code_challenge must be of the method S256.")
	case challenge == "" && method != "":
		return say("invalid_request", "A code_challenge_method came without a code_challenge.")
	case a.prompts("none") && len(a.prompt) > 1:
		return say("invalid_request", "The prompt none cannot be combined.")
	case slices.ContainsFunc(a.prompt, unknownPrompt):
		return say("invalid_request", whyPrompt)
	}
	if p.check != nil {
		return p.check(a)
	}
	return nil
}

// complete signs the persona in and responds with a code.
func (c *call) complete(a *authRequest, persona Persona) {
	p := &c.provider
	if p.admits != nil {
		if why := p.admits(a, persona); why != "" {
			if a.prompts("none") {
				c.answerError(a, OAuthError{"interaction_required", why}, nil)
				return
			}
			c.message(http.StatusBadRequest, "This account cannot be used here", why)
			return
		}
	}
	g := c.grantTo(a, persona)
	members := map[string]any{"code": c.issueCode(g)}
	if p.members != nil {
		override(members, p.members(g))
	}
	c.answer(a, members)
}

// own returns an error in the provider's own wording.
func (c *call) own(e OAuthError) OAuthError {
	if c.provider.explain != nil {
		return c.provider.explain(e)
	}
	return e
}

func (c *call) answerError(a *authRequest, e OAuthError, more map[string]any) {
	members := map[string]any{"error": e.Code}
	put(members, "error_description", e.Description)
	override(members, more)
	c.answer(a, members)
}

// answer sends the browser back to the client, by redirect or by form.
func (c *call) answer(a *authRequest, members map[string]any) {
	put(members, "state", a.form.Get("state"))
	if c.provider.issuesIss {
		members["iss"] = c.issuer()
	}
	override(members, c.fault.Documents[AtAuthorize])
	values := url.Values{}
	for member, value := range members {
		values.Set(member, fmt.Sprint(value))
	}
	if a.formPost {
		c.post(a.redirectURI, values)
		return
	}
	target := a.redirectURI
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.Header().Set("Location", target+separator+values.Encode()+c.provider.fragment)
	c.w.WriteHeader(http.StatusFound)
}
