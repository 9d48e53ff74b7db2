// Package login finds out who a person is, and how that was proven.
package login

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/credential"
	"gatehouse/broker/mail"
	"gatehouse/broker/seal"
	"gatehouse/broker/web"
)

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
	Ring    *seal.Keyring

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
	kit     *web.Toolkit
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
	return &Handler{service: newService(o), kit: o.Toolkit, pages: o.Toolkit.Pages(pageFiles)}
}

// Mount adds the routes. app responds for logins that an app began.
func (d *Handler) Mount(mux web.Router, app App) {
	d.app = app
	get := func(pattern string, h web.Handler) { mux.Handle("GET "+pattern, d.kit.Handle(h)) }
	post := func(pattern string, read func(*http.Request) act) {
		mux.Handle("POST "+pattern, d.kit.Handle(d.act(read)))
	}

	get("/login", d.enter)
	get("/login/{id}", d.show)
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
	open := func(pattern string, h web.Handler) { mux.Handle("POST "+pattern, d.kit.HandleOpen(h)) }
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
	hashes, _ := d.kit.Browser(r)
	from := d.kit.Event(r, broker.Event{})
	return visit{
		browser: hashes, sessions: d.kit.SessionHashes(r), locale: d.kit.Locale(r), address: from.Address,
		agent: from.UserAgent,
		known: func(a broker.Account) bool { return d.kit.Known(r, a) },
		event: func(e broker.Event) broker.Event { return d.kit.Event(r, e) },
	}
}

func redirect(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
