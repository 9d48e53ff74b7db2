package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// grant is what an access token currently permits.
type grant struct {
	accessContents
	client  broker.Client
	grant   broker.Grant   // zero for client_credentials
	account broker.Account // likewise
}

func (g grant) has(scope string) bool { return slices.Contains(g.scopes(), scope) }

// usedAccess is the kind of revoked client_credentials tokens in the replay cache.
const usedAccess = "access"

// bearer returns what an access token permits. It returns errNoToken if the token is not
// ours, has expired, or belongs to an account that may not sign in any more.
func (d *Handler) bearer(ctx context.Context, token string) (grant, error) {
	a, err := d.strategy.openAccess(token)
	if err != nil {
		return grant{}, err
	}
	g := grant{accessContents: a}
	id := a.Client
	if a.GrantID != "" {
		g.grant, g.account, err = d.gate.Grant(ctx, a.GrantID)
		//defence:D1 D5 A7
		//defence:A7 ./cmd/gatehouse:TestModel
		if err != nil {
			return grant{}, gone(err)
		}
		id = g.grant.ClientID
	} else {
		marked, err := d.store.IsUsed(ctx, usedAccess, a.ID)
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

// gone turns a refusal into errNoToken and returns internal errors unchanged.
func gone(err error) error {
	if broker.CodeOf(err).Meaning().Status < 500 {
		return errNoToken
	}
	return err
}

// userinfo is the endpoint of OIDC Core §5.3.
func (d *Handler) userinfo(w http.ResponseWriter, r *http.Request) error {
	scheme, token, err := presented(r)
	if err != nil || token == "" {
		d.allowError(w, r, broker.Client{})
	}
	if err != nil {
		return d.challenge(w, http.StatusBadRequest, scheme, "invalid_request")
	}
	if token == "" {
		return d.challenge(w, http.StatusUnauthorized, scheme, "")
	}
	g, err := d.bearer(r.Context(), token)
	d.allowError(w, r, g.client)
	if err == nil {
		err = d.holds(r, pathUserinfo, scheme, token, g)
		if g.Key != "" {
			scheme = schemeDPoP // for the challenge
		}
	}
	spoken, isOAuth := errors.AsType[*fosite.RFC6749Error](err)
	switch {
	case errors.Is(err, errNoToken):
		return d.challenge(w, http.StatusUnauthorized, scheme, "invalid_token")
	case isOAuth:
		return d.challenge(w, http.StatusUnauthorized, scheme, spoken.ErrorField)
	case err != nil:
		return err
	case g.GrantID == "" || !g.has(clients.ScopeOpenID):
		return d.challenge(w, http.StatusForbidden, scheme, "insufficient_scope")
	//defence:A21 ./broker/oidc:TestAResourceNarrowsOneTokenAndNotTheGrant
	case len(g.Audience) > 0 && !slices.Contains(g.Audience, d.issuer):
		return d.challenge(w, http.StatusUnauthorized, scheme, "invalid_token") // the token is for other resources
	}
	return writeJSON(w, http.StatusOK, personal(g))
}

// presented returns the access token and its scheme, from the header or a posted form. It
// never reads the URL, because URLs end up in logs (RFC 6750 §2, §5.3).
func presented(r *http.Request) (scheme, token string, err error) {
	name, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	posted := ""
	if r.Method == http.MethodPost {
		posted = r.PostForm.Get("access_token")
	}
	switch {
	case strings.EqualFold(name, schemeDPoP):
		scheme = schemeDPoP
	case strings.EqualFold(name, schemeBearer):
		scheme = schemeBearer
	default:
		return schemeBearer, posted, nil
	}
	if posted != "" || len(r.Header.Values("Authorization")) > 1 {
		return scheme, "", errors.New("oidc: the request has two tokens")
	}
	return scheme, strings.TrimSpace(token), nil
}

// challenge writes a response of RFC 6750 §3 or RFC 9449 §7.1. A request without a token
// gets both schemes.
func (d *Handler) challenge(w http.ResponseWriter, status int, scheme, name string) error {
	h := w.Header()
	bearer := schemeBearer + ` realm="` + d.issuer + `"`
	bound := schemeDPoP + ` realm="` + d.issuer + `", algs="` + strings.Join(proofAlgs(), " ") + `"`
	if name == "" {
		h.Add("WWW-Authenticate", bearer)
		h.Add("WWW-Authenticate", bound)
		w.WriteHeader(status)
		return nil
	}
	value := bearer
	if scheme == schemeDPoP {
		value = bound
	}
	value += `, error="` + name + `"`
	if name == "insufficient_scope" {
		value += `, scope="` + clients.ScopeOpenID + `"`
	}
	h.Set("WWW-Authenticate", value)
	return writeJSON(w, status, map[string]string{"error": name})
}
