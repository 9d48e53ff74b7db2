// Package account is where people look after their own account: who they are here,
// and the sign-in methods which they sign in.
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

// Logins is what the room needs of the login journey.
type Logins interface {
	// Start begins a login and answers the path at which the browser goes on.
	Start(w http.ResponseWriter, r *http.Request, l broker.Login) (path string, err error)
}

// Store is what the account pages read and write.
type Store interface {
	broker.Accounts
	broker.Identities
	broker.Connections
	broker.AuditLog
	broker.Atomic
}

// Options are what a Handler is made of; all are needed.
type Options struct {
	Toolkit *web.Toolkit
	Gate    *access.Gate
	Logins  Logins
	Store   Store
	Mailer  *mail.Mailer
	// PasswordSignIn reports whether a password opens a session.
	PasswordSignIn bool
	// Icon names the symbol of a connection's kind, see web.Toolkit.
	Icon func(kind string) string
	Now  func() time.Time
}

// Handler serves the pages. It is safe for concurrent use.
type Handler struct {
	Options
	pages *web.Pages
}

// New makes the room. It panics where a page or a text is missing, see web.Toolkit.Pages.
func New(o Options) *Handler { return &Handler{Options: o, pages: o.Toolkit.Pages(pageFiles)} }

// Mount adds the room's routes.
func (d *Handler) Mount(mux web.Router) {
	handle := func(pattern string, h web.Handler) { mux.Handle(pattern, d.Toolkit.Handle(h)) }

	handle("GET /account", d.known(d.show))
	handle("GET /account/methods", d.known(d.show))
	handle("POST /account/methods/link", d.known(d.link))
	handle("GET /account/methods/{id}/unlink", d.known(d.ask))
	handle("POST /account/methods/{id}/unlink", d.known(d.unlink))
}

// person is who asks: an account, and the session that says so.
type person struct {
	broker.Account
	Session broker.Session
}

// known hands on who is signed in. Whoever is not signs in first.
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

// proven reports whether the person has shown who they are recently enough to change
// how they sign in.
func (d *Handler) reauthenticated(p person) bool {
	within := int(broker.LinkFresh / time.Second)
	return broker.Fresh(p.Session.Authn, d.Now(), &within, time.Time{})
}

// reauthenticate sends the person to prove it again. They come back to the methods page and
// press again: what they wanted is not carried along, so no login does it for them.
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

// refuse says no on a page that leads back to the account.
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
