package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	for i, c := range h.declaredConnections() {
		if _, err := operations.DeclareConnection(ctx, actor, c); err != nil {
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

// recordIssuer stores the issuer for commands, which may run without the server's environment.
func (h *app) recordIssuer(ctx context.Context) error {
	former, err := h.store.Issuer(ctx)
	if err != nil || former == h.cfg.Issuer {
		return err
	}
	if former != "" {
		h.log.WarnContext(ctx, "the issuer has changed; apps and providers that know the former one need the new one",
			"former", former, "issuer", h.cfg.Issuer)
	}
	return h.store.SetIssuer(ctx, h.cfg.Issuer)
}

// validate loads the configuration for a start. It adds what only the registry of apps, the
// providers, the texts and the file system know to the problems, so that all come together.
// The configuration is nil if it cannot be used.
func (t *tool) validate() (*config.Config, error) {
	cfg, err := t.load()
	found, invalid := errors.AsType[config.Problems](err)
	if err != nil && !invalid {
		return nil, err
	}
	add := func(key string, err error) {
		entry, _, _ := strings.Cut(key, " ")
		if err != nil && !slices.ContainsFunc(found, func(p config.Problem) bool { return strings.HasPrefix(p.Key, entry) }) {
			found = append(found, config.Problem{Key: key, Fix: strings.TrimPrefix(err.Error(), key+": ")})
		}
	}
	h := &app{cfg: cfg}
	_, err = h.texts()
	add("languages", err)
	for i, c := range cfg.Clients {
		add(fmt.Sprintf("clients[%d] (%s)", i, c.ID), h.checkClient(c))
	}
	for i, err := range admin.CheckDeclared(h.declaredConnections(), cfg.UpstreamNetworks) {
		add(fmt.Sprintf("connections[%d] (%s)", i, cfg.Connections[i].ID), err)
	}
	for key, path := range cfg.Written() {
		add(key, config.Writable(path))
	}
	switch {
	case len(found) == 0:
		return cfg, nil
	case invalid:
		return nil, found
	}
	return cfg, found
}

// checkClient validates a client of the configuration as if it had a secret.
func (h *app) checkClient(c config.Client) error {
	out, err := egress.New(egress.Options{Allow: h.cfg.UpstreamNetworks})
	if err != nil {
		return err
	}
	return admin.CheckClient(declaredClient(c).Over(broker.Client{SecretHashes: []string{"one"}}), out)
}

// declaredConnections are the connections of the configuration as the input of their operation.
func (h *app) declaredConnections() (all []admin.DeclareConnection) {
	for i, d := range h.cfg.Connections {
		all = append(all, admin.DeclareConnection{ID: d.ID, Kind: d.Kind, Name: d.Name, Issuer: d.Issuer,
			ClientID: d.ClientID, Secret: d.ClientSecret, Settings: d.Settings, Domains: d.Domains, Position: i})
	}
	return all
}

// declaredClient is a client of the configuration as the input of its operation.
func declaredClient(d config.Client) admin.DeclareClient {
	c := broker.Client{ID: d.ID, Name: d.Name, RedirectURIs: d.RedirectURIs, Scopes: d.Scopes, GrantTypes: d.GrantTypes,
		PostLogoutRedirectURIs: d.PostLogoutRedirectURIs, AuthMethods: strings.Fields(d.AuthMethod), AuthAlg: d.AuthAlg,
		Native: d.Native, FirstParty: d.FirstParty, PKCE: d.PKCE, ErrorIss: d.ErrorIss, Keys: d.Keys, KeysURI: d.KeysURI,
		BackchannelLogoutURI: d.BackchannelLogoutURI, FrontchannelLogoutURI: d.FrontchannelLogoutURI,
		FAPI2: d.FAPI2, PushedOnly: d.RequirePAR, DPoPBound: d.DPoP, JWTAccess: d.AccessToken == "jwt",
		DefaultMaxAge: d.DefaultMaxAge, LogoURI: d.LogoURI, ClientURI: d.ClientURI, PolicyURI: d.PolicyURI, TosURI: d.TosURI,
		IDTokenAlg: d.IDTokenAlg, IDTokenClaims: d.IDTokenClaims, PreferredUsername: d.PreferredUsername,
		InitiateLoginURI: d.InitiateLoginURI, Contacts: d.Contacts, Audience: d.Audience}
	return admin.DeclareClient{Client: c, Secret: d.Secret}
}
