// Package account has the pages on which people manage their own account and its sign-in methods.
package account

import (
	"embed"
	"net/http"
	"net/url"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/mail"
	"gatehouse/broker/web"
)

//go:embed page/*.html
var pageFiles embed.FS

// Logins is what this package uses of the login journey.
type Logins interface {
	// Start begins a login and returns the path where the browser continues.
	Start(w http.ResponseWriter, r *http.Request, l broker.Login) (path string, err error)
}

// Store is the storage that the account pages need.
type Store interface {
	broker.Accounts
	broker.Identities
	broker.Connections
	broker.AuditLog
	broker.Atomic
}

// Options configure a Handler; all are required.
type Options struct {
	Toolkit *web.Toolkit
	Gate    *access.Gate
	Logins  Logins
	Store   Store
	Mailer  *mail.Mailer
	// PasswordSignIn reports whether a password opens a session.
	PasswordSignIn bool
	// Icon returns the icon name of a connection's kind, see web.Toolkit.
	Icon func(kind string) string
	Now  func() time.Time
}

// Handler serves the pages. It is safe for concurrent use.
type Handler struct {
	Options
	pages *web.Pages
}

// New returns a Handler. It panics on a missing page or text, see web.Toolkit.Pages.
func New(o Options) *Handler { return &Handler{Options: o, pages: o.Toolkit.Pages(pageFiles)} }

// Mount adds the routes.
func (d *Handler) Mount(mux web.Router) {
	handle := func(pattern string, h web.Handler) { mux.Handle(pattern, d.Toolkit.Handle(h)) }

	handle("GET /account", d.known(d.show))
	handle("GET /account/methods", d.known(d.show))
	handle("POST /account/methods/link", d.known(d.link))
	handle("GET /account/methods/{id}/unlink", d.known(d.ask))
	handle("POST /account/methods/{id}/unlink", d.known(d.unlink))
}

// person is the signed-in account with its session.
type person struct {
	broker.Account
	Session broker.Session
}

// known passes the signed-in account to h, or redirects to /login.
func (d *Handler) known(h func(http.ResponseWriter, *http.Request, person) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		s, a, err := d.Toolkit.Current(r, "")
		switch {
		case err == nil:
			return h(w, r, person{a, s})
		case !broker.Refused(err):
			return err
		case r.Method == http.MethodGet && r.URL.Query().Has(queryGone):
			d.pages.Show(w, r, http.StatusOK, "gone", nil)
			return nil
		}
		return redirect(w, r, "/login")
	}
}

// reauthenticated reports whether the person authenticated recently enough to change the sign-in methods.
func (d *Handler) reauthenticated(p person) bool {
	within := int(broker.LinkFresh / time.Second)
	return broker.Fresh(p.Session.Authn, d.Now(), &within, time.Time{})
}

// reauthenticate sends the person to authenticate again. They return to the methods page and must press the
// button again: the request is not carried along, so that a login cannot change anything.
func (d *Handler) reauthenticate(w http.ResponseWriter, r *http.Request, p person, have state) error {
	l := broker.Login{Purpose: broker.PurposeReauthenticate, For: p.ID, Fresh: true, Hint: p.Email}
	if have.methods.Password {
		l.Email = p.Email
	}
	path, err := d.Logins.Start(w, r, l)
	if err != nil {
		return err
	}
	return redirect(w, r, path)
}

// refuse shows a refusal with a link back to the account.
func (d *Handler) refuse(w http.ResponseWriter, r *http.Request, p person, c broker.Connection, err error) error {
	if !broker.Refused(err) {
		return err
	}
	d.Toolkit.Refusal(w, r, broker.CodeOf(err), web.RefusalView{Connection: c.Name, Cause: err,
		Primary: &web.Action{Href: broker.MethodsPath, Text: d.Toolkit.Printer(r).Text("account.back")},
		Event:   broker.Event{Account: p.ID, Actor: p.ID, Connection: c.ID, Session: p.Session.ID}})
	return nil
}

func unlinkPath(id string) string { return broker.MethodsPath + "/" + url.PathEscape(id) + "/unlink" }

func redirect(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
