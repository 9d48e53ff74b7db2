package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"gatehouse/broker"
)

// cookiePick tells the login journey that somebody signed out here: the next
// departure asks the upstream for select_account, so that the next person on a
// shared computer is not signed in as this one.
const cookiePick = "__Host-gh_pick"

const pickLife = 24 * time.Hour

// purposeLogout seals what the confirm page brings back.
const purposeLogout = "logout"

// leaving is a sign-out on its way (OIDC RP-Initiated Logout §2).
type leaving struct {
	Target  string `json:"t,omitempty"` // where to go afterwards, checked
	App     string `json:"a,omitempty"` // whose it is
	session string // of the hint
}

// readLeaving trusts nothing but a hint that we signed: only with one is anybody
// sent anywhere, and only to a URI of that client, byte for byte (SECURITY.md A4).
func (d *Handler) readLeaving(r *http.Request, form url.Values) (leaving, error) {
	var l leaving
	if repeated(form) != "" {
		return l, broker.RequestInvalid.Because(errors.New("oidc: a parameter comes twice"))
	}
	for name, values := range form {
		if len(values[0]) > maxOf(name) || !clean(values[0]) {
			return l, broker.RequestInvalid.Because(errors.New("oidc: a parameter is too long or no text"))
		}
	}
	h, err := d.readHint(form.Get("id_token_hint"))
	if err != nil ||
		//defence:A10
		form.Has("client_id") && form.Get("client_id") != h.Audience {
		return l, nil
	}
	c, err := d.client(r.Context(), h.Audience)
	if errors.Is(err, broker.ClientUnknown) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	l.session, l.App = h.Session, c.Name
	//defence:A4 = true
	if to := form.Get("post_logout_redirect_uri"); slices.Contains(c.PostLogoutRedirectURIs, to) {
		params := url.Values{}
		if state := form.Get("state"); state != "" {
			params.Set("state", state)
		}
		l.Target = withQuery(to, params)
	}
	return l, nil
}

// endSession signs out, after a question unless the app proved that it means this
// very session (SECURITY.md A16).
func (d *Handler) endSession(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return broker.MethodNotAllowed
	}
	form := r.URL.Query()
	if form.Has("post") {
		var err error
		// It stays for a while, so that a reload still knows where to go.
		if form, err = d.posts.Get(r.Context(), form.Get("post")); errors.Is(err, broker.NotFound) {
			form = url.Values{} // too late: the question without the app
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
		if l.Target == "" {
			if l, err = d.returned(r.Context(), form.Get("state")); err != nil {
				return err
			}
		}
		return d.left(w, r, l)
	case err != nil:
		return err
	//defence:A16 = true
	case l.session == s.ID:
		return d.part(w, r, s, l, false)
	case form.Has("stay"):
		d.pages.Show(w, r, http.StatusOK, "stayed", nil)
		return nil
	}
	return d.question(w, r, s, l)
}

// signoutView is what the confirm page shows (UX.md E-18).
type signoutView struct {
	Action   string
	Leaving  string // sealed for this session
	Apps     []string
	Upstream string // whose own session can be ended too
}

func (d *Handler) question(w http.ResponseWriter, r *http.Request, s broker.Session, l leaving) error {
	back, err := d.ring.SealJSON(l, purposeLogout, s.ID) // the page brings it, so that asking costs no row
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
	d.pages.Show(w, r, http.StatusOK, "signout", signoutView{Action: inLanguage(pathEndSession+"/confirm", d.toolkit.Locale(r)), Leaving: back,
		Apps: names(apps), Upstream: upstream})
	return nil
}

// endSessionPost takes a sign-out that an app posted; the cookie is looked at
// when the browser comes back with a GET.
func (d *Handler) endSessionPost(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.readLeaving(r, r.PostForm); err != nil {
		return err
	}
	keep := url.Values{} // what we read and nothing else, so that nobody keeps secrets with us
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"} {
		if r.PostForm.Has(name) {
			keep.Set(name, r.PostForm.Get(name))
		}
	}
	return d.comeBack(w, r, pathEndSession, keep)
}

// endSessionConfirm is the answer to the question. the toolkit refuses it from another origin.
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
	if err := d.ring.OpenJSON(r.PostFormValue("leaving"), &l, purposeLogout, s.ID); err != nil {
		return broker.RequestInvalid.Because(err)
	}
	return d.part(w, r, s, l, r.PostFormValue("upstream") == "1")
}

// inLanguage keeps the language of the question for what follows it.
func inLanguage(path, lang string) string { return path + "?ui_locales=" + url.QueryEscape(lang) }

func (d *Handler) signOut(w http.ResponseWriter, r *http.Request, s broker.Session) error {
	if err := d.toolkit.EndSession(w, r, s); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: cookiePick, Value: "1", Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: int(pickLife / time.Second)})
	return nil
}

// left goes on to the app, or says that it is done (UX.md E-19).
func (d *Handler) left(w http.ResponseWriter, r *http.Request, l leaving) error {
	if l.Target != "" {
		seeOther(w, l.Target)
		return nil
	}
	d.pages.Show(w, r, http.StatusOK, "signedout", signedoutView{})
	return nil
}
