package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/web"
)

// purposeLogout is the purpose of the sealed value in the confirmation page.
const purposeLogout = "logout"

// leaving is a sign-out in progress (OIDC RP-Initiated Logout §2).
type leaving struct {
	Target  string       `json:"t,omitempty"` // where to go afterwards, validated
	App     string       `json:"a,omitempty"` // the name of the app
	Mistake *web.Mistake `json:"m,omitempty"` // instead of a Target: the address is not registered
	hint    hint         // the valid id_token_hint, if there was one
}

// readLeaving reads the parameters of a sign-out. The client is the one of a hint that we
// signed, or the client_id if there is no hint. Target is a registered URI of that client,
// byte for byte (SECURITY.md A4).
func (d *Handler) readLeaving(r *http.Request, form url.Values) (leaving, error) {
	var l leaving
	if repeated(form) != "" {
		return l, broker.RequestInvalid.Because(errors.New("oidc: a parameter occurs twice"))
	}
	for name, values := range form {
		if len(values[0]) > maxOf(name) || !clients.IsText(values[0]) {
			return l, broker.RequestInvalid.Because(errors.New("oidc: a parameter is too long or not text"))
		}
	}
	client, said := form.Get("client_id"), hint{}
	if token := form.Get("id_token_hint"); token != "" {
		var err error
		said, err = d.readHint(token)
		if err != nil ||
			//defence:A10
			client != "" && client != said.Audience {
			return l, nil
		}
		client = said.Audience
	}
	if client == "" {
		return l, nil
	}
	c, err := d.client(r.Context(), client)
	if errors.Is(err, broker.ClientUnknown) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	l.hint = said // not that of a disabled client
	l.App = c.Name
	to := form.Get("post_logout_redirect_uri")
	if to == "" {
		return l, nil
	}
	//defence:A4 = false
	if !slices.Contains(c.PostLogoutRedirectURIs, to) {
		l.Mistake = web.NewMistake(broker.RedirectURIMismatch, c, "post_logout_redirect_uri", to,
			c.PostLogoutRedirectURIs, "gatehouse clients change "+c.ID+" --post-logout-redirect-uri URI")
		return l, nil
	}
	params := url.Values{}
	if state := form.Get("state"); state != "" {
		params.Set("state", state)
	}
	l.Target = withQuery(to, params)
	return l, nil
}

// endSession signs out. It asks first, unless the app proved that it means this session
// (SECURITY.md A16).
func (d *Handler) endSession(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return broker.MethodNotAllowed
	}
	form := r.URL.Query()
	if form.Has("post") {
		var err error
		// It is not consumed, so that a reload still knows where to go.
		if form, err = d.posts.Get(r.Context(), form.Get("post")); errors.Is(err, broker.NotFound) {
			form = url.Values{} // expired: ask without the app
		} else if err != nil {
			return err
		}
	}
	l, err := d.readLeaving(r, form)
	if err != nil {
		return err
	}
	r = d.toolkit.WithLocale(r, form.Get("ui_locales"))
	//defence:A7 = broker.Session{}, broker.Account{}, broker.NotFound
	s, _, err := d.toolkit.Held(r)
	switch {
	case broker.Refused(err):
		if err := d.endNamed(r, l.hint); err != nil {
			return err
		}
		if l.Target == "" && l.Mistake == nil {
			if l, err = d.returned(r.Context(), form.Get("state")); err != nil {
				return err
			}
		}
		return d.left(w, r, l)
	case err != nil:
		return err
	//defence:A16 = true
	case l.hint.Session == s.ID:
		return d.part(w, r, s, l, false)
	case form.Has("stay"):
		d.pages.Show(w, r, http.StatusOK, "stayed", nil)
		return nil
	}
	return d.question(w, r, s, l)
}

// endNamed ends the session that a hint names, for an app whose server sends the hint
// without the browser. It is only for a request without a session of its own, because a
// browser that has one decides for itself.
func (d *Handler) endNamed(r *http.Request, h hint) error {
	if h.Session == "" {
		return nil
	}
	err := d.toolkit.EndSessionFor(r, h.Audience, h.Subject, h.Session)
	d.hurry()
	return err
}

// signoutView is the confirmation page (UX.md E-18).
type signoutView struct {
	Action   string
	Leaving  string // sealed for this session
	Apps     []string
	Upstream string // its session can be ended too; empty if not
}

func (d *Handler) question(w http.ResponseWriter, r *http.Request, s broker.Session, l leaving) error {
	back, err := d.keyring.SealJSON(l, purposeLogout, s.ID) // in the page, so that the question needs no row
	if err != nil {
		return err
	}
	apps, err := d.appsOf(r.Context(), s)
	if err != nil {
		return err
	}
	upstream, _, err := d.upstreamEnd(r.Context(), s, "")
	if err != nil {
		return err
	}
	d.pages.Show(w, r, http.StatusOK, "signout",
		signoutView{Action: inLanguage(pathEndSession+"/confirm", d.toolkit.Locale(r)), Leaving: back,
			Apps: names(apps), Upstream: upstream})
	return nil
}

// endSessionPost accepts a sign-out that an app posted. The cookie is read when the
// browser returns with a GET.
func (d *Handler) endSessionPost(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.readLeaving(r, r.PostForm); err != nil {
		return err
	}
	keep := url.Values{} // only what we read, so that no form can store other data
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"} {
		if r.PostForm.Has(name) {
			keep.Set(name, r.PostForm.Get(name))
		}
	}
	return d.comeBack(w, r, pathEndSession, keep)
}

// endSessionConfirm handles the answer to the question. The toolkit refuses it from
// another origin.
func (d *Handler) endSessionConfirm(w http.ResponseWriter, r *http.Request) error {
	s, _, err := d.toolkit.Held(r)
	if broker.Refused(err) {
		seeOther(w, inLanguage(pathEndSession, d.toolkit.Locale(r)))
		return nil
	}
	if err != nil {
		return err
	}
	if r.PostFormValue("decision") == "stay" {
		seeOther(w, inLanguage(pathEndSession, d.toolkit.Locale(r))+"&stay=1")
		return nil
	}
	var l leaving
	if err := d.keyring.OpenJSON(r.PostFormValue("leaving"), &l, purposeLogout, s.ID); err != nil {
		return broker.RequestInvalid.Because(err)
	}
	return d.part(w, r, s, l, r.PostFormValue("upstream") == "1")
}

// inLanguage returns the path with the current language.
func inLanguage(path, lang string) string { return path + "?ui_locales=" + url.QueryEscape(lang) }

func (d *Handler) signOut(w http.ResponseWriter, r *http.Request, s broker.Session) error {
	if err := d.toolkit.EndSession(w, r, s); err != nil {
		return err
	}
	d.toolkit.AskForAccount(w)
	return nil
}

// left redirects to the app, or shows the signed-out page (UX.md E-19).
func (d *Handler) left(w http.ResponseWriter, r *http.Request, l leaving) error {
	if l.Target != "" {
		toApp(w, l.Target)
		return nil
	}
	d.pages.Show(w, r, http.StatusOK, "signedout", d.signedout(w, r, l))
	return nil
}

// signedout returns the view of the signed-out page. It reports an unregistered address.
func (d *Handler) signedout(w http.ResponseWriter, r *http.Request, l leaving) signedoutView {
	v := signedoutView{App: l.App}
	if l.Mistake != nil {
		v.Reference = d.toolkit.Note(w, r, l.Mistake)
	}
	return v
}
