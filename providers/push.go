package providers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"gatehouse/broker"
)

// pushes reports whether authorization requests are pushed (RFC 9126).
func (u *openID) pushes(m *metadata) bool { return u.par || m.requiresPAR }

// push sends the parameters of an authorization request to the upstream, and returns the URL that refers to them.
func (u *openID) push(ctx context.Context, m *metadata, request string) (string, error) {
	at, err := url.Parse(request)
	if err != nil {
		return "", err
	}
	if m.par == "" {
		return "", broker.UpstreamMisconfigured.Because(errors.New("its discovery document names no " +
			"pushed_authorization_request_endpoint; remove the setting pushed_authorization"))
	}
	var reference string
	err = u.exchanger.each(func(secret broker.Secret) (error, bool) {
		var again bool
		reference, err, again = u.pushWith(ctx, m, at.Query(), secret)
		return err, again
	})
	if err != nil {
		return "", err
	}
	at.RawQuery = url.Values{"client_id": {u.clientID}, "request_uri": {reference}}.Encode()
	return at.String(), nil
}

// pushWith is push with one of the live secrets. again reports whether another one may work.
func (u *openID) pushWith(ctx context.Context, m *metadata, form url.Values, secret broker.Secret) (reference string,
	_ error, again bool) {
	// Every server takes its issuer here (RFC 9126 §2). The token endpoint's URL would be good at another server that
	// a hostile discovery document names.
	cred, err := u.authenticate(m, m.issuer, secret)
	if err != nil {
		return "", broker.UpstreamMisconfigured.Because(err), false
	}
	for name, value := range cred.form {
		form.Set(name, value)
	}
	if cred.style == oauth2.AuthStyleInParams && cred.secret != "" {
		form.Set("client_secret", cred.secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.par, strings.NewReader(form.Encode()))
	if err != nil {
		return "", broker.UpstreamMisconfigured.Because(withoutURL(err)), false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if cred.style == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(u.clientID), url.QueryEscape(cred.secret))
	}
	res, err := u.env.HTTP.Do(req)
	if err != nil {
		return "", network("pushed authorization request", err), false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProfile))
	if err != nil {
		return "", network("pushed authorization request", err), false
	}
	d, err := parseDocument(body)
	if err != nil {
		d = document{}
	}
	if reference = d.text("request_uri"); res.StatusCode/100 == 2 && reference != "" {
		return reference, nil, false
	}
	err, again = u.exchanger.refusal(fmt.Sprintf("pushed authorization request: %s", res.Status), res.StatusCode,
		d.text("error"), d.text("error_description"), form.Get("state"), form.Get("nonce"), secret.Reveal())
	return "", err, again
}
