// Package login finds out who a person is, and how that was proven.
package login

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/credential"
	"gatehouse/broker/mail"
	"gatehouse/broker/seal"
	"gatehouse/broker/text"
	"gatehouse/broker/web"
)

// enter begins a login without an app, which ends at the account page. A known code in sso_error is shown as a
// banner; any other text is ignored.
func (d *Handler) enter(w http.ResponseWriter, r *http.Request) error {
	l := broker.Login{}
	if code := broker.Code(r.URL.Query().Get("sso_error")); code.Meaning().Status != 0 {
		l.Notice = code
	} else if have, _, err := d.service.current(r.Context(), d.visit(r), l); err != nil || have != nil {
		if err != nil {
			return err
		}
		return redirect(w, r, broker.AccountPath)
	}
	if lang, ok := d.toolkit.Switched(r); ok {
		l.Locale = lang
	}
	l, err := d.start(w, r, d.visit(r), l)
	if err != nil {
		return err
	}
	return redirect(w, r, loginPath(l.ID))
}

// here opens the login of a GET. A login without any proof is copied for another browser, which is redirected to
// the copy. moved reports that the response was sent.
func (d *Handler) here(w http.ResponseWriter, r *http.Request) (v visit, l broker.Login, moved bool, err error) {
	v = d.visit(r)
	l, err = d.service.open(r.Context(), v, r.PathValue("id"))
	if !errors.Is(err, broker.LoginElsewhere) {
		return v, l, false, err
	}
	q := r.URL.Query()
	if len(v.browser) == 0 && q.Get("copy") != "" && !l.HasProof() {
		return v, l, true, d.blocked(w, r, l.ID) // it was set a moment ago
	}
	l, err = d.service.adopt(r.Context(), v, d.toolkit.EnsureBrowser(w, r), l)
	if err != nil {
		return v, l, false, err
	}
	path := loginPath(l.ID)
	if c := r.PathValue("connection"); c != "" {
		path = upstreamPath(l.ID, c)
	}
	q.Set("copy", "1")
	return v, l, true, redirect(w, r, path+"?"+q.Encode())
}

// blocked responds to a browser that rejects cookies. The page offers a retry with the same login.
func (d *Handler) blocked(w http.ResponseWriter, r *http.Request, id string) error {
	d.toolkit.Fail(w, d.toolkit.WithSelf(r, loginPath(id)), broker.CookiesBlocked)
	return nil
}

// show serves the page of the step that the login waits for, at the step's own address. Every other address below the
// login leads there, except that Back to the first page shows it.
func (d *Handler) show(w http.ResponseWriter, r *http.Request) error {
	v, l, moved, err := d.here(w, r)
	if err != nil || moved {
		return err
	}
	ctx := r.Context()
	if lang, ok := d.toolkit.Switched(r); ok && !l.IsConsumed() {
		_, err := d.service.logins.Change(ctx, l.ID, func(l *broker.Login) error { l.Locale = lang; return nil })
		if err != nil {
			return err
		}
		return redirect(w, r, r.URL.Path)
	}
	if l.IsConsumed() {
		if _, err := d.service.resume(ctx, v, l); err == nil {
			return d.done(w, r, l)
		} else if !errors.Is(err, broker.InteractionRequired) {
			return err
		}
		if err := d.service.revive(ctx, l); err != nil {
			return err
		}
		return redirect(w, r, loginPath(l.ID))
	}
	sc, err := d.service.advance(ctx, v, l)
	if err != nil {
		return err
	}
	if sc.No != nil && banner(broker.CodeOf(sc.No)) {
		if sc.Login, err = d.service.fallBack(ctx, v, sc); err == nil {
			sc, err = d.service.look(ctx, v, sc.Login)
		}
		if err != nil {
			return err
		}
	}
	if sc.No == nil && sc.Step == broker.StepDone {
		return d.done(w, r, sc.Login)
	}
	if sc.No != nil || r.URL.Path == stepPath(sc) {
		return d.present(w, r, v, sc)
	}
	if r.PathValue("step") == "" && mayGoBack(sc) {
		sc.Step = broker.StepChoose
		return d.present(w, r, v, sc)
	}
	return redirect(w, r, stepPath(sc))
}

// done responds to a GET of a login in which nothing is left to ask.
func (d *Handler) done(w http.ResponseWriter, r *http.Request, l broker.Login) error {
	v := d.visit(r)
	done, err := d.service.finish(r.Context(), v, l.ID)
	if l.Request != nil {
		return d.respond(w, r, v, l.ID, done, err)
	}
	if err == nil {
		err = d.deliver(w, r, v, done)
	}
	if err != nil {
		return err
	}
	end := l.Purpose.Ends()
	if l.Purpose == broker.PurposeLink {
		end += "?linked=" + url.QueryEscape(l.Connection)
	}
	return redirect(w, r, end)
}

// respond sets the browser's session and responds to the app's request. If a step is still left, it shows the login's
// page.
func (d *Handler) respond(w http.ResponseWriter, r *http.Request, v visit, id string, done finished,
	err error) error {
	if err == nil {
		err = d.deliver(w, r, v, done)
	}
	if errors.Is(err, broker.InteractionRequired) {
		return redirect(w, r, loginPath(id))
	}
	if err != nil {
		return err
	}
	return d.app.Respond(w, r, done.signIn())
}

// act is the verb of a POST with the input from its form.
type act struct {
	do func(ctx context.Context, v visit, id string) error
	// keep holds the fields that a page shows again as typed. Never a password.
	keep url.Values
	then string // query of the next page
	// first: the first page was posted, which may be open while the login waits for another one.
	first bool
}

// act runs the verb of a POST. It responds with a 303 to the next page; with the hand-off page to the app,
// because Chromium applies form-action to redirects after a POST; or with the same page and its errors.
func (d *Handler) act(read func(*http.Request) act) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, v, id := r.Context(), d.visit(r), r.PathValue("id")
		r = d.toolkit.WithSelf(r, loginPath(id))
		if len(v.browser) == 0 {
			return d.blocked(w, r, id)
		}
		a := read(r)
		err := a.do(ctx, v, id)
		if err != nil && !errors.Is(err, broker.Conflict) && !correctable(broker.CodeOf(err)) {
			return d.refused(w, r, v, id, err)
		}
		l, e := d.service.open(ctx, v, id)
		if e != nil {
			return e
		}
		sc, e := scene{Login: l}, nil
		if !l.IsConsumed() {
			if sc, e = d.service.advance(ctx, v, l); e != nil && !errors.Is(e, broker.Conflict) {
				return e
			}
		}
		switch {
		case l.Request != nil && (sc.IsConsumed() || sc.No == nil && sc.Step == broker.StepDone):
			d.toolkit.HandOff(w, d.inLogin(r, l), appPath(id), d.service.app(ctx, l).Name)
			return nil
		case err == nil || errors.Is(err, broker.Conflict) || sc.IsConsumed() || sc.No != nil:
			return redirect(w, r, stepPath(sc)+a.then)
		}
		if a.first {
			sc.Step = broker.StepChoose
		}
		return d.correct(w, d.toolkit.WithSelf(r, stepPath(sc)), v, sc, a, err)
	}
}

// correctable reports whether the person can correct the input on the same page.
func correctable(c broker.Code) bool {
	switch c {
	case broker.EmailInvalid, broker.WrongPassword, broker.WeakPassword, broker.NameInvalid,
		broker.CodeWrong, broker.CodeExpired, broker.CodeTooSoon, broker.RateLimited, broker.Busy:
		return true
	}
	return false
}

// correct shows the page of the step again with the error, and the code's status.
func (d *Handler) correct(w http.ResponseWriter, r *http.Request, v visit, sc scene, a act, err error) error {
	r = d.inLogin(r, sc.Login)
	code, p := broker.CodeOf(err), d.toolkit.Printer(r)
	args, key := text.Args{}, "login.problem."+string(code)
	if wrong, ok := errors.AsType[credential.WrongCode](err); ok {
		key, args["left"] = key+".left", wrong.Left
	}
	if _, ok := errors.AsType[codeRenewed](err); ok {
		key += ".renewed"
	}
	if retry, ok := errors.AsType[broker.Retry](err); ok {
		w.Header().Set("Retry-After", itoa(retry.After))
		args["wait"] = web.Wait(p, retry.After)
	}
	at := field(code)
	if _, ok := errors.AsType[factorWrong](err); ok && at != "" {
		at, key = "factor", "login.factor.wrong"
	}
	if _, ok := errors.AsType[blank](err); ok {
		key += ".empty"
	} else if code == broker.WrongPassword && (sc.Step == broker.StepLink || sc.Step == broker.StepConfirm) {
		key += ".own" // the page asks for the password of one account
	}
	form := web.Form{Problems: []web.Problem{{Field: at, Text: p.Text(key, args)}}}
	r.Form = a.keep
	return d.presentStatus(w, r, v, sc, form, code.Meaning().Status)
}

// field returns the input that a code is about, or "" for the page as a whole.
func field(c broker.Code) string {
	switch c {
	case broker.EmailInvalid:
		return "email"
	case broker.WrongPassword, broker.WeakPassword:
		return "password"
	case broker.NameInvalid:
		return "given_name"
	case broker.CodeWrong, broker.CodeExpired:
		return "code"
	}
	return ""
}

//go:embed page/*.html
var pageFiles embed.FS

// Store is the storage that a login needs.
type Store interface {
	broker.Accounts
	broker.Identities
	broker.Sessions
	broker.UpstreamSessions
	broker.ReplayCache
	broker.Connections
	broker.Clients
	broker.AuditLog
	broker.Atomic
}

// Options configure a Handler. All are required except Factors and Pause.
type Options struct {
	Toolkit   *web.Toolkit
	Gate      *access.Gate
	Store     Store
	Ephemeral broker.Ephemeral
	Upstreams broker.Upstreams
	Passwords *credential.Passwords
	Codes     *credential.Codes
	// Factors are the second factors of accounts; nil while the deployment has none.
	Factors broker.Factors
	Mailer  *mail.Mailer
	Keyring *seal.Keyring

	Registration broker.Registration
	// PasswordSignIn reports whether a password opens a session. It confirms a link in either case.
	PasswordSignIn bool
	// Icon returns the icon name of a connection's kind, see web.Toolkit.
	Icon func(kind string) string
	// Callback returns the absolute redirect_uri of a connection: …/callback/{connection}.
	Callback func(connection string) string

	Now func() time.Time
	Log *slog.Logger
	// Pause waits while another request finishes the login; nil: on the real clock.
	Pause func(context.Context, time.Duration) error
}

// Handler serves the sign-in pages. No step knows the next one: every route asks broker.Next. It is safe for
// concurrent use.
type Handler struct {
	service *service
	toolkit *web.Toolkit
	pages   *web.Pages
	app     App
}

// App responds to the app that waits for a login. The OpenID Provider implements it.
type App interface {
	// Respond responds to the app's request with the session of a finished login. It handles a GET.
	Respond(w http.ResponseWriter, r *http.Request, l broker.FinishedLogin) error
}

// New returns a Handler. It panics on a missing page or text, see web.Toolkit.Pages.
func New(o Options) *Handler {
	return &Handler{service: newService(o), toolkit: o.Toolkit, pages: o.Toolkit.Pages(pageFiles)}
}

// Mount adds the routes. app responds for logins that an app began.
func (d *Handler) Mount(mux web.Router, app App) {
	d.app = app
	get := func(pattern string, h web.Handler) { mux.Handle("GET "+pattern, d.toolkit.Handle(h)) }
	post := func(pattern string, read func(*http.Request) act) {
		mux.Handle("POST "+pattern, d.toolkit.Handle(d.act(read)))
	}

	get("/login", d.enter)
	get("/login/{id}", d.show)
	get("/login/{id}/{step}", d.show)
	get("/login/{id}/to/{connection}", d.awayPage)
	get("/login/{id}/restart", d.restartPage)
	post("/login/{id}/email", d.postEmail)
	post("/login/{id}/password", d.postPassword)
	post("/login/{id}/link", d.postLink)
	post("/login/{id}/own", d.postOwn)
	post("/login/{id}/register", d.postRegister)
	post("/login/{id}/code", d.postCode)
	post("/login/{id}/resend", d.postResend)
	post("/login/{id}/wish", d.postChoice)
	post("/login/{id}/factor", d.postFactor)
	post("/login/{id}/confirm", d.postConfirm)
	post("/login/{id}/continue", d.postContinue)
	post("/login/{id}/cancel", d.postRestart)
	post("/login/{id}/restart", d.postRestart)
	get("/callback/{connection}", d.callback)
	get("/callback/{connection}/logout", d.loggedOut)
	open := func(pattern string, h web.Handler) { mux.Handle("POST "+pattern, d.toolkit.HandleOpen(h)) }
	open("/callback/{connection}", d.posted)
	open("/callback/{connection}/deauthorize", d.deauthorized)
	open("/callback/{connection}/data-deletion", d.deleted)
	open("/callback/{connection}/logout", d.loggedOut)
	get("/data-deletion/{code}", d.deletionStatus)
}

func loginPath(id string) string { return "/login/" + url.PathEscape(id) }

func upstreamPath(id, connection string) string {
	return loginPath(id) + "/to/" + url.PathEscape(connection)
}

// appPath is where the app's request continues.
func appPath(id string) string { return "/authorize?login=" + url.QueryEscape(id) }

// visit collects what the request reveals about its browser.
func (d *Handler) visit(r *http.Request) visit {
	hashes, _ := d.toolkit.Browser(r)
	return visit{
		browser: hashes, sessions: d.toolkit.SessionHashes(r),
		locale:  func() string { return d.toolkit.Locale(r) },
		address: func() string { return d.toolkit.Address(r) },
		known:   func(a broker.Account) bool { return d.toolkit.Known(r, a) },
		event:   func(e broker.Event) broker.Event { return d.toolkit.Event(r, e) },
	}
}

func redirect(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
