package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
)

// grant is what an access token stands for right now.
type grant struct {
	accessContents
	client  broker.Client
	grant   broker.Grant   // zero for client_credentials
	account broker.Account // likewise
}

func (g grant) has(scope string) bool { return slices.Contains(g.scopes(), scope) }

// usedAccess is the kind of the marks of revoked client_credentials tokens.
const usedAccess = "access"

// bearer answers what an access token stands for, or errNoToken where it is not
// one of ours, is over, or belongs to somebody who may not come in any more.
func (d *Handler) bearer(ctx context.Context, token string) (grant, error) {
	a, err := d.strategy.openAccess(token)
	if err != nil {
		return grant{}, err
	}
	g := grant{accessContents: a}
	id := a.Client
	if a.Family != "" {
		g.grant, g.account, err = d.gate.Grant(ctx, a.Family)
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

// gone turns a refusal into errNoToken and leaves the failures of ours.
func gone(err error) error {
	if broker.CodeOf(err).Meaning().Status < 500 {
		return errNoToken
	}
	return err
}

// userinfo is OIDC Core §5.3.
func (d *Handler) userinfo(w http.ResponseWriter, r *http.Request) error {
	scheme, token, err := presented(r)
	if err != nil {
		return d.challenge(w, http.StatusBadRequest, scheme, "invalid_request")
	}
	if token == "" {
		return d.challenge(w, http.StatusUnauthorized, scheme, "")
	}
	g, err := d.bearer(r.Context(), token)
	if err == nil {
		d.allowOrigin(w, r, g.client)
		err = d.holds(r, pathUserinfo, scheme, token, g)
		if g.Key != "" {
			scheme = schemeDPoP // the one to come back with
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
	case g.Family == "" || !g.has(scopeOpenID):
		return d.challenge(w, http.StatusForbidden, scheme, "insufficient_scope")
	//defence:A21 ./broker/oidc:TestAResourceNarrowsOneTokenAndNotTheGrant
	case len(g.Audience) > 0 && !slices.Contains(g.Audience, d.issuer):
		return d.challenge(w, http.StatusUnauthorized, scheme, "invalid_token") // it is for other resources only
	}
	return writeJSON(w, http.StatusOK, personal(g))
}

// presented reads a token and its scheme from the header or from a posted form, never
// from the URL, where it would end up in logs (RFC 6750 §2, §5.3).
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
		return scheme, "", errors.New("oidc: two tokens")
	}
	return scheme, strings.TrimSpace(token), nil
}

// challenge is RFC 6750 §3 and RFC 9449 §7.1. Who shows nothing hears of both schemes.
func (d *Handler) challenge(w http.ResponseWriter, status int, scheme, name string) error {
	h := w.Header()
	bearer, bound := schemeBearer+` realm="`+d.issuer+`"`, schemeDPoP+` realm="`+d.issuer+`", algs="`+strings.Join(proofAlgs(), " ")+`"`
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
		value += `, scope="` + scopeOpenID + `"`
	}
	h.Set("WWW-Authenticate", value)
	return writeJSON(w, status, map[string]string{"error": name})
}
