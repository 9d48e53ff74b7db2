package oidc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/web"
)

const (
	purposePushed = "pushed"
	pushedPrefix  = "urn:ietf:params:oauth:request_uri:"
	pushedLife    = 90 * time.Second
	// consumedLife is how long an opened request may still wait: in a login, then for consent.
	consumedLife = pushedLife + 2*broker.LoginLife + postLife
)

// pushed is a pushed request, stored under a keyed hash.
type pushed struct {
	Client string     `json:"client"`
	Form   url.Values `json:"form"`
}

// errPushedGone is for a request whose code was issued already (RFC 9126 §7.3).
var errPushedGone = &fosite.RFC6749Error{ErrorField: "invalid_request_uri", CodeField: http.StatusBadRequest,
	DescriptionField: "The request_uri was used before."}

// push is the pushed authorization request endpoint (RFC 9126 §2).
func (d *Handler) push(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	err := bodyForm(r)
	if err == nil {
		//defence:A9
		_, err = d.provider.AuthenticateClient(ctx, r, r.PostForm)
	}
	//defence:H4
	if err == nil && u.client.Public() {
		// Anyone can use a public client, so the requests that it stores are counted.
		if err := d.newcomers.Allow(ctx, d.toolkit.Address(r), len(r.PostForm.Encode())); err != nil {
			d.allowOrigin(w, r, u.client)
			return err
		}
	}
	var form url.Values
	if err == nil {
		form, err = d.pushable(ctx, r.PostForm, u.client)
	}
	if err == nil {
		err = d.bindPushed(r, form, u.client)
	}
	if err != nil {
		return d.refuse(w, r, u, err)
	}
	token := broker.NewToken()
	if err := d.pushes.Put(ctx, d.keyring.Hash(purposePushed, []byte(token)), pushed{u.client.ID, form}); err != nil {
		return d.refuse(w, r, u, err)
	}
	d.allowOrigin(w, r, u.client)
	return writeJSON(w, http.StatusCreated, map[string]any{"request_uri": pushedPrefix + token,
		"expires_in": int(pushedLife / time.Second)})
}

// pushable returns the valid request, without the client's authentication.
func (d *Handler) pushable(ctx context.Context, body url.Values, c broker.Client) (url.Values, error) {
	if body.Has("request") {
		return nil, fosite.ErrRequestNotSupported.WithHint("Send plain parameters.")
	}
	if body.Has("request_uri") {
		return nil, fosite.ErrInvalidRequest.WithHint("A pushed request has no request_uri (RFC 9126, section 2.1).")
	}
	form := maps.Clone(body)
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		//defence:A23
		form.Del(name)
	}
	form.Set("client_id", c.ID)
	q, err := d.target(ctx, form)
	//defence:A3
	if code, ok := errors.AsType[broker.Code](err); ok && code.Meaning().Status < 500 {
		return nil, fosite.ErrInvalidRequest.WithWrap(err).WithHint(unpushable(err))
	}
	if err != nil {
		return nil, err
	}
	//defence:A3 A19 ./broker/oidc:TestAPushedRequestIsCheckedWhenItIsPushed
	err = d.check(q)
	return form, err
}

// unpushable tells an authenticated client why its request does not reach the browser.
func unpushable(err error) string {
	m, ok := errors.AsType[*web.Mistake](err)
	if !ok || m.Setting == "" {
		return "A parameter occurs twice, or the request is too long."
	}
	return "The " + m.Parameter + " is not registered; see: " + m.Setting + "."
}

// bindPushed binds a request to the key of the DPoP proof that it was pushed with, as if it had named that key
// (RFC 9449 §10.1).
func (d *Handler) bindPushed(r *http.Request, form url.Values, c broker.Client) error {
	p, err := d.proof(r, pathPush)
	if err != nil || p.key == "" {
		return err
	}
	if err := p.acceptable(c); err != nil {
		return err
	}
	if named := form.Get("dpop_jkt"); named != "" && named != p.key {
		return errProof("The dpop_jkt is not the key of the DPoP proof.")
	}
	//defence:A5
	form.Set("dpop_jkt", p.key)
	//defence:A5
	return d.consumeProof(r.Context(), p)
}

// pushedForm replaces a request that only names a pushed one. All else in the URL is ignored (FOSITE.md P5).
// From then on request_uri is the keyed hash, so that a stored request is useless to a thief.
func (d *Handler) pushedForm(ctx context.Context, form url.Values) (url.Values, error) {
	token, ours := strings.CutPrefix(form.Get("request_uri"), pushedPrefix)
	if !ours {
		return form, nil
	}
	if len(form["client_id"]) != 1 || len(form["request_uri"]) != 1 || len(token) > 128 {
		return nil, broker.RequestInvalid.Because(errors.New("oidc: no single client_id and request_uri"))
	}
	for _, hash := range d.keyring.Hashes(purposePushed, []byte(token)) {
		p, err := d.pushes.Get(ctx, hash)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		//defence:A19 A10
		if p.Client != form.Get("client_id") {
			break // same response as for one that does not exist
		}
		p.Form.Set("request_uri", pushedPrefix+
			//defence:A23 = token
			hash)
		//defence:A19 ./broker/oidc:TestP5_NothingInTheURLJoinsWhatWasPushed = form, nil
		return p.Form, nil
	}
	return nil, fmt.Errorf("%w: the request_uri was used before, is older than %s, or is another client's",
		web.NewMistake(broker.RequestURIInvalid, broker.Client{}, "client_id", form.Get("client_id"), nil, ""), pushedLife)
}

// consumePushed lets a pushed request yield one code. Until then it may be opened again, so a reload works. Of two
// concurrent completions, one gets a code.
func (d *Handler) consumePushed(ctx context.Context, hash string) error {
	err := d.consumed.Put(ctx, hash, true)
	if errors.Is(err, broker.Conflict) {
		//defence:A19
		return errPushedGone
	}
	if err != nil {
		return err
	}
	//defence:A19
	_, err = d.pushes.Take(ctx, hash)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	return nil
}
