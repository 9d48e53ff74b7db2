package oidc

import (
	"context"
	"errors"
	"net/http"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// Errors for a device that polls the token endpoint (RFC 8628 §3.5).
var (
	errAuthorizationPending = &fosite.RFC6749Error{ErrorField: "authorization_pending",
		DescriptionField: "The person has not decided yet.", CodeField: http.StatusBadRequest}
	errSlowDown = &fosite.RFC6749Error{ErrorField: "slow_down",
		DescriptionField: "Wait five seconds longer between requests.", CodeField: http.StatusBadRequest}
	errDeviceExpired = &fosite.RFC6749Error{ErrorField: "expired_token",
		DescriptionField: "The device_code has expired.", CodeField: http.StatusBadRequest}
	errDeviceDenied = &fosite.RFC6749Error{ErrorField: "access_denied",
		DescriptionField: "The person has said no.", CodeField: http.StatusBadRequest}
)

// deviceHandler is the grant at the token endpoint. Like an authorization code, a device code is consumed by
// inserting its grant's row, in persistGrant.
type deviceHandler struct {
	store    *store
	strategy *strategy
	openID   *openid.IDTokenHandleHelper
}

var _ fosite.TokenEndpointHandler = (*deviceHandler)(nil)

// CanSkipClientAuth returns false.
func (*deviceHandler) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest accepts the device grant only.
func (*deviceHandler) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(clients.GrantDevice)
}

// HandleTokenEndpointRequest reads the person's decision. A code of another client counts as unknown, so guesses do
// not slow down the device that owns it.
func (h *deviceHandler) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	u, err := unitOf(ctx)
	if err != nil {
		return err
	}
	desk, code := h.store.desk, r.GetRequestForm().Get("device_code")
	if code == "" {
		return fosite.ErrInvalidRequest.WithHint("The device_code is missing.")
	}
	key, call, err := desk.byDeviceCode(ctx, code)
	if errors.Is(err, broker.NotFound) ||
		//defence:A1 A9 A10
		err == nil && call.Grant.Client != u.client.ID {
		return fosite.ErrInvalidGrant
	}
	if err != nil {
		return err
	}
	switch {
	case !desk.now().Before(call.Expires):
		u.why = broker.CodeExpired
		return errDeviceExpired
	case call.Decision == deviceDenied:
		u.why = broker.ConsentDenied
		return errDeviceDenied
	case call.Decision != deviceAllowed:
		slow, err := desk.tooSoon(ctx, key)
		if err == nil && slow {
			err = errSlowDown
		}
		if err == nil {
			err = errAuthorizationPending
		}
		return err
	}
	u.code, u.device = call.Grant.request(u.client), true
	r.SetRequestedScopes(u.code.GetRequestedScopes())
	r.SetRequestedAudience(u.code.GetRequestedAudience())
	r.SetSession(u.code.GetSession())
	r.SetID(u.code.GetID())
	return nil
}

// PopulateTokenEndpointResponse issues the tokens and adds the grant to the pending changes.
func (h *deviceHandler) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester,
	resp fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	u, err := unitOf(ctx)
	if err != nil {
		return err
	}
	for _, scope := range u.code.GetGrantedScopes() {
		r.GrantScope(scope)
	}
	for _, audience := range u.code.GetGrantedAudience() {
		r.GrantAudience(audience)
	}
	access, _, err := h.strategy.GenerateAccessToken(ctx, r)
	if err != nil {
		return err
	}
	refresh := ""
	if r.GetGrantedScopes().Has(clients.ScopeOffline) && u.client.May(clients.GrantRefresh) {
		if refresh, _, err = h.strategy.GenerateRefreshToken(ctx, r); err != nil {
			return err
		}
	}
	if err := h.consume(ctx, refresh); err != nil {
		return err
	}
	resp.SetAccessToken(access)
	resp.SetTokenType("bearer")
	resp.SetExpiresIn(broker.AccessLife)
	resp.SetScopes(r.GetGrantedScopes())
	if refresh != "" {
		resp.SetExtra("refresh_token", refresh)
	}
	if !r.GetGrantedScopes().Has(clients.ScopeOpenID) {
		return nil
	}
	return h.openID.IssueExplicitIDToken(ctx, broker.IDTokenLife, r, resp)
}

func (h *deviceHandler) consume(ctx context.Context, refresh string) error {
	ctx, err := h.store.BeginTX(ctx)
	if err == nil {
		err = h.store.InvalidateAuthorizeCodeSession(ctx, "")
	}
	if err == nil && refresh != "" {
		err = h.store.CreateRefreshTokenSession(ctx, refresh, "", nil)
	}
	if err != nil {
		return err
	}
	return h.store.Commit(ctx)
}

// waits reports whether a response only tells the device to wait. It comes every five seconds, so it is not
// counted, logged or recorded.
func waits(answer *fosite.RFC6749Error) bool {
	return answer.ErrorField == errAuthorizationPending.ErrorField || answer.ErrorField == errSlowDown.ErrorField
}
