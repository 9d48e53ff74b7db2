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

// grant is what an access token stands for right now.
type grant struct {
	access
	client  broker.Client
	family  broker.Family  // zero for client_credentials
	account broker.Account // likewise
}

func (g grant) has(scope string) bool { return slices.Contains(g.scopes(), scope) }

// markAccess is the kind of the marks of revoked client_credentials tokens.
const markAccess = "access"

// bearer answers what an access token stands for, or errNoToken where it is not
// one of ours, is over, or belongs to somebody who may not come in any more.
func (d *Door) bearer(ctx context.Context, token string) (grant, error) {
	a, err := d.strategy.openAccess(token)
	if err != nil {
		return grant{}, err
	}
	g := grant{access: a}
	id := a.Client
	if a.Family != "" {
		g.family, g.account, err = d.families.Family(ctx, a.Family)
		if err == nil {
			err = d.live(ctx, g.family, g.account)
		}
		if err != nil {
			return grant{}, gone(err)
		}
		id = g.family.ClientID
	} else {
		marked, err := d.marks.Marked(ctx, markAccess, a.ID)
		if err != nil {
			return grant{}, err
		}
		if marked {
			return grant{}, errNoToken
		}
	}
	if g.client, err = d.client(ctx, id); err != nil {
		return grant{}, gone(err)
	}
	return g, nil
}

// gone turns a refusal into errNoToken and leaves the failures of ours.
func gone(err error) error {
	if broker.CodeOf(err).Meaning().Status < 500 {
		return errNoToken
	}
	return err
}

// userinfo is OIDC Core §5.3.
func (d *Door) userinfo(w http.ResponseWriter, r *http.Request) error {
	token, err := bearerToken(r)
	if err != nil {
		return d.challenge(w, http.StatusBadRequest, "invalid_request")
	}
	if token == "" {
		return d.challenge(w, http.StatusUnauthorized, "")
	}
	g, err := d.bearer(r.Context(), token)
	if errors.Is(err, errNoToken) {
		return d.challenge(w, http.StatusUnauthorized, "invalid_token")
	}
	if err != nil {
		return err
	}
	d.allowOrigin(w, r, g.client)
	if g.Family == "" || !g.has(scopeOpenID) {
		return d.challenge(w, http.StatusForbidden, "insufficient_scope")
	}
	return writeJSON(w, http.StatusOK, personal(g))
}

// bearerToken reads the token from the header or from a posted form, never from
// the URL, where it would end up in logs (RFC 6750 §2, §5.3).
func bearerToken(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	posted := ""
	if r.Method == http.MethodPost {
		posted = r.PostForm.Get("access_token")
	}
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return posted, nil
	case posted != "" || len(r.Header.Values("Authorization")) > 1:
		return "", errors.New("oidc: two tokens")
	}
	return strings.TrimSpace(token), nil
}

// challenge is RFC 6750 §3.
func (d *Door) challenge(w http.ResponseWriter, status int, name string) error {
	value := `Bearer realm="` + d.issuer + `"`
	if name == "" {
		w.Header().Set("WWW-Authenticate", value)
		w.WriteHeader(status)
		return nil
	}
	value += `, error="` + name + `"`
	if name == "insufficient_scope" {
		value += `, scope="` + scopeOpenID + `"`
	}
	w.Header().Set("WWW-Authenticate", value)
	return writeJSON(w, status, map[string]string{"error": name})
}

// introspection is the answer of RFC 7662 §2.2.
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
}

// introspect tells a confidential client about a token that it owns or is the
// audience of. Of any other token it learns no more than of nonsense (SECURITY.md A21).
func (d *Door) introspect(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	err := bodyForm(r)
	if err == nil {
		_, err = d.provider.AuthenticateClient(ctx, r, r.PostForm)
	}
	if err == nil && u.client.Public() {
		err = fosite.ErrInvalidClient.WithHint("Introspection is for clients with a secret.")
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

func (d *Door) look(ctx context.Context, token, caller string) (none introspection, _ error) {
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
	others := g.client.Audience
	if g.Family != "" {
		others = g.family.Audience
	}
	if g.client.ID != caller && !slices.Contains(others, caller) {
		return none, nil
	}
	answer := introspection{Active: true, Scope: g.Scope, ClientID: g.client.ID, Subject: g.account.ID, Issuer: d.issuer,
		Audience: append([]string{g.client.ID}, others...), Expires: g.Expires, Issued: g.Issued, ID: g.ID, Type: "Bearer"}
	if g.Family == "" {
		answer.Subject = g.client.ID
	}
	return answer, nil
}

func (d *Door) lookRefresh(ctx context.Context, said shown, caller string) (none introspection, _ error) {
	f, a, err := d.families.Family(ctx, said.family)
	if err == nil {
		err = d.live(ctx, f, a)
	}
	if err != nil {
		if errors.Is(gone(err), errNoToken) {
			err = nil
		}
		return none, err
	}
	if f.ClientID != caller || said.generation != f.Generation {
		return none, nil
	}
	return introspection{Active: true, Scope: strings.Join(f.Scopes, " "), ClientID: f.ClientID, Subject: f.AccountID, Issuer: d.issuer,
		Audience: []string{f.ClientID}, Expires: f.ExpiresAt.Unix()}, nil
}

// revoke is RFC 7009. Revoking any token of a family ends the family, so a person
// who signs out of an app is signed out of it.
func (d *Door) revoke(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	err := bodyForm(r)
	if err == nil {
		_, err = d.provider.AuthenticateClient(ctx, r, r.PostForm)
	}
	if err == nil && r.PostForm.Get("token") == "" {
		err = fosite.ErrInvalidRequest.WithHint("The token is missing.")
	}
	if err == nil {
		err = d.revokeToken(ctx, r, u.client)
	}
	if err != nil {
		// A failed write is said, so that the client comes again: fosite would answer 200.
		return d.refuse(w, r, u, err)
	}
	d.allowOrigin(w, r, u.client)
	w.WriteHeader(http.StatusOK)
	return nil
}

// revokeToken does nothing where the token is none, or is over already (RFC 7009 §2.2).
func (d *Door) revokeToken(ctx context.Context, r *http.Request, c broker.Client) error {
	token := r.PostForm.Get("token")
	family := ""
	if said, err := d.strategy.openRefresh(token); err == nil {
		family = said.family
	} else if a, err := d.strategy.openAccess(token); err != nil {
		return nil
	} else if a.Family == "" {
		return d.revokeClientToken(ctx, a, c)
	} else {
		family = a.Family
	}
	f, _, err := d.families.Family(ctx, family)
	if errors.Is(err, broker.NotFound) || err == nil && !f.EndedAt.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	if f.ClientID != c.ID {
		return fosite.ErrUnauthorizedClient.WithHint("The token belongs to another client.")
	}
	return d.end(ctx, f.ID, broker.Revoked, d.kit.Event(r, broker.Event{Verb: broker.EventFamilyEnded, Code: broker.Revoked,
		Account: f.AccountID, Client: c.ID, Session: f.SessionID, Detail: map[string]string{"family": f.ID}}))
}

func (d *Door) revokeClientToken(ctx context.Context, a access, c broker.Client) error {
	if a.Client != c.ID {
		return fosite.ErrUnauthorizedClient.WithHint("The token belongs to another client.")
	}
	err := d.marks.Mark(ctx, markAccess, a.ID, time.Unix(a.Expires, 0))
	if errors.Is(err, broker.Conflict) {
		return nil
	}
	return err
}
