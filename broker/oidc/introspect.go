package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
)

// introspection is the response of RFC 7662 §2.2.
type introspection struct {
	Active   bool     `json:"active"`
	Scope    string   `json:"scope,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Subject  string   `json:"sub,omitempty"`
	Issuer   string   `json:"iss,omitempty"`
	Audience []string `json:"aud,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Issued   int64    `json:"iat,omitempty"`
	ID       string   `json:"jti,omitempty"`
	Type     string   `json:"token_type,omitempty"` // of access tokens

	Confirm *confirmation `json:"cnf,omitempty"` // the key that must be shown with it
}

// introspect describes a token to a confidential client that owns it or is in its
// audience. Any other token looks like an invalid one (SECURITY.md A21).
func (d *Handler) introspect(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	err := bodyForm(r)
	if err == nil {
		_, err = d.provider.AuthenticateClient(ctx, r, r.PostForm)
	}
	//defence:A21
	if err == nil && u.client.Public() {
		err = fosite.ErrInvalidClient.WithHint("Introspection is for clients that authenticate.")
	}
	if err != nil {
		return d.refuse(w, r, u, err)
	}
	answer, err := d.look(ctx, r.PostForm.Get("token"), u.client.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (d *Handler) look(ctx context.Context, token, caller string) (none introspection, _ error) {
	if said, err := d.strategy.openRefresh(token); err == nil {
		return d.lookRefresh(ctx, said, caller)
	}
	g, err := d.bearer(ctx, token)
	if errors.Is(err, errNoToken) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	audience := g.audience()
	//defence:A21 A10
	if g.client.ID != caller && !slices.Contains(audience, caller) {
		return none, nil
	}
	answer := introspection{Active: true, Scope: g.Scope, ClientID: g.client.ID, Subject: g.account.ID, Issuer: d.issuer,
		Audience: audience, Expires: g.Expires, Issued: g.Issued, ID: g.ID, Type: tokenType(g.Key), Confirm: confirm(g.Key)}
	if g.GrantID == "" {
		answer.Subject = g.client.ID
	}
	return answer, nil
}

// audience returns the resources to which the token was narrowed, or its client and
// everything that was granted.
func (g grant) audience() []string {
	switch {
	//defence:A13 A21 ./broker/oidc:TestAResourceNarrowsOneTokenAndNotTheGrant
	case len(g.Audience) > 0:
		return g.Audience
	case g.GrantID != "":
		return append([]string{g.client.ID}, g.grant.Audience...)
	default:
		return append([]string{g.client.ID}, g.client.Audience...)
	}
}

func (d *Handler) lookRefresh(ctx context.Context, said shown, caller string) (none introspection, _ error) {
	f, _, err := d.gate.Grant(ctx, said.grant)
	//defence:D1 D5 A7
	if err != nil {
		if errors.Is(gone(err), errNoToken) {
			err = nil
		}
		return none, err
	}
	//defence:A21
	if f.ClientID != caller || !current(said, f) {
		return none, nil
	}
	return introspection{Active: true, Scope: strings.Join(f.Scopes, " "), ClientID: f.ClientID, Subject: f.AccountID,
		Issuer:   d.issuer,
		Audience: []string{f.ClientID}, Expires: f.ExpiresAt.Unix(), Confirm: confirm(f.KeyThumbprint)}, nil
}

// revoke is the endpoint of RFC 7009. Revoking any token of a grant revokes the grant, so
// a person who signs out of an app is signed out of it.
func (d *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	err := bodyForm(r)
	if err == nil {
		_, err = d.provider.AuthenticateClient(ctx, r, r.PostForm)
	}
	if err == nil && r.PostForm.Get("token") == "" {
		err = fosite.ErrInvalidRequest.WithHint("The token is missing.")
	}
	if err == nil {
		//defence:H6
		err = d.revokeToken(ctx, r, u.client)
	}
	if err != nil {
		// A failed write is reported, so that the client tries again; fosite would return 200.
		return d.refuse(w, r, u, err)
	}
	d.allowOrigin(w, r, u.client)
	w.WriteHeader(http.StatusOK)
	return nil
}

// revokeToken does nothing if the token is invalid or expired (RFC 7009 §2.2).
func (d *Handler) revokeToken(ctx context.Context, r *http.Request, c broker.Client) error {
	token := r.PostForm.Get("token")
	grantID := ""
	if said, err := d.strategy.openRefresh(token); err == nil {
		grantID = said.grant
	} else if a, err := d.strategy.openAccess(token); err != nil {
		return nil
	} else if a.GrantID == "" {
		return d.revokeClientToken(ctx, a, c)
	} else {
		grantID = a.GrantID
	}
	f, _, err := d.store.Grant(ctx, grantID)
	if errors.Is(err, broker.NotFound) || err == nil && !f.EndedAt.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	//defence:A10
	if f.ClientID != c.ID {
		return fosite.ErrUnauthorizedClient.WithHint("The token belongs to another client.")
	}
	return d.end(ctx, c, f.ID, broker.Revoked,
		d.toolkit.Event(r, broker.Event{Verb: broker.EventGrantRevoked, Code: broker.Revoked,
			Account: f.AccountID, Client: c.ID, Session: f.SessionID, Detail: map[string]string{"grant_id": f.ID}}))
}

func (d *Handler) revokeClientToken(ctx context.Context, a accessContents, c broker.Client) error {
	if a.Client != c.ID {
		return fosite.ErrUnauthorizedClient.WithHint("The token belongs to another client.")
	}
	err := d.store.MarkUsed(ctx, usedAccess, a.ID, time.Unix(a.Expires, 0))
	if errors.Is(err, broker.Conflict) {
		return nil
	}
	return err
}
