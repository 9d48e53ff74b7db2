package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
)

// authorize starts a login for a new request (RFC 6749 §4.1.1). With ?login= it consumes the finished login and
// responds to the app.
func (d *Handler) authorize(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return broker.MethodNotAllowed // a HEAD would issue a code and discard it
	}
	query := r.URL.Query()
	switch {
	case query.Has("client_id"):
		return d.ask(w, r, query)
	case query.Has("login") && query.Has("error"):
		return d.abandon(w, r, query.Get("login"), broker.Code(query.Get("error")))
	case query.Has("login"):
		return d.resume(w, r, query.Get("login"))
	case query.Has("consent"):
		return d.consented(w, r, query)
	case query.Has("post"):
		form, err := d.posts.Take(r.Context(), query.Get("post"))
		if errors.Is(err, broker.NotFound) {
			return broker.RequestInvalid.Because(err)
		}
		if err != nil {
			return err
		}
		return d.ask(w, r, form)
	}
	return d.ask(w, r, query)
}

// authorizePost accepts a posted request (OIDC Core §3.1.2.1). A post from another site
// has no cookie of ours, so the browser returns with a GET first.
func (d *Handler) authorizePost(w http.ResponseWriter, r *http.Request) error {
	form, err := d.pushedForm(r.Context(), r.PostForm)
	if err != nil {
		return err
	}
	if _, err := d.target(r.Context(), form); err != nil {
		return err
	}
	return d.comeBack(w, r, pathAuthorize, r.PostForm)
}

// comeBack stores a posted form and redirects to a GET with its handle. A post from another site has no cookie, so
// every browser counts as new here.
func (d *Handler) comeBack(w http.ResponseWriter, r *http.Request, path string, form url.Values) error {
	//defence:H4
	if err := d.newcomers.Allow(r.Context(), d.toolkit.Address(r), len(form.Encode())); err != nil {
		return err
	}
	handle := broker.NewToken()
	if err := d.posts.Put(r.Context(), handle, form); err != nil {
		return err
	}
	seeOther(w, path+"?post="+handle)
	return nil
}

func seeOther(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// ask responds from the browser's session, or sends the person to sign in.
func (d *Handler) ask(w http.ResponseWriter, r *http.Request, form url.Values) error {
	form, err := d.pushedForm(r.Context(), form)
	if err != nil {
		return err
	}
	q, err := d.target(r.Context(), form)
	if err != nil {
		return err
	}
	if err := d.check(q); err != nil {
		return d.notifyApp(w, r, q, err)
	}
	//defence:A19 ./broker/oidc:TestAClientMayBeHeldToPushing
	if q.client.PushedOnly && q.pushed == "" {
		return d.notifyApp(w, r, q, fosite.ErrInvalidRequest.WithHint("The client must push its requests (RFC 9126)."))
	}
	s, a, err := d.toolkit.Current(r, q.client.ID)
	if err != nil && !broker.Refused(err) {
		return d.failed(w, r, q, err)
	}
	if err == nil && d.reusable(q, s) {
		return d.proceed(w, r, q, s, a, false)
	}
	if q.silent() {
		return d.notifyApp(w, r, q, broker.LoginRequired)
	}
	l := d.login(q)
	if err == nil && q.again(s, d.now()) {
		l.For, l.Email = a.ID, a.Email
	}
	return d.toLogin(w, r, l)
}

func (d *Handler) toLogin(w http.ResponseWriter, r *http.Request, l broker.Login) error {
	path, err := d.logins.Start(w, r, l)
	if err != nil {
		return err
	}
	seeOther(w, path)
	return nil
}

// resume finishes a login and responds to its request.
func (d *Handler) resume(w http.ResponseWriter, r *http.Request, id string) error {
	l, err := d.logins.Finish(w, r, id)
	if errors.Is(err, broker.InteractionRequired) {
		seeOther(w, "/login/"+url.PathEscape(id)) // a step is left
		return nil
	}
	if err != nil {
		return err
	}
	return d.Respond(w, r, l)
}

// Respond responds to the request of a finished login. It validates the request again,
// because the client may have changed. It handles a GET.
func (d *Handler) Respond(w http.ResponseWriter, r *http.Request, l broker.FinishedLogin) error {
	if isDeviceRequest(l.Request) {
		seeOther(w, deviceReturn(l.Request))
		return nil
	}
	q, err := d.target(r.Context(), l.Request)
	if err != nil {
		return err
	}
	if err := d.check(q); err != nil {
		return d.notifyApp(w, r, q, err)
	}
	return d.proceed(w, r, q, l.Session, l.Account, false)
}

// abandon reports to the app a login that ended in a refusal.
func (d *Handler) abandon(w http.ResponseWriter, r *http.Request, id string, why broker.Code) error {
	if why.Meaning().OAuth == "" {
		return broker.RequestInvalid.Because(errors.New("oidc: apps do not receive this code"))
	}
	form, err := d.logins.Abandon(w, r, id)
	if err != nil {
		return err
	}
	if isDeviceRequest(form) {
		seeOther(w, pathDevice)
		return nil
	}
	q, err := d.target(r.Context(), form)
	if err != nil {
		return err
	}
	return d.notifyApp(w, r, q, why)
}

// proceed responds to a request of a signed-in person, or asks for consent. allowed reports whether this request has
// consent.
func (d *Handler) proceed(w http.ResponseWriter, r *http.Request, q *request, s broker.Session, a broker.Account,
	allowed bool) error {
	switch {
	case !q.meant(a.ID):
		return d.notifyApp(w, r, q, broker.LoginRequired) // the app asked for another account
	case !q.meets(s.Authn):
		return d.notifyApp(w, r, q, errUnmet)
	}
	if !allowed && !q.client.FirstParty {
		missing, err := d.missing(r.Context(), q, a.ID)
		switch {
		case err != nil:
			return d.failed(w, r, q, err)
		case missing && q.silent():
			return d.notifyApp(w, r, q, broker.ConsentRequired)
		case missing:
			return d.toConsent(w, r, q, s)
		}
	}
	code, err := d.code(r.Context(), q, s, a)
	if err == nil && q.pushed != "" {
		err = d.consumePushed(r.Context(), q.pushed)
	}
	if err != nil {
		if e, ok := errors.AsType[*fosite.RFC6749Error](err); ok && e.CodeField < 500 {
			return d.notifyApp(w, r, q, err)
		}
		return d.failed(w, r, q, err)
	}
	d.answer(w, r, q, url.Values{"code": {code}})
	return nil
}

type clientKey struct{}

// code makes fosite issue an authorization code. fosite sees only the parameters on which
// it decides, so that no other parameter of the app has an effect (FOSITE.md P5).
func (d *Handler) code(ctx context.Context, q *request, s broker.Session, a broker.Account) (string, error) {
	form := url.Values{
		"client_id": {q.client.ID}, "redirect_uri": {q.redirect}, "response_type": {"code"},
		"scope": {strings.Join(q.scopes, " ")}, "state": {"kept"},
	}
	for _, name := range []string{"code_challenge", "code_challenge_method"} {
		if v := q.form.Get(name); v != "" {
			form.Set(name, v)
		}
	}
	key := q.form.Get("dpop_jkt")
	if key != "" && !thumbprint(key) {
		return "", fosite.ErrInvalidRequest.WithHint("The dpop_jkt is not the thumbprint of a key.")
	}
	ctx = context.WithValue(ctx, clientKey{}, forFosite(q.client, q.redirect))
	ar, err := d.provider.NewAuthorizeRequest(ctx,
		&http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: form, PostForm: url.Values{}})
	if err != nil {
		return "", err
	}
	ar.SetID(broker.NewID())
	for _, scope := range q.scopes {
		ar.GrantScope(scope)
	}
	for _, audience := range q.audience() {
		ar.GrantAudience(audience)
	}
	who := &session{Account: s.AccountID, Unlocked: a.Restriction == nil, Session: s.ID, Authn: s.Authn,
		Nonce: q.form.Get("nonce"), Key: key, Claims: q.claims.String(),
		Person: idTokenPerson(q.client, a, q.scopes, q.claims)}
	who.Authn.ACR = q.acr(s.Authn)
	resp, err := d.provider.NewAuthorizeResponse(ctx, ar, who)
	if err != nil {
		return "", err
	}
	return resp.GetCode(), nil
}

// notifyApp sends an OAuth error to the app (RFC 6749 §4.1.2.1).
func (d *Handler) notifyApp(w http.ResponseWriter, r *http.Request, q *request, err error) error {
	params, counted := url.Values{"error": {"server_error"}}, broker.RequestInvalid
	if spoken, ok := errors.AsType[*fosite.RFC6749Error](err); ok {
		params.Set("error", spoken.ErrorField)
		params.Set("error_description", printable(spoken.GetDescription()))
	} else {
		counted = broker.CodeOf(err)
		if name := counted.Meaning().OAuth; name != "" {
			params.Set("error", name)
			params.Set("error_description", string(counted))
		}
	}
	d.toolkit.Count(counted)
	d.log.InfoContext(r.Context(), "authorization refused", "error", params.Get("error"), "client", q.client.ID, "err",
		causes(err))
	d.logCause(r.Context(), err)
	d.answer(w, r, q, params)
	return nil
}

// failed handles an internal error. A person gets a page; an app that asked with
// prompt=none gets the error, because it shows no page.
func (d *Handler) failed(w http.ResponseWriter, r *http.Request, q *request, err error) error {
	if !q.silent() {
		return err
	}
	d.log.ErrorContext(r.Context(), "authorization failed", "client", q.client.ID, "err", causes(err))
	return d.notifyApp(w, r, q, broker.CodeOf(err))
}

// withQuery appends parameters without changing a byte of the URI.
func withQuery(uri string, params url.Values) string {
	if len(params) == 0 {
		return uri
	}
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + params.Encode()
}

// The response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post §2).
const (
	modeQuery = "query"
	modePost  = "form_post"
)

func responseModes() []string { return []string{modeQuery, modePost} }

// postable reports whether a form can be posted to the redirect URI. A Content-Security-Policy cannot name an IPv6
// address.
func (q *request) postable() bool {
	//defence:A3 A4 = true
	return q.web && !strings.Contains(q.redirect, "[")
}

// answer sends the browser to the app, with iss (RFC 9207) and the app's state. An error response leaves iss out if
// the client is registered so. form_post needs a page with a form. A custom scheme needs the person's click (UX.md
// E-30), and a response to a POST the hand-off page too.
func (d *Handler) answer(w http.ResponseWriter, r *http.Request, q *request, params url.Values) {
	//defence:A8
	if !params.Has("error") || q.client.ErrorIss != broker.ErrorIssOff {
		params.Set("iss", d.issuer)
	}
	if q.state != "" {
		params.Set("state", q.state)
	}
	if q.web && !q.posted && r.Method == http.MethodGet {
		toApp(w, withQuery(q.redirect, params))
		return
	}
	r = d.toolkit.WithLocale(r, q.form.Get("ui_locales"))
	if q.posted {
		d.toolkit.PostOff(w, r, q.redirect, params, q.client.Name)
		return
	}
	d.toolkit.HandOff(w, r, withQuery(q.redirect, params), q.client.Name)
}

// toApp redirects to an address without a fragment. It adds an empty one, or a browser would keep that of the URL which
// led here (RFC 9110 §10.2.2): what a provider appended, such as Facebook's "#_=_", or an attacker planted.
func toApp(w http.ResponseWriter, uri string) { seeOther(w, uri+"#") }

// deviceKey is the only parameter of a stored request for a device. An app's request
// always has a client_id.
const deviceKey = "device"

func isDeviceRequest(form url.Values) bool { return form.Has(deviceKey) && !form.Has("client_id") }

// missing reports whether the person must be asked for consent to an app of others.
func (d *Handler) missing(ctx context.Context, q *request, account string) (bool, error) {
	given, v, err := d.given(ctx, q.client, account)
	if err != nil {
		return false, err
	}
	// Any program on the device can impersonate a public client with a custom scheme or a
	// loopback redirect, so consent to it is not remembered (RFC 8252 §8.6).
	anybody := q.client.Public() && !strings.HasPrefix(q.redirect, "https://")
	//defence:A14
	return anybody || q.asks(broker.PromptConsent) || !given.Covers(v, q.needs()), nil
}
