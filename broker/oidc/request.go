package oidc

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/web"
)

// The longest values accepted, in bytes. They bound what is stored.
const (
	maxClientID = clients.MaxID
	maxRedirect = 2000
	maxState    = 4096
	maxNonce    = 512
	maxHint     = 8192
	maxClaims   = 4096
	maxValue    = 2048
	maxRequest  = 16 << 10 // all names and values together
)

func maxOf(name string) int {
	switch name {
	case "client_id":
		return maxClientID
	case "redirect_uri", "post_logout_redirect_uri":
		return maxRedirect
	case "state":
		return maxState
	case "nonce":
		return maxNonce
	case "id_token_hint", "token", "access_token", "client_assertion":
		return maxHint
	case "claims":
		return maxClaims
	default:
		return maxValue
	}
}

// repeated returns the name of a repeated parameter (RFC 6749 §3.1). resource and audience may be lists (RFC
// 8707 §2); audience is not used.
func repeated(form url.Values) string {
	for name, values := range form {
		if len(values) != 1 && name != "resource" && name != "audience" {
			return name
		}
	}
	return ""
}

// withValues hides the parameters without a value from h: they count as not sent (RFC 6749 §3.1, §3.2).
func withValues(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		query := r.URL.Query()
		if dropEmpty(query) {
			address := *r.URL
			address.RawQuery = query.Encode()
			r.URL = &address
		}
		dropEmpty(r.Form)
		dropEmpty(r.PostForm)
		return h(w, r)
	}
}

// dropEmpty reports whether it removed anything.
func dropEmpty(form url.Values) (dropped bool) {
	for name, values := range form {
		if !slices.Contains(values, "") {
			continue
		}
		if form[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(form[name]) == 0 {
			delete(form, name)
		}
		dropped = true
	}
	return dropped
}

// printable makes a text one that error_description may have: ASCII without quotes and backslashes (RFC 6749 §5.2).
func printable(s string) string {
	s = strings.NewReplacer("\"", "'", "\u201c", "'", "\u201d", "'", "\u2018", "'", "\u2019", "'", "\u2013", "-",
		"\u2014", "-", "\u2026", "...", "\u00a7", "section ", "\\", "/").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// request is an authorization request with a known client and a registered redirect URI.
type request struct {
	form     url.Values // as the app sent it
	client   broker.Client
	redirect string // byte for byte as registered, except for a loopback port
	state    string
	web      bool   // the response goes to a web address, not to a custom scheme
	posted   bool   // the response is posted (response_mode=form_post)
	pushed   string // the keyed hash of a pushed request; empty for one that came through the browser
	scopes   []string
	prompt   []string
	maxAge   *int     // seconds
	subjects []string // from id_token_hint and claims: the people that may sign in; none for anyone
	claims   wanted
	acrs     []string // in the app's order of preference
	mustACR  []string // if not empty, the response must have one of them
}

func (q *request) asks(prompt string) bool { return slices.Contains(q.prompt, prompt) }

// silent reports whether no page may be shown (prompt=none).
func (q *request) silent() bool { return q.asks(broker.PromptNone) }

// target finds the client and redirect URI of a request. Its errors are Codes for a page of our own: nothing is
// ever sent to an unregistered address (SECURITY.md A3, A4).
func (d *Handler) target(ctx context.Context, form url.Values) (*request, error) {
	size := 0
	for name, values := range form {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	if size > maxRequest {
		return nil, wrongRequest(longest(form), form, "the request is too long")
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(form[name]) > 1 {
			return nil, wrongRequest(name, form, "the parameter occurs twice")
		}
	}
	c, err := d.client(ctx, form.Get("client_id"))
	if errors.Is(err, broker.ClientUnknown) {
		return nil, unknownClient(form, err)
	}
	if err != nil {
		return nil, err
	}
	q := &request{form: form, client: c, redirect: form.Get("redirect_uri"), state: form.Get("state")}
	if q.redirect == "" && form.Has("request") {
		return nil, errors.Join(web.NewMistake(broker.RequestInvalid, c, "request", "a request object", nil, ""),
			errors.New("oidc: request objects are not supported; send plain parameters"))
	}
	//defence:A3 A4
	if len(q.redirect) > maxRedirect || !broker.MatchRedirect(c.RedirectURIs, q.redirect, c.Native) {
		return nil, wrongRedirect(c, q.redirect)
	}
	if _, err := url.Parse(q.redirect); err != nil {
		return nil, wrongRedirect(c, q.redirect)
	}
	if len(form["state"]) > 1 || len(q.state) > maxState || !clients.IsText(q.state) {
		//defence:A24
		q.state = "" // it is refused below, and a refused value must not be repeated
	}
	scheme, _, _ := strings.Cut(q.redirect, ":")
	q.web = scheme == "https" || scheme == "http"
	if hash, ours := strings.CutPrefix(form.Get("request_uri"), pushedPrefix); ours {
		q.pushed = hash
	}
	q.posted = len(form["response_mode"]) == 1 && form.Get("response_mode") == modePost && q.postable()
	return q, nil
}

// longest returns the name of the longest parameter.
func longest(form url.Values) string {
	size := func(name string) int { return len(name) + len(strings.Join(form[name], "")) }
	return slices.MaxFunc(slices.Sorted(maps.Keys(form)), func(a, b string) int { return cmp.Compare(size(a), size(b)) })
}

// check reads the rest of the request. Its errors are OAuth errors for the app.
func (d *Handler) check(q *request) error {
	for _, ask := range []func(*request) error{checkForm, checkShape, checkProof, checkResources, d.checkPerson,
		checkClaims} {
		if err := ask(q); err != nil {
			return err
		}
	}
	return nil
}

func checkForm(q *request) error {
	if repeated(q.form) != "" {
		return fosite.ErrInvalidRequest.WithHint("A parameter comes more than once.")
	}
	for name, values := range q.form {
		bad := func(v string) bool { return len(v) > maxOf(name) || !clients.IsText(v) }
		if len(name) > 64 || !clients.IsText(name) || slices.ContainsFunc(values, bad) {
			return fosite.ErrInvalidRequest.WithHint("A parameter is too long or holds control characters.")
		}
	}
	return nil
}

func checkShape(q *request) error {
	q.scopes = strings.Fields(q.form.Get("scope"))
	switch {
	//defence:A19
	case q.form.Has("request"):
		return fosite.ErrRequestNotSupported.WithHint("Send plain parameters, or push them (RFC 9126).")
	//defence:A19
	case q.form.Has("request_uri") && q.pushed == "":
		// Refuse it before fosite, which would fetch the URI (SECURITY.md A19).
		return fosite.ErrRequestURINotSupported.WithHint("Send plain parameters, or push them (RFC 9126).")
	case q.form.Has("registration"):
		return fosite.ErrRegistrationNotSupported
	case q.form.Get("response_type") == "":
		return fosite.ErrInvalidRequest.WithHint("The response_type is missing.")
	//defence:A12
	case q.form.Get("response_type") != "code":
		return fosite.ErrUnsupportedResponseType.WithHint("The only response_type is code.")
	//defence:A12
	case q.form.Has("response_mode") && q.form.Get("response_mode") != modeQuery && !q.posted:
		return fosite.ErrUnsupportedResponseMode.WithHintf("The response modes are %s; form_post needs a web address "+
			"with a host name.", strings.Join(responseModes(), " and "))
	case !q.client.May(clients.GrantCode):
		return notRegistered(fosite.ErrUnauthorizedClient, q.client, "grant type", clients.GrantCode, q.client.GrantTypes,
			"--grant TYPE")
	}
	for _, s := range q.scopes {
		// fosite compares scopes case-insensitively, so "OpenID" would pass for openid (FOSITE.md P9).
		//defence:A13
		if !slices.Contains(q.client.Scopes, s) {
			return notRegistered(fosite.ErrInvalidScope, q.client, "scope", s, q.client.Scopes, "--scope SCOPE")
		}
	}
	return nil
}

// checkProof requires what makes an injected code useless to its thief (SECURITY.md A1): PKCE with S256 (RFC
// 7636), or for a confidential client the nonce, which the app finds again in its ID token (RFC 9700 §2.1.1).
func checkProof(q *request) error {
	challenge, method := q.form.Get("code_challenge"), q.form.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "":
		return q.unproven()
	case challenge == "":
		return fosite.ErrInvalidRequest.WithHint("The code_challenge is missing, but there is a code_challenge_method.")
	case method == "":
		return fosite.ErrInvalidRequest.WithHint("The code_challenge_method is missing, which means plain: send S256.")
	//defence:A2
	case method != methodS256:
		return fosite.ErrInvalidRequest.WithHint("The code_challenge_method must be S256.")
	}
	//defence:A2
	if sum, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(sum) != 32 {
		return fosite.ErrInvalidRequest.WithHint("The code_challenge is not an S256 challenge.")
	}
	return nil
}

// unproven decides about a request without PKCE. Its errors name the client and the setting.
func (q *request) unproven() error {
	no := func(format string) error { return fosite.ErrInvalidRequest.WithHintf(format, q.client.ID) }
	inIDToken := q.form.Get("nonce") != "" && slices.Contains(q.scopes, clients.ScopeOpenID)
	switch {
	//defence:A2
	case q.client.Public() || q.client.Native:
		return no("The code_challenge is missing: %s is a public or native client, which must use PKCE with S256.")
	//defence:A2
	case q.client.RequirePKCE():
		return no("The code_challenge is missing: %s is registered with --pkce required. Let the app use PKCE with S256.")
	//defence:A1 A2
	case q.client.RequireNonce() && !inIDToken:
		return no("%s sent neither a code_challenge (PKCE with S256) nor a nonce with the scope openid. Let the app " +
			"send one of them, or register it with --pkce off.")
	}
	return nil
}

// errTarget is invalid_target of RFC 8707 §2.
var errTarget = &fosite.RFC6749Error{ErrorField: "invalid_target", CodeField: 400,
	DescriptionField: "The resource is unknown, or it was not granted."}

const maxResources = 16

// checkResources requires that the requested APIs are registered.
func checkResources(q *request) error {
	if len(q.form["resource"]) > maxResources {
		return fosite.ErrInvalidRequest.WithHint("There are too many resources.")
	}
	for _, uri := range q.form["resource"] {
		u, err := url.Parse(uri)
		//defence:A13
		if err != nil || !u.IsAbs() || strings.Contains(uri, "#") || !slices.Contains(q.client.Audience, uri) {
			return errTarget
		}
	}
	return nil
}

// audience returns the recipients of the tokens: the resources of the request, else all registered ones.
func (q *request) audience() []string {
	if named := q.form["resource"]; len(named) > 0 {
		return once(named)
	}
	return q.client.Audience
}

// checkPerson reads the requirements about the person (OIDC Core §3.1.2.1).
func (d *Handler) checkPerson(q *request) error {
	q.prompt = strings.Fields(q.form.Get("prompt"))
	if !broker.ValidPrompt(q.prompt) {
		return fosite.ErrInvalidRequest.WithHint("The prompt is unknown, or none is not alone.")
	}
	if age := q.form.Get("max_age"); age != "" {
		n, err := strconv.Atoi(age)
		if err != nil || n < 0 || n > 1<<31-1 || strings.HasPrefix(age, "+") {
			return fosite.ErrInvalidRequest.WithHint("The max_age is not a number of seconds.")
		}
		q.maxAge = &n
	} else {
		q.maxAge = q.client.DefaultMaxAge
	}
	if token := q.form.Get("id_token_hint"); token != "" {
		h, err := d.readHint(token)
		if err != nil {
			return fosite.ErrInvalidRequest.WithHint("The id_token_hint is not an ID token of ours.")
		}
		q.subjects = []string{h.Subject}
	}
	return nil
}

// fresh reports whether the person must authenticate again, whatever session exists. fosite ignores max_age=0,
// which means the same (FOSITE.md §1).
func (q *request) fresh() bool {
	return q.asks(broker.PromptLogin) || q.maxAge != nil && *q.maxAge == 0
}

// login returns the Login of a request.
func (d *Handler) login(q *request) broker.Login {
	l := broker.Login{
		Request: q.form, ClientID: q.client.ID, Locale: d.toolkit.Texts.Match(q.form.Get("ui_locales")),
		Hint: q.form.Get("login_hint"), Connection: q.form.Get("connection"),
		Fresh: q.fresh(), Pick: q.asks(broker.PromptSelect),
	}
	if q.maxAge != nil && *q.maxAge > 0 {
		l.MaxAge = q.maxAge
	}
	return l
}

// reusable reports whether a session satisfies the request without the person.
func (d *Handler) reusable(q *request, s broker.Session) bool {
	connection := q.form.Get("connection")
	switch {
	case q.fresh(), q.asks(broker.PromptSelect):
		return false
	case !broker.Fresh(s.Authn, d.now(), q.maxAge, time.Time{}):
		return false
	case !q.meant(s.AccountID), !q.meets(s.Authn):
		return false
	}
	return connection == "" || connection == s.Authn.Connection
}

// again reports whether the person of a session is asked to authenticate again, rather than another person.
func (q *request) again(s broker.Session, now time.Time) bool {
	stale := q.fresh() || !broker.Fresh(s.Authn, now, q.maxAge, time.Time{})
	return stale && q.meant(s.AccountID) && !q.asks(broker.PromptSelect) && q.form.Get("login_hint") == ""
}
