package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/egress"
	"gatehouse/config"
)

// declare writes the connections and clients of the configuration file into the database. A
// stored one that is the same is not written, so that a restart changes nothing.
func (h *app) declare(ctx context.Context) error {
	operations, err := h.admin()
	if err != nil {
		return err
	}
	actor := admin.Actor{ID: admin.Operator}
	for i, c := range h.cfg.Connections {
		if _, err := operations.DeclareConnection(ctx, actor, declaredConnection(i, c)); err != nil {
			return fmt.Errorf("connections[%d] (%s): %w", i, c.ID, err)
		}
	}
	for i, c := range h.cfg.Clients {
		if _, err := operations.DeclareClient(ctx, actor, declaredClient(c)); err != nil {
			return fmt.Errorf("clients[%d] (%s): %w", i, c.ID, err)
		}
	}
	return nil
}

// checkDeclared validates every declared client before anything is opened, so that all
// problems come at once.
func (h *app) checkDeclared() error {
	var all []error
	for i, c := range h.cfg.Clients {
		if err := h.checkClient(c); err != nil {
			all = append(all, fmt.Errorf("clients[%d] (%s): %w", i, c.ID, err))
		}
	}
	return errors.Join(all...)
}

// checkClient validates a client of the configuration as if it had a secret.
func (h *app) checkClient(c config.Client) error {
	out, err := egress.New(egress.Options{Allow: h.cfg.UpstreamNetworks})
	if err != nil {
		return err
	}
	return admin.CheckClient(declaredClient(c).Over(broker.Client{SecretHashes: []string{"one"}}), out)
}

// declaredConnection is a connection of the configuration as the input of its operation.
func declaredConnection(position int, d config.Connection) admin.DeclareConnection {
	return admin.DeclareConnection{ID: d.ID, Kind: d.Kind, Name: d.Name, Issuer: d.Issuer, ClientID: d.ClientID,
		Secret: d.ClientSecret, Settings: d.Settings, Domains: d.Domains, Position: position}
}

// declaredClient is a client of the configuration as the input of its operation.
func declaredClient(d config.Client) admin.DeclareClient {
	c := broker.Client{ID: d.ID, Name: d.Name, RedirectURIs: d.RedirectURIs, Scopes: d.Scopes, GrantTypes: d.GrantTypes,
		PostLogoutRedirectURIs: d.PostLogoutRedirectURIs, AuthMethods: strings.Fields(d.AuthMethod), AuthAlg: d.AuthAlg,
		Native: d.Native, FirstParty: d.FirstParty, PKCE: d.PKCE, ErrorIss: d.ErrorIss, Keys: d.Keys, KeysURI: d.KeysURI,
		BackchannelLogoutURI: d.BackchannelLogoutURI, FrontchannelLogoutURI: d.FrontchannelLogoutURI,
		PushedOnly: d.RequirePAR, DPoPBound: d.DPoP, JWTAccess: d.AccessToken == "jwt", DefaultMaxAge: d.DefaultMaxAge,
		LogoURI: d.LogoURI, ClientURI: d.ClientURI, PolicyURI: d.PolicyURI, TosURI: d.TosURI, IDTokenAlg: d.IDTokenAlg,
		IDTokenClaims: d.IDTokenClaims, PreferredUsername: d.PreferredUsername,
		InitiateLoginURI: d.InitiateLoginURI, Contacts: d.Contacts, Audience: d.Audience}
	return admin.DeclareClient{Client: c, Secret: d.Secret}
}
