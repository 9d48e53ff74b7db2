package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gatehouse/broker"
	"gatehouse/broker/oidc"
	"gatehouse/config"
)

// declare brings the connections and clients of the configuration file into the
// database. What is stored alike is left alone, so that a restart changes
// nothing and writes no Event.
func (h *house) declare(ctx context.Context) error {
	for i, c := range h.cfg.Connections {
		if err := h.declareConnection(ctx, i, c); err != nil {
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

func (h *house) declareConnection(ctx context.Context, position int, d config.Connection) error {
	stored, err := h.store.Connection(ctx, d.ID)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	c := stored
	c.ID, c.Kind, c.Name, c.Issuer, c.ClientID, c.Settings, c.Domains, c.Position = d.ID, d.Kind, d.Name, d.Issuer, d.ClientID, d.Settings, d.Domains, position
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	if c.State == "" {
		c.State, c.CreatedAt = broker.Live, h.now()
	}
	if secret := broker.Secret(d.ClientSecret.Reveal()); secret != "" && (len(c.Secrets) == 0 || c.Secrets[0] != secret) {
		c.Secrets = append([]broker.Secret{secret}, c.Secrets...)
		c.Secrets = c.Secrets[:min(2, len(c.Secrets))]
	}
	if err == nil && slices.Equal(c.Secrets, stored.Secrets) && alike(c, stored) {
		return nil
	}
	return h.putConnection(ctx, c, "declared")
}

// alike compares what two values print, where nil and empty are the same.
func alike(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func (h *house) declareClient(ctx context.Context, d config.Client) error {
	stored, err := h.store.Client(ctx, d.ID)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	c := stored
	c.ID, c.Name, c.RedirectURIs, c.PostLogoutRedirectURIs = d.ID, d.Name, d.RedirectURIs, d.PostLogoutRedirectURIs
	c.Scopes, c.GrantTypes, c.AuthMethod, c.IDTokenAlg = d.Scopes, d.GrantTypes, d.AuthMethod, d.IDTokenAlg
	c.Native, c.FirstParty, c.SkipPKCE = d.Native, d.FirstParty, d.SkipPKCE
	if secret := d.Secret.Reveal(); secret != "" {
		if hash := oidc.HashSecret(h.ring, c.ID, secret); len(c.SecretHashes) == 0 || c.SecretHashes[0] != hash {
			c.SecretHashes = append([]string{hash}, c.SecretHashes...)
			c.SecretHashes = c.SecretHashes[:min(2, len(c.SecretHashes))]
		}
	}
	if err == nil && alike(c, stored) {
		return nil
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = h.now()
	}
	c.UpdatedAt = h.now()
	return h.putClient(ctx, c, "declared")
}
