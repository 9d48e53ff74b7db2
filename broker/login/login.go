// Package login answers one question: who is this, and how do we know?
package login

import (
	"embed"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/credential"
	"gatehouse/broker/mail"
	"gatehouse/broker/seal"
	"gatehouse/broker/web"
)

//go:embed page/*.html
var pageFiles embed.FS

// Options are what the room is made of; all are needed.
type Options struct {
	Kit         *web.Kit
	Accounts    broker.Accounts
	Identities  broker.Identities
	Sessions    broker.Sessions
	Upstreamed  broker.UpstreamSessions
	Marks       broker.Marks
	Connections broker.Connections
	Clients     broker.Clients
	Fleeting    broker.Fleeting
	Atomic      broker.Atomic
	Journal     broker.Journal
	Upstreams   broker.Upstreams
	Passwords   *credential.Passwords
	Codes       *credential.Codes
	// Factors are the second factors of accounts; nil while the deployment has none.
	Factors broker.Factors
	Post    *mail.Post
	Ring    *seal.Keyring

	Registration broker.Registration
	// PasswordSignIn tells whether a password opens a session. It confirms a link either way.
	PasswordSignIn bool
	// Icon names the symbol of a connection's kind, see web.Kit.
	Icon func(kind string) string
	// Callback is the absolute redirect_uri of a connection: …/callback/{connection}.
	Callback func(connection string) string

	Now func() time.Time
	Log *slog.Logger
}

// Door serves the journey. No step knows the next one: every route asks the hall.
// It is safe for concurrent use.
type Door struct {
	*service
	pages *web.Pages
	app   App
}

// App answers the app that waits for a login. The OpenID Provider implements it.
type App interface {
	// Respond answers the app's request from the session of a finished login. It
	// handles a GET.
	Respond(w http.ResponseWriter, r *http.Request, l broker.FinishedLogin) error
}

// New makes the room. It panics where a page or a text is missing, see web.Kit.Pages.
func New(o Options) *Door {
	return &Door{service: newService(o), pages: o.Kit.Pages(pageFiles)}
}

// Mount adds the routes. app answers where a login was begun for one.
func (d *Door) Mount(mux web.Router, app App) {
	d.app = app
	get := func(pattern string, h web.Handler) { mux.Handle("GET "+pattern, d.Kit.Handle(h)) }
	post := func(pattern string, read func(*http.Request) act) {
		mux.Handle("POST "+pattern, d.Kit.Handle(d.act(read)))
	}

	get("/login", d.enter)
	get("/login/{id}", d.show)
	get("/login/{id}/to/{connection}", d.away)
	get("/login/{id}/restart", d.startAgain)
	post("/login/{id}/email", d.postEmail)
	post("/login/{id}/password", d.postPassword)
	post("/login/{id}/link", d.postLink)
	post("/login/{id}/own", d.postOwn)
	post("/login/{id}/register", d.postRegister)
	post("/login/{id}/code", d.postCode)
	post("/login/{id}/resend", d.postResend)
	post("/login/{id}/wish", d.postWish)
	post("/login/{id}/factor", d.postFactor)
	post("/login/{id}/confirm", d.postConfirm)
	post("/login/{id}/continue", d.postContinue)
	post("/login/{id}/cancel", d.postRestart)
	post("/login/{id}/restart", d.postRestart)

	get("/callback/{connection}", d.callback)
	open := func(pattern string, h web.Handler) { mux.Handle("POST "+pattern, d.Kit.HandleOpen(h)) }
	open("/callback/{connection}", d.posted)
	open("/callback/{connection}/deauthorize", d.deauthorized)
	open("/callback/{connection}/data-deletion", d.deleted)
	open("/callback/{connection}/logout", d.loggedOut)
	get("/data-deletion/{code}", d.deletionStatus)
}

func loginPath(id string) string { return "/login/" + url.PathEscape(id) }

func departPath(id, connection string) string {
	return loginPath(id) + "/to/" + url.PathEscape(connection)
}

// appPath is where the app's request is answered.
func appPath(id string) string { return "/authorize?login=" + url.QueryEscape(id) }

// visit reads what the request tells of its browser.
func (d *Door) visit(r *http.Request) visit {
	hashes, _ := d.Kit.Browser(r)
	from := d.Kit.Event(r, broker.Event{})
	return visit{
		browser: hashes, locale: d.Kit.Locale(r), address: from.Address, agent: from.UserAgent,
		session: func() (broker.Session, broker.Account, error) { return d.Kit.Current(r) },
		known:   func(a broker.Account) bool { return d.Kit.Known(r, a) },
		event:   func(e broker.Event) broker.Event { return d.Kit.Event(r, e) },
	}
}

func redirect(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
