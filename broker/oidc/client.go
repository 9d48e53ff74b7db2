package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// forFosite describes a client to fosite. It has no secret there, because authenticate compares secrets. redirects
// are the redirect URIs that fosite may see, after broker.MatchRedirect accepted them: its own rules for loopback
// addresses never widen ours.
func forFosite(c broker.Client, redirects ...string) *fosite.DefaultClient {
	return &fosite.DefaultClient{ID: c.ID, RedirectURIs: redirects, GrantTypes: c.GrantTypes,
		ResponseTypes: []string{"code"}, Scopes: c.Scopes, Audience: c.Audience, Public: c.Public()}
}

// credentials are the client authentication in a request.
type credentials struct {
	id, secret, method string
	assertion          assertion // of private_key_jwt
}

// readCredentials finds the one method of client authentication that a request uses (RFC
// 6749 §2.3).
func (d *Handler) readCredentials(r *http.Request, form url.Values) (c credentials, err error) {
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		return d.readAsserted(r, form)
	}
	c = credentials{id: form.Get("client_id"), secret: form.Get("client_secret"), method: "none"}
	if c.secret != "" {
		c.method = "client_secret_post"
	}
	if r.Header.Get("Authorization") == "" {
		return c, nil
	}
	id, secret, ok := r.BasicAuth()
	switch {
	case !ok:
		return c, fosite.ErrInvalidClient.WithHint("The Authorization header must be HTTP Basic.")
	//defence:A9
	case c.secret != "":
		return c, fosite.ErrInvalidRequest.WithHint("Use one way of client authentication, not two.")
	}
	// RFC 6749 §2.3.1: both parts are form-encoded, but many clients send them as they are.
	basic := credentials{id: unescape(id), secret: unescape(secret), method: "client_secret_basic"}
	if c.id != "" && c.id != basic.id {
		return c, fosite.ErrInvalidRequest.WithHint("The client_id differs from the one in the Authorization header.")
	}
	if basic.secret == "" { // a public client whose library always sends the header
		basic.method = "none"
	}
	return basic, nil
}

// readAsserted reads a client assertion (RFC 7523 §2.2). The client_id is optional.
func (d *Handler) readAsserted(r *http.Request, form url.Values) (c credentials, err error) {
	//defence:A9
	if form.Has("client_secret") || r.Header.Get("Authorization") != "" {
		return c, fosite.ErrInvalidRequest.WithHint("Use one way of client authentication, not two.")
	}
	if form.Get("client_assertion_type") != assertionType {
		return c, fosite.ErrInvalidClient.WithHint("The client_assertion_type must be " + assertionType + ".")
	}
	a, err := readAssertion(form.Get("client_assertion"), d.issuer, d.now())
	if err != nil || form.Has("client_id") && form.Get("client_id") != a.client {
		return c, fosite.ErrInvalidClient.WithWrap(err).WithHint("The client assertion is not valid here: check iss, sub, " +
			"aud (the issuer or the token endpoint, one value), exp (at most five minutes), jti and alg.")
	}
	return credentials{id: a.client, method: clients.MethodKey, assertion: a}, nil
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// authenticate is the client authentication of every endpoint. It accepts exactly the
// registered methods (SECURITY.md A9) and takes as long for a client that does not exist.
// It also refuses a grant type that the client may not use.
func (d *Handler) authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	shown, err := d.readCredentials(r, form)
	if err != nil {
		return nil, err
	}
	c, err := d.client(ctx, shown.id)
	if err != nil && !errors.Is(err, broker.ClientUnknown) {
		return nil, err
	}
	known := err == nil
	if !d.secretMatches(ctx, c, shown) || !known {
		return nil, notAuthenticated(c, shown)
	}
	if shown.method == clients.MethodKey {
		if err := d.consumeAssertion(ctx, shown.assertion); err != nil {
			return nil, err
		}
	}
	if u, err := unitOf(ctx); err == nil {
		u.client = c
	}
	grant := form.Get("grant_type")
	if grant != "" && !c.May(grant) {
		return nil, notRegistered(fosite.ErrUnauthorizedClient, c, "grant type", grant, c.GrantTypes, "--grant TYPE")
	}
	for s := range strings.FieldsSeq(form.Get("scope")) {
		if grant == clients.GrantClient && !slices.Contains(c.Scopes, s) { // fosite would repeat what was sent
			return nil, notRegistered(fosite.ErrInvalidScope, c, "scope", s, c.Scopes, "--scope SCOPE")
		}
	}
	return forFosite(c), nil
}

// secretMatches compares with every live secret, also after a match. A client without one
// is compared with a discarded secret, so that it takes as long.
func (d *Handler) secretMatches(ctx context.Context, c broker.Client, shown credentials) bool {
	switch shown.method {
	case "none":
		return c.Public()
	case clients.MethodKey:
		return d.signedByClient(ctx, c, shown.assertion)
	}
	hashes := c.SecretHashes
	if len(hashes) == 0 {
		hashes = []string{d.noSecret}
	}
	match := false
	for _, h := range hashes {
		if clients.SameSecret(d.keyring, shown.id, shown.secret, h) {
			match = true
		}
	}
	return match && slices.Contains(c.AuthMethods, shown.method) && len(c.SecretHashes) > 0
}

// client finds a client by an id from a request. It returns ClientUnknown if there is none
// or it is disabled.
func (d *Handler) client(ctx context.Context, id string) (broker.Client, error) {
	if !clients.PlausibleID(id) {
		return broker.Client{}, broker.ClientUnknown
	}
	c, err := d.store.Client(ctx, id)
	switch {
	case errors.Is(err, broker.NotFound):
		return broker.Client{}, broker.ClientUnknown
	case err != nil:
		return broker.Client{}, err
	//defence:A7 D11
	case c.Disabled:
		return broker.Client{}, broker.ClientUnknown.Because(errors.New("the client is disabled; gatehouse clients enable " +
			"enables it"))
	}
	return c, nil
}
