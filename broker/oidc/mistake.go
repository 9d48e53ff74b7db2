package oidc

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/web"
)

// The errors of apps that are configured wrongly. Each names what the app sent, what is registered, and the setting.

// change returns the command that changes a setting of a client.
func change(c broker.Client, flags string) string {
	return "gatehouse clients change " + c.ID + " " + flags
}

func unknownClient(form url.Values, err error) error {
	return errors.Join(web.NewMistake(broker.ClientUnknown, broker.Client{}, "client_id", form.Get("client_id"), nil,
		"gatehouse clients list"), err)
}

func wrongRedirect(c broker.Client, sent string) error {
	return web.NewMistake(broker.RedirectURIMismatch, c, "redirect_uri", sent, c.RedirectURIs,
		change(c, "--redirect-uri URI"))
}

// wrongRequest is for a request that does not even name its client and redirect URI correctly.
func wrongRequest(parameter string, form url.Values, why string) error {
	return errors.Join(web.NewMistake(broker.RequestInvalid, broker.Client{}, parameter,
		strings.Join(form[parameter], " "), nil, ""), errors.New("oidc: "+why))
}

// notAuthenticated is for a failed client authentication. The secret that was sent is never repeated.
func notAuthenticated(c broker.Client, shown credentials) *fosite.RFC6749Error {
	m := web.NewMistake(broker.ClientUnknown, c, "client_id", shown.id, nil, "gatehouse clients list")
	switch {
	case c.ID == "":
	case !slices.Contains(c.AuthMethods, shown.method):
		m = web.NewMistake(broker.ClientUnknown, c, "client authentication", shown.method, c.AuthMethods,
			change(c, "--auth-method METHOD"))
	case shown.method == clients.MethodKey:
		m = web.NewMistake(broker.ClientUnknown, c, "client_assertion", "not shown", nil, change(c, "--jwks-file FILE"))
	default:
		m = web.NewMistake(broker.ClientUnknown, c, "client_secret", "not shown", nil, "gatehouse clients secret "+c.ID)
	}
	return fosite.ErrInvalidClient.WithWrap(m).WithHint(
		"The client is unknown, or it did not authenticate as it is registered. The log of the provider names the reason.")
}

// notRegistered is for an authenticated client that asks for what it is not registered for.
func notRegistered(base *fosite.RFC6749Error, c broker.Client, parameter, sent string, registered []string,
	flags string) *fosite.RFC6749Error {
	m := web.NewMistake(broker.RequestInvalid, c, parameter, sent, registered, change(c, flags))
	return base.WithWrap(m).WithHintf("The client is not registered for this %s; see: %s.", parameter, m.Setting)
}
