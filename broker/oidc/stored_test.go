package oidc

import (
	"context"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

// stored is a database of which a test may replace some ports.
type stored struct {
	*gormdb.DB
	grants      broker.Grants
	keys        broker.SigningKeys
	auditLog    broker.AuditLog
	clients     broker.Clients
	connections broker.Connections
}

func (s stored) CreateGrant(ctx context.Context, f broker.Grant, unlocked bool, events ...broker.Event) error {
	if s.auditLog == broker.AuditLog(s.DB) {
		return s.grants.CreateGrant(ctx, f, unlocked, events...)
	}
	return s.Atomic(ctx, func(ctx context.Context) error {
		if err := s.grants.CreateGrant(ctx, f, unlocked); err != nil {
			return err
		}
		return s.auditLog.Record(ctx, events...) // the replaced one
	})
}

func (s stored) Grant(ctx context.Context, id string) (broker.Grant, broker.Account, error) {
	return s.grants.Grant(ctx, id)
}

func (s stored) Rotate(ctx context.Context, id string, from, to int64, at time.Time) error {
	return s.grants.Rotate(ctx, id, from, to, at)
}

func (s stored) RevokeGrant(ctx context.Context, id string, why broker.Code, at time.Time) error {
	return s.grants.RevokeGrant(ctx, id, why, at)
}

func (s stored) RevokeGrants(ctx context.Context, f broker.GrantFilter, why broker.Code, at time.Time) error {
	return s.grants.RevokeGrants(ctx, f, why, at)
}

func (s stored) SigningKeys(ctx context.Context) ([]broker.SigningKey, error) {
	return s.keys.SigningKeys(ctx)
}

func (s stored) AddSigningKey(ctx context.Context, k broker.SigningKey) error {
	return s.keys.AddSigningKey(ctx, k)
}

func (s stored) ChangeSigningKey(ctx context.Context, k broker.SigningKey, seen broker.KeyState) error {
	return s.keys.ChangeSigningKey(ctx, k, seen)
}

func (s stored) DeleteSigningKey(ctx context.Context, id string) error {
	return s.keys.DeleteSigningKey(ctx, id)
}

func (s stored) Record(ctx context.Context, e ...broker.Event) error {
	return s.auditLog.Record(ctx, e...)
}

func (s stored) Events(ctx context.Context, f broker.EventFilter) ([]broker.Event, error) {
	return s.auditLog.Events(ctx, f)
}

func (s stored) Client(ctx context.Context, id string) (broker.Client, error) {
	return s.clients.Client(ctx, id)
}

func (s stored) PutClient(ctx context.Context, c broker.Client) error {
	return s.clients.PutClient(ctx, c)
}

func (s stored) DeleteClient(ctx context.Context, id string) error {
	return s.clients.DeleteClient(ctx, id)
}

func (s stored) Connection(ctx context.Context, id string) (broker.Connection, error) {
	return s.connections.Connection(ctx, id)
}
