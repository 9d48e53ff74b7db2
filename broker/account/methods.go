package account

import (
	"context"
	"net/http"
	"slices"
	"time"

	"gatehouse/broker"
)

// The parameters of the methods page. They name the last change, and the page confirms it only if it is true.
const (
	queryLinked   = "linked"   // a connection; the login journey sets it too
	queryUnlinked = "unlinked" // a connection
	queryGone     = "gone"     // the identity that the session was created with
)

// state holds an account's identities, the connections, and its usable sign-in methods.
type state struct {
	identities  []broker.Identity
	connections []broker.Connection
	methods     broker.SignInMethods
}

func (d *Handler) state(ctx context.Context, a broker.Account) (s state, err error) {
	if s.identities, err = d.Store.IdentitiesOf(ctx, a.ID); err != nil {
		return s, err
	}
	if s.connections, err = d.Store.Connections(ctx); err != nil {
		return s, err
	}
	return d.stateOf(a, s.identities, s.connections), nil
}

func (d *Handler) stateOf(a broker.Account, identities []broker.Identity, connections []broker.Connection) state {
	return state{identities, connections, broker.SignInMethodsOf(a, identities, connections, d.PasswordSignIn)}
}

// connection returns the connection of that id, or the zero Connection, which is not usable.
func (s state) connection(id string) broker.Connection {
	if i := slices.IndexFunc(s.connections, func(c broker.Connection) bool { return c.ID == id }); i >= 0 {
		return s.connections[i]
	}
	return broker.Connection{}
}

func (s state) has(connection string) bool {
	return slices.ContainsFunc(s.identities, func(i broker.Identity) bool { return i.Connection == connection })
}

// mayLink asks the rules whether an identity of the connection may be added. They are asked again when the
// upstream has named the identity.
func (d *Handler) mayLink(ctx context.Context, a broker.Account, c broker.Connection) error {
	return d.Gate.MayLink(ctx, broker.Claims{Connection: c.ID}, a, "")
}

type methodsView struct {
	Email       string
	Restriction *broker.Restriction
	Only        string // the kind that the restriction is about, for its texts
	Linked      string // the connection's name, after linking
	Unlinked    string
	Password    bool
	Opens       bool // the password opens a session
	Methods     []method
	Links       []offer
}

// method is one linked identity.
type method struct {
	Name, Icon, Email string
	LinkedAt, SeenAt  time.Time
	Off, Shut         bool   // its connection is off; the restriction excludes it
	Unlink            string // path, "" if unlinking is not offered
	Required, Last    bool   // why not
}

// offer is a connection that may be linked.
type offer struct{ ID, Name, Icon string }

// show is the account page: the account and its sign-in methods.
func (d *Handler) show(w http.ResponseWriter, r *http.Request, p person) error {
	have, err := d.state(r.Context(), p.Account)
	if err != nil {
		return err
	}
	d.Toolkit.EnsureBrowser(w, r) // this page's POSTs begin logins
	v := methodsView{Email: p.Email, Restriction: p.Restriction, Password: p.HasPassword(), Opens: have.methods.Password}
	if p.Restriction != nil {
		v.Only = p.Restriction.Only
	}
	for _, i := range have.identities {
		v.Methods = append(v.Methods, d.method(p.Account, have, i))
	}
	for _, c := range have.connections {
		hidden := c.Hidden && !c.Routes(p.Email)
		if hidden || have.has(c.ID) {
			continue
		}
		//defence:D6
		switch err := d.mayLink(r.Context(), p.Account, c); {
		case err == nil:
			v.Links = append(v.Links, offer{c.ID, c.Name, d.Icon(c.Kind)})
		case !broker.Refused(err):
			return err
		}
	}
	q := r.URL.Query()
	if c := q.Get(queryLinked); have.has(c) {
		v.Linked = have.connection(c).Name
	}
	if c := have.connection(q.Get(queryUnlinked)); c.Usable() == nil && !have.has(c.ID) {
		v.Unlinked = c.Name
	}
	d.pages.Show(w, r, http.StatusOK, "methods", v)
	return nil
}

func (d *Handler) method(a broker.Account, have state, i broker.Identity) method {
	c := have.connection(i.Connection)
	m := method{Name: c.Name, Icon: d.Icon(c.Kind), Email: i.Email, LinkedAt: i.LinkedAt.UTC(), SeenAt: i.SeenAt.UTC(),
		Off: c.Usable() != nil, Shut: a.Restriction != nil && !a.Restriction.Allows(i.Connection)}
	switch broker.MayUnlink(a, i, have.methods) {
	case nil:
		m.Unlink = unlinkPath(i.ID)
	case broker.MethodRequired:
		m.Required = true
	default:
		m.Last = true
	}
	return m
}

// link begins a login at an upstream, for the signed-in account only. It responds with the hand-off page,
// because Chromium applies form-action to redirects after a POST.
func (d *Handler) link(w http.ResponseWriter, r *http.Request, p person) error {
	have, err := d.state(r.Context(), p.Account)
	if err != nil {
		return err
	}
	c := have.connection(r.PostFormValue("connection"))
	//defence:D6
	if err := d.mayLink(r.Context(), p.Account, c); err != nil {
		return d.refuse(w, r, p, c, err)
	}
	//defence:C5
	if !d.reauthenticated(p) {
		return d.reauthenticate(w, r, p, have)
	}
	path, err := d.Logins.Start(w, r, broker.Login{Purpose: broker.PurposeLink, For: p.ID, Connection: c.ID})
	if err != nil {
		return err
	}
	d.Toolkit.HandOff(w, r, path, c.Name)
	return nil
}
