package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/web"
)

// asked is a request that awaits consent.
type asked struct {
	Form    url.Values `json:"form"`
	Session string     `json:"session"` // only its browser may decide
	Allowed bool       `json:"allowed"`
}

// version identifies the app that a person consented to: its name, and the hosts to which it sends the person. A
// change of them makes it another app (SECURITY.md A14); a change of anything else concerns its developers only.
func version(c broker.Client) (string, error) {
	var hosts []string
	for _, uri := range c.RedirectURIs {
		hosts = append(hosts, originOf(uri))
	}
	slices.Sort(hosts)
	//defence:A14
	b, err := json.Marshal([]any{
		//defence:A14
		c.Name, slices.Compact(hosts)})
	if err != nil {
		return "", fmt.Errorf("oidc: client %s: %w", c.ID, err)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

// originOf returns the scheme and host of a redirect URI.
func originOf(uri string) string {
	scheme, _, _ := strings.Cut(uri, ":")
	if host := hostOf(uri); host != scheme {
		return scheme + "://" + host
	}
	return scheme
}

func (d *Handler) given(ctx context.Context, c broker.Client, account string) (broker.Consent, string, error) {
	v, err := version(c)
	if err != nil {
		return broker.Consent{}, "", err
	}
	given, err := d.store.Consent(ctx, account, c.ID)
	if errors.Is(err, broker.NotFound) {
		return broker.Consent{}, v, nil
	}
	return given, v, err
}

func (d *Handler) toConsent(w http.ResponseWriter, r *http.Request, q *request, s broker.Session) error {
	id := broker.NewID()
	if err := d.asked.Put(r.Context(), id, asked{Form: q.form, Session: s.ID}); err != nil {
		return err
	}
	seeOther(w, pathConsent+"/"+id)
	return nil
}

// waiting finds the request in the path, for the browser that started it.
func (d *Handler) waiting(r *http.Request) (*request, broker.Session, broker.Account, error) {
	pending, lost := d.asked.Get(r.Context(), r.PathValue("id"))
	s, a, err := d.toolkit.Current(r, pending.Form.Get("client_id"))
	if broker.Refused(err) {
		err = broker.StartAgain
	}
	if err != nil {
		return nil, s, a, err
	}
	if err = lost; errors.Is(err, broker.NotFound) {
		err = broker.LoginUnknown
	}
	//defence:A14
	if err == nil && pending.Session != s.ID {
		err = broker.LoginElsewhere
	}
	if err != nil {
		return nil, s, a, err
	}
	q, err := d.target(r.Context(), pending.Form)
	if err == nil {
		err = d.check(q)
	}
	if err != nil {
		// The request was valid when it was stored, so the client has changed since.
		return nil, s, a, broker.RequestInvalid.Because(err)
	}
	return q, s, a, nil
}

// consentView is what the page shows (UX.md E-15).
type consentView struct {
	App    string
	Host   string // of the redirect URI
	Email  string
	Scopes []scopeView
	Action string
	Switch string
	// Unchecked marks an app that registered itself: no operator has checked it.
	Unchecked bool
	Links     web.AppLinks
}

type scopeView struct {
	Name  string
	Known bool // the catalogue describes it
	New   bool // not allowed before
}

// consentPage shows the question.
func (d *Handler) consentPage(w http.ResponseWriter, r *http.Request) error {
	q, _, a, err := d.waiting(r)
	if err != nil {
		return err
	}
	if lang, ok := d.toolkit.Switched(r); ok { // overrides the app's ui_locales
		_, err := d.asked.Change(r.Context(), r.PathValue("id"),
			func(p *asked) error { p.Form.Set("ui_locales", lang); return nil })
		if err != nil {
			return err
		}
	}
	given, v, err := d.given(r.Context(), q.client, a.ID)
	if err != nil {
		return err
	}
	view := consentView{
		App: q.client.Name, Host: hostOf(q.redirect), Email: a.Email,
		Action: pathConsent + "/" + r.PathValue("id"), Switch: pathAuthorize + "?consent=" + r.PathValue("id") + "&switch=1",
		Unchecked: q.client.RegistrationHash != "", Links: web.LinksOf(q.client),
	}
	before := given.Version == v && len(given.Scopes) > 0
	for _, scope := range q.needs() {
		view.Scopes = append(view.Scopes, scopeView{scope, clients.AboutPerson(scope), before &&
			!slices.Contains(given.Scopes, scope)})
	}
	r = d.toolkit.WithLocale(r, q.form.Get("ui_locales"), a.Locale)
	d.pages.Show(w, r, http.StatusOK, "consent", view)
	return nil
}

// hostOf returns the host of a redirect URI, or its scheme if it has no host.
func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Scheme
	}
	return u.Host
}

// consent records the decision and hands off. The GET that follows issues the code
// (DESIGN.md §4).
func (d *Handler) consent(w http.ResponseWriter, r *http.Request) error {
	q, s, a, err := d.waiting(r)
	if err != nil {
		return err
	}
	r = d.toolkit.WithLocale(r, q.form.Get("ui_locales"), a.Locale)
	e := broker.Event{Verb: broker.EventConsentDenied, Code: broker.ConsentDenied, Account: a.ID, Actor: a.ID,
		Client: q.client.ID, Session: s.ID}
	switch r.PostFormValue("decision") {
	case "cancel":
		if err := d.store.Record(r.Context(), d.toolkit.Event(r, e)); err != nil {
			return err
		}
		params := url.Values{"error": {broker.ConsentDenied.Meaning().OAuth},
			"error_description": {string(broker.ConsentDenied)}}
		d.answer(w, r, q, params)
		return nil
	case "allow":
	default:
		return broker.RequestInvalid.Because(errors.New("oidc: decision must be allow or cancel"))
	}
	e.Verb, e.Code, e.Detail = broker.EventConsentGranted, "", map[string]string{"scope": strings.Join(q.needs(), " ")}
	if err := d.agree(r, q.client, q.needs(), e); err != nil {
		return err
	}
	id := r.PathValue("id")
	if _, err := d.asked.Change(r.Context(), id, func(p *asked) error { p.Allowed = true; return nil }); err != nil {
		return err
	}
	d.toolkit.HandOff(w, r, pathAuthorize+"?consent="+id, q.client.Name)
	return nil
}

// agree records that the account of the event allows the client these scopes, in addition
// to those it allowed this version of the client before.
func (d *Handler) agree(r *http.Request, c broker.Client, scopes []string, e broker.Event) error {
	given, v, err := d.given(r.Context(), c, e.Account)
	if err != nil {
		return err
	}
	scopes = slices.Clone(scopes)
	if given.Version == v {
		scopes = append(scopes, given.Scopes...)
	}
	slices.Sort(scopes)
	given = broker.Consent{AccountID: e.Account, ClientID: c.ID, Version: v, Scopes: slices.Compact(scopes),
		GrantedAt: d.now()}
	return d.store.Atomic(r.Context(), func(ctx context.Context) error {
		if err := d.store.PutConsent(ctx, given); err != nil {
			return err
		}
		return d.store.Record(ctx, d.toolkit.Event(r, e))
	})
}

// consented continues a request after the consent page. The code goes only to the browser
// that consented; another browser starts from the beginning.
func (d *Handler) consented(w http.ResponseWriter, r *http.Request, query url.Values) error {
	id := query.Get("consent")
	pending, err := d.asked.Get(r.Context(), id)
	if errors.Is(err, broker.NotFound) {
		return broker.LoginUnknown
	}
	if err != nil {
		return err
	}
	s, a, err := d.toolkit.Current(r, pending.Form.Get("client_id"))
	if err != nil && !broker.Refused(err) {
		return err
	}
	if err != nil ||
		//defence:A14
		s.ID != pending.Session {
		return d.ask(w, r, pending.Form)
	}
	q, err := d.target(r.Context(), pending.Form)
	if err != nil {
		return err
	}
	if err := d.check(q); err != nil {
		return d.notifyApp(w, r, q, err)
	}
	switch {
	case query.Has("switch"):
		l := d.login(q)
		l.Pick = true
		return d.toLogin(w, r, l)
	case !pending.Allowed:
		seeOther(w, pathConsent+"/"+id)
		return nil
	}
	return d.proceed(w, r, q, s, a, true)
}
