package main

import (
	"context"
	"errors"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/text"
)

// The tests that do not go through the command line change things with these.

// operations are the ones that the commands call.
func (h *app) verbs() *admin.Service {
	s, err := h.admin()
	if err != nil {
		panic(err)
	}
	return s
}

// putConnection creates a connection by the operation for it, or replaces a stored one.
func (h *app) putConnection(ctx context.Context, c broker.Connection, what string) error {
	if _, err := h.store.Connection(ctx, c.ID); err == nil {
		return h.storeConnection(ctx, c, what)
	}
	in := admin.AddConnection{ID: c.ID, Kind: c.Kind, Issuer: c.Issuer, ClientID: c.ClientID, Secret: c.Secrets[0],
		Edit: admin.EditConnection{Name: &c.Name, Settings: c.Settings, Domains: c.Domains, Hidden: &c.Hidden, Position: &c.Position}}
	_, err := h.verbs().AddConnection(ctx, admin.Actor{ID: admin.Operator}, in)
	return err
}

// storeConnection writes a connection as it is, with its Event.
func (h *app) storeConnection(ctx context.Context, c broker.Connection, what string) error {
	c.UpdatedAt = h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		return errors.Join(h.store.PutConnection(ctx, c),
			h.record(ctx, broker.Event{Verb: broker.EventConnChanged, Connection: c.ID, Detail: map[string]string{"change": what}}))
	})
}

// renew writes an account under a new epoch, with its Event and what more writes.
func (h *app) renew(ctx context.Context, a *broker.Account, verb broker.Verb, what string, more func(ctx context.Context) error) error {
	seen := a.AuthEpoch
	a.AuthEpoch, a.UpdatedAt = seen+1, h.now()
	return h.store.Atomic(ctx, func(ctx context.Context) error {
		if err := h.store.ChangeAccount(ctx, *a, seen); err != nil {
			return err
		}
		if err := h.record(ctx, broker.Event{Verb: verb, Account: a.ID, Detail: map[string]string{"change": what}}); err != nil || more == nil {
			return err
		}
		return more(ctx)
	})
}

// unlink removes an identity by the operation for it.
func (h *app) unlink(ctx context.Context, _ *text.Catalog, a broker.Account, id string) error {
	_, err := h.verbs().UnlinkIdentity(ctx, admin.Actor{ID: admin.Operator}, admin.UnlinkIdentity{Account: a.ID, Identity: id})
	return err
}

func onOff(disabled bool) string { return admin.State(disabled) }
