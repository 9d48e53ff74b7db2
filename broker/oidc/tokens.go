package oidc

import (
	"context"

	"github.com/ory/fosite"

	"gatehouse/broker"
)

// The part of the store for tokens. Tokens have no rows: an access token is sealed, a
// refresh token is derived, and the row of their grant says whether they are valid.

// CreateAccessTokenSession does nothing.
func (s *store) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

// GetAccessTokenSession finds nothing. fosite does not call it: bearer reads access
// tokens.
func (s *store) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession does nothing.
func (s *store) DeleteAccessTokenSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession sets in the unit that a new grant has a refresh token.
func (s *store) CreateRefreshTokenSession(ctx context.Context, _, _ string, _ fosite.Requester) error {
	_, p, err := pendingOf(ctx)
	if err != nil {
		return err
	}
	if p.begin != nil {
		p.begin.RefreshCounter, p.begin.ExpiresAt = 1, p.begin.CreatedAt.Add(broker.RefreshLife)
	}
	return nil
}

// GetRefreshTokenSession reads the grant of a refresh token and judges the token.
func (s *store) GetRefreshTokenSession(ctx context.Context, token string, _ fosite.Session) (fosite.Requester, error) {
	u, err := unitOf(ctx)
	if err != nil {
		return nil, err
	}
	said, err := s.open(token)
	if err != nil {
		return nil, fosite.ErrNotFound
	}
	f, a, err := s.gate.Grant(ctx, said.grant)
	switch {
	case err != nil && !broker.Refused(err):
		return nil, err
	case f.ID == "":
		return nil, fosite.ErrNotFound
	}
	r := fosite.NewRequest()
	r.ID, r.Client = f.ID, forFosite(u.client)
	r.RequestedScope, r.GrantedScope = f.Scopes, f.Scopes
	r.RequestedAudience, r.GrantedAudience = f.Audience, f.Audience
	r.Session = &session{Account: f.AccountID, Session: f.SessionID, Authn: f.Authn, Claims: f.Claims,
		Person: idTokenPerson(u.client, a, f.Scopes, wantedOf(f.Claims))}
	//defence:A6
	if f.KeyThumbprint != "" && f.KeyThumbprint != u.key {
		// Not treated as reuse: a client without the key must not end the grant.
		u.stored = f
		return nil, fosite.ErrNotFound
	}
	rotate, err := judge(f, err, said, u.client.ID, s.now())
	u.stored, u.next, u.rotate = f, said.refreshCounter+1, rotate
	if rotate && u.client.FAPI2 {
		// The client's keys protect its refresh token, so it stays as it is: a client that loses a response
		// loses nothing (FAPI 2.0 Security Profile §5.3.2.1). The write remains, because it compares the epoch.
		u.next = said.refreshCounter
	}
	switch code := broker.CodeOf(err); {
	case err == nil:
		return r, nil
	case code.Meaning().Status < 500:
		u.why = code // Handler.refuse revokes the grant for TokenReused
		return nil, fosite.ErrNotFound
	default:
		return nil, err
	}
}

// DeleteRefreshTokenSession does nothing.
func (s *store) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RotateRefreshToken adds the next refresh counter to the unit.
func (s *store) RotateRefreshToken(ctx context.Context, _, _ string) error {
	u, p, err := pendingOf(ctx)
	if err != nil {
		return err
	}
	//defence:A6
	p.rotate = u.rotate
	return nil
}

// RevokeRefreshToken fails. fosite does not call it: Handler.refuse revokes grants.
func (s *store) RevokeRefreshToken(context.Context, string) error { return errNotOurs }

// RevokeAccessToken fails, for the same reason.
func (s *store) RevokeAccessToken(context.Context, string) error { return errNotOurs }
