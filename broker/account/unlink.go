package account

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/access"
)

type unlinkView struct {
	Name, Icon, Email string
	Path, Back        string
	Here              bool // the current session was created with it
}

// own returns the identity in the path if it belongs to the person; else NotFound.
func (s state) own(r *http.Request) (broker.Identity, error) {
	i := slices.IndexFunc(s.identities, func(i broker.Identity) bool {
		//defence:C15 = true
		return i.ID == r.PathValue("id")
	})
	if i < 0 {
		return broker.Identity{}, broker.NotFound
	}
	return s.identities[i], nil
}

// ask is the confirmation page.
func (d *Handler) ask(w http.ResponseWriter, r *http.Request, p person) error {
	have, err := d.state(r.Context(), p.Account)
	if err != nil {
		return err
	}
	i, err := have.own(r)
	if err != nil {
		return d.refuse(w, r, p, broker.Connection{}, err)
	}
	c := have.connection(i.Connection)
	if err := broker.MayUnlink(p.Account, i, have.methods); err != nil {
		return d.refuse(w, r, p, c, err)
	}
	d.pages.Show(w, r, http.StatusOK, "unlink", unlinkView{Name: c.Name, Icon: d.Icon(c.Kind), Email: i.Email,
		Path: unlinkPath(i.ID), Back: broker.MethodsPath, Here: p.Session.Authn.Identity == i.ID})
	return nil
}

// unlink removes an identity. Sessions created with it end, even the current one: a thief with a stolen identity must
// be signed out immediately.
func (d *Handler) unlink(w http.ResponseWriter, r *http.Request, p person) error {
	have, err := d.state(r.Context(), p.Account)
	if err != nil {
		return err
	}
	i, err := have.own(r)
	if errors.Is(err, broker.NotFound) {
		return redirect(w, r, broker.MethodsPath) // a double click
	}
	c := have.connection(i.Connection)
	if err := broker.MayUnlink(p.Account, i, have.methods); err != nil {
		return d.refuse(w, r, p, c, err)
	}
	//defence:C5
	if !d.reauthenticated(p) {
		return d.reauthenticate(w, r, p, have)
	}
	err = d.part(r, p, i, c.Name)
	switch {
	case errors.Is(err, broker.NotFound), errors.Is(err, broker.Conflict):
		return redirect(w, r, broker.MethodsPath) // another request was faster; the page shows the result
	case err != nil:
		return d.refuse(w, r, p, c, err)
	case p.Session.Authn.Identity != i.ID:
		return redirect(w, r, broker.MethodsPath+"?"+url.Values{queryUnlinked: {c.ID}}.Encode())
	}
	if err := d.Toolkit.EndSession(w, r, p.Session); err != nil {
		return err
	}
	return redirect(w, r, broker.MethodsPath+"?"+queryGone+"=1")
}

// part unlinks in one transaction, with its Event and the mail to the owner.
func (d *Handler) part(r *http.Request, p person, i broker.Identity, name string) error {
	return d.Store.Atomic(r.Context(), func(ctx context.Context) error {
		a, err := d.Store.Account(ctx, p.ID)
		if err == nil && (a.Disabled || a.AuthEpoch != p.AuthEpoch) {
			err = broker.Conflict
		}
		if err != nil {
			return err
		}
		u := access.Unlinking{Account: a, Identity: i.ID, Connection: name, Locale: d.Toolkit.Locale(r), At: d.Now()}
		u.May = func(identities []broker.Identity, connections []broker.Connection) error {
			have := d.stateOf(a, identities, connections)
			i, err := have.own(r)
			if err != nil {
				return err
			}
			return broker.MayUnlink(a, i, have.methods)
		}
		if err := access.Unlink(ctx, d.Store, d.Mailer, u); err != nil {
			return err
		}
		e := broker.Event{Verb: broker.EventIdentityUnlinked, Account: a.ID, Actor: a.ID, Connection: i.Connection,
			Session: p.Session.ID}
		return d.Store.Record(ctx, d.Toolkit.Event(r, e))
	})
}
