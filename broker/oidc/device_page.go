package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/web"
)

// The pages of UX.md E-16: code entry, sign-in if needed, the question, the result.
// Opening a link decides nothing.

// deviceView is the page on which a code is typed.
type deviceView struct {
	web.Form
	Action string
	Code   string // as typed
}

// deviceQuestionView is the page with the question.
type deviceQuestionView struct {
	App     string
	Code    string
	Email   string
	Scopes  []scopeView
	Address string
	At      time.Time
	Action  string
	Switch  string
	// Unchecked marks an app that registered itself: no operator has checked it.
	Unchecked bool
	Links     web.AppLinks
}

// devicePage shows the code entry. A code in the link (verification_uri_complete) only
// prefills the field, because an attacker may have sent the link (RFC 8628 §5.4).
func (d *Handler) devicePage(w http.ResponseWriter, r *http.Request) error {
	d.toolkit.EnsureBrowser(w, r)
	code := tidyUserCode(r.URL.Query().Get("user_code"))
	if code != "" {
		code = shownUserCode(code)
	}
	d.pages.Show(w, r, http.StatusOK, "device", deviceView{Action: pathDevice, Code: code})
	return nil
}

// showDeviceError shows the code entry with the problem.
func (d *Handler) showDeviceError(w http.ResponseWriter, r *http.Request, typed string, why error) error {
	code, text := broker.CodeOf(why), ""
	p := d.toolkit.Printer(r)
	switch code {
	case broker.CodeWrong:
		text = p.Text("oidc.device_wrong")
	case broker.CodeExpired:
		text = p.Text("oidc.device_expired")
	case broker.CodeReused:
		text = p.Text("oidc.device_used")
	case broker.RateLimited:
		retry, _ := errors.AsType[broker.Retry](why)
		w.Header().Set("Retry-After", strconv.Itoa(retry.After))
		text = p.Text("oidc.device_tries", web.Wait(p, retry.After))
	default:
		return why
	}
	if len(typed) > 64 || !clients.IsText(typed) {
		typed = ""
	}
	d.toolkit.Count(code)
	d.pages.Show(w, r, code.Meaning().Status, "device",
		deviceView{Form: web.Form{Problems: []web.Problem{{Field: "user_code", Text: text}}}, Action: pathDevice,
			Code: typed})
	return nil
}

// deviceTyped looks up a code and continues to its question.
func (d *Handler) deviceTyped(w http.ResponseWriter, r *http.Request) error {
	r = d.toolkit.WithSelf(r, pathDevice)
	browser, ok := d.toolkit.Browser(r)
	if !ok {
		return broker.CookiesBlocked
	}
	typed := r.PostFormValue("user_code")
	code := tidyUserCode(typed)
	if code == "" {
		return d.showDeviceError(w, r, typed, broker.CodeWrong)
	}
	_, a, err := d.toolkit.Current(r, "")
	if err != nil && !broker.Refused(err) {
		return err
	}
	in := err == nil
	if err := d.desk.guesses.Consume(r.Context(), d.toolkit.Address(r), browser[0], a.ID); err != nil {
		return d.showDeviceError(w, r, typed, err)
	}
	key, call, err := d.desk.byUserCode(r.Context(), code)
	if errors.Is(err, broker.NotFound) {
		err = broker.CodeWrong
	}
	if err == nil {
		err = d.undecided(call)
	}
	if err != nil {
		return d.showDeviceError(w, r, typed, err)
	}
	id := broker.NewID()
	// The code is sealed because the page shows it again, and it is a secret until it is
	// used.
	//defence:A23 = code, nil
	sealed, err := d.keyring.SealJSON(code, purposeUserCode, id)
	if err == nil {
		err = d.desk.asks.Put(r.Context(), id, deviceAsk{Call: key, Code: sealed, Browser: browser[0]})
	}
	if err != nil {
		return err
	}
	if in {
		seeOther(w, pathDevice+"/"+id)
		return nil
	}
	// The sign-in may lead to a provider, and Chromium applies form-action to every redirect
	// after a POST.
	d.toolkit.HandOff(w, r, pathDevice+"/"+id, "")
	return nil
}

// undecided returns CodeExpired or CodeReused if the call cannot be decided any more.
func (d *Handler) undecided(c deviceCall) error {
	switch {
	case c.Decision != "":
		return broker.CodeReused
	case !d.now().Before(c.Expires):
		return broker.CodeExpired
	}
	return nil
}

// deviceAsked finds the question in the path, for the browser that it was made for.
func (d *Handler) deviceAsked(r *http.Request) (deviceAsk, deviceCall, error) {
	ask, err := d.desk.asks.Get(r.Context(), r.PathValue("id"))
	if errors.Is(err, broker.NotFound) {
		err = broker.LoginUnknown
	}
	if err != nil {
		return ask, deviceCall{}, err
	}
	//defence:A14
	if browser, _ := d.toolkit.Browser(r); !slices.Contains(browser, ask.Browser) {
		return ask, deviceCall{}, broker.LoginElsewhere
	}
	call, err := d.desk.calls.Get(r.Context(), ask.Call)
	if errors.Is(err, broker.NotFound) {
		err = broker.LoginUnknown
	}
	return ask, call, err
}

// deviceQuestion asks the person every time, for every app (RFC 8628 §3.3.1).
func (d *Handler) deviceQuestion(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	ask, call, err := d.deviceAsked(r)
	if err != nil {
		return err
	}
	if call.By == id {
		d.pages.Show(w, r, http.StatusOK, "devicedone", call.Decision == deviceAllowed)
		return nil
	}
	if err := d.undecided(call); err != nil {
		return d.showDeviceError(w, r, "", err)
	}
	c, err := d.client(r.Context(), call.Grant.Client)
	if err != nil {
		return err
	}
	s, a, err := d.toolkit.Current(r, call.Grant.Client)
	if err != nil && !broker.Refused(err) {
		return err
	}
	if err != nil || r.URL.Query().Has("switch") {
		return d.toLogin(w, r, broker.Login{Request: url.Values{deviceKey: {id}}, ClientID: c.ID, Pick: err == nil})
	}
	if ask.Session != s.ID {
		if _, err := d.desk.asks.Change(r.Context(), id,
			func(q *deviceAsk) error { q.Session = s.ID; return nil }); err != nil {
			return err
		}
	}
	var code string
	if err := d.keyring.OpenJSON(ask.Code, &code, purposeUserCode, id); err != nil {
		return broker.LoginUnknown.Because(err)
	}
	view := deviceQuestionView{App: c.Name, Code: shownUserCode(code), Email: a.Email, Address: call.Address,
		At:        call.At.UTC(),
		Links:     web.LinksOf(c),
		Unchecked: c.RegistrationHash != "", Action: pathDevice + "/" + id, Switch: pathDevice + "/" + id + "?switch=1"}
	for _, scope := range (wanted{}).needs(c, call.Grant.Scopes) {
		view.Scopes = append(view.Scopes, scopeView{Name: scope, Known: clients.AboutPerson(scope)})
	}
	r = d.toolkit.WithLocale(r, r.URL.Query().Get("ui_locales"), a.Locale)
	d.pages.Show(w, r, http.StatusOK, "deviceask", view)
	return nil
}

// deviceDecided stores the person's decision. It counts once, and only for the session to
// which the question was shown. Otherwise the browser goes back and sees why.
func (d *Handler) deviceDecided(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	ask, call, err := d.deviceAsked(r)
	if err != nil {
		return err
	}
	s, a, err := d.toolkit.Current(r, call.Grant.Client)
	if err != nil && !broker.Refused(err) {
		return err
	}
	if err != nil {
		d.toolkit.HandOff(w, r, pathDevice+"/"+id, "") // sign in first
		return nil
	}
	//defence:A14
	if ask.Session != s.ID || d.undecided(call) != nil {
		seeOther(w, pathDevice+"/"+id)
		return nil
	}
	c, err := d.client(r.Context(), call.Grant.Client)
	if err != nil {
		return err
	}
	e := broker.Event{Verb: broker.EventConsentDenied, Code: broker.ConsentDenied, Account: a.ID, Actor: a.ID,
		Client: c.ID, Session: s.ID,
		Detail: map[string]string{"grant": clients.GrantDevice, "device": call.Address,
			"scope": strings.Join(call.Grant.Scopes, " ")}}
	how := deviceDenied
	switch r.PostFormValue("decision") {
	case "allow":
		how, e.Verb, e.Code = deviceAllowed, broker.EventConsentGranted, ""
		err = d.agree(r, c, wanted{}.needs(c, call.Grant.Scopes), e)
	case "deny":
		err = d.store.Record(r.Context(), d.toolkit.Event(r, e))
	default:
		err = broker.RequestInvalid.Because(errors.New("oidc: decision must be allow or deny"))
	}
	if err != nil {
		return err
	}
	// The grant has no session: signing out of the browser does not sign out a television.
	err = d.desk.answer(r.Context(), ask.Call, id, how,
		session{Account: a.ID, Unlocked: a.Restriction == nil, Authn: s.Authn,
			Person: idTokenPerson(c, a, call.Grant.Scopes, wanted{})})
	if err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	seeOther(w, pathDevice+"/"+id)
	return nil
}

// deviceReturn returns the path back from the login, in the language chosen there.
func deviceReturn(form url.Values) string {
	path := pathDevice + "/" + url.PathEscape(form.Get(deviceKey))
	if lang := form.Get("ui_locales"); lang != "" {
		path = inLanguage(path, lang)
	}
	return path
}
