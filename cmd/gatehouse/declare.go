package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/clients"
	"gatehouse/config"
)

// declare brings the connections and clients of the configuration file into the
// database. What is stored alike is left alone, so that a restart changes
// nothing and writes no Event.
func (h *app) declare(ctx context.Context) error {
	operations, err := h.admin()
	if err != nil {
		return err
	}
	for i, c := range h.cfg.Connections {
		if _, err := operations.DeclareConnection(ctx, admin.Actor{ID: admin.Operator}, declaredConnection(i, c)); err != nil {
			return fmt.Errorf("connections[%d] (%s): %w", i, c.ID, err)
		}
	}
	for i, c := range h.cfg.Clients {
		if err := h.declareClient(ctx, c); err != nil {
			return fmt.Errorf("clients[%d] (%s): %w", i, c.ID, err)
		}
	}
	return nil
}

// declaredConnection is a connection of the configuration as the input of its operation.
func declaredConnection(position int, d config.Connection) admin.DeclareConnection {
	return admin.DeclareConnection{ID: d.ID, Kind: d.Kind, Name: d.Name, Issuer: d.Issuer, ClientID: d.ClientID,
		Secret: broker.Secret(d.ClientSecret.Reveal()), Settings: d.Settings, Domains: d.Domains, Position: position}
}

// alike compares what two values print, where nil and empty are the same. Secrets
// print as dots, all the same.
func alike(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func (h *app) declareClient(ctx context.Context, d config.Client) error {
	stored, err := h.store.Client(ctx, d.ID)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	found := err == nil
	c := declaredClient(stored, d)
	if secret := d.Secret.Reveal(); secret != "" && clients.TakesSecret(c) {
		c.SecretHashes = clients.WithSecret(h.ring, c, secret)
	}
	if found && alikeClients(c, stored) {
		return nil
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = h.now()
	}
	c.UpdatedAt = h.now()
	if err := checkClient(h.cfg, c); err != nil {
		return err
	}
	return h.putClient(ctx, c, "declared")
}

// declaredClient is what the configuration makes of a stored client, or of none,
// but for its secret.
func declaredClient(c broker.Client, d config.Client) broker.Client {
	c.ID, c.Name, c.RedirectURIs, c.PostLogoutRedirectURIs = d.ID, d.Name, d.RedirectURIs, d.PostLogoutRedirectURIs
	c.Scopes, c.GrantTypes, c.AuthMethods, c.IDTokenAlg = d.Scopes, d.GrantTypes, strings.Fields(d.AuthMethod), d.IDTokenAlg
	c.Native, c.FirstParty, c.SkipPKCE = d.Native, d.FirstParty, d.SkipPKCE
	c.Keys, c.KeysURI, c.AuthAlg = clients.CompactKeys(d.Keys), d.KeysURI, d.AuthAlg
	c.BackchannelLogoutURI, c.FrontchannelLogoutURI = d.BackchannelLogoutURI, d.FrontchannelLogoutURI
	c.PushedOnly, c.DPoPBound, c.JWTAccess, c.DefaultMaxAge = d.RequirePAR, d.DPoP, d.AccessToken == "jwt", d.DefaultMaxAge
	c.LogoURI, c.ClientURI, c.PolicyURI, c.TosURI = d.LogoURI, d.ClientURI, d.PolicyURI, d.TosURI
	c.InitiateLoginURI, c.Contacts, c.Audience = d.InitiateLoginURI, d.Contacts, d.Audience
	if !clients.TakesSecret(c) {
		c.SecretHashes = nil
	}
	return c
}

// alikeClients also looks behind the one pointer.
func alikeClients(a, b broker.Client) bool {
	age := func(p *int) int {
		if p == nil {
			return -1
		}
		return *p
	}
	same := age(a.DefaultMaxAge) == age(b.DefaultMaxAge)
	a.DefaultMaxAge, b.DefaultMaxAge = nil, nil
	return same && alike(a, b)
}
