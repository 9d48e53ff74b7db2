package oidc

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// counted counts what goes to storage.
type counted struct {
	broker.Grants
	broker.Ephemeral
	broker.AuditLog
	n atomic.Int64
}

func (c *counted) Grant(ctx context.Context, id string) (broker.Grant, broker.Account, error) {
	c.n.Add(1)
	return c.Grants.Grant(ctx, id)
}

func (c *counted) CreateGrant(ctx context.Context, f broker.Grant, unlocked bool, events ...broker.Event) error {
	c.n.Add(1)
	return c.Grants.CreateGrant(ctx, f, unlocked, events...)
}

func (c *counted) Rotate(ctx context.Context, id string, from, to int64, at time.Time) error {
	c.n.Add(1)
	return c.Grants.Rotate(ctx, id, from, to, at)
}

func (c *counted) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	c.n.Add(1)
	return c.Ephemeral.Put(ctx, store, key, v, expires)
}

func (c *counted) Get(ctx context.Context, store, key string) ([]byte, error) {
	c.n.Add(1)
	return c.Ephemeral.Get(ctx, store, key)
}

func (c *counted) Record(ctx context.Context, e ...broker.Event) error {
	c.n.Add(1)
	return c.AuditLog.Record(ctx, e...)
}

// The checks assert work, not time (DESIGN.md §11): each figure is one way to storage.
func TestARequestAsksStorageNoMoreOftenThanItMust(t *testing.T) {
	c := &counted{}
	h := newHarnessWith(t, ports{
		grants:    func(f broker.Grants) broker.Grants { c.Grants = f; return c },
		ephemeral: func(f broker.Ephemeral) broker.Ephemeral { c.Ephemeral = f; return c },
		auditLog:  func(j broker.AuditLog) broker.AuditLog { c.AuditLog = j; return c },
	})
	b := h.browser()
	b.code(ask())
	var got answer
	var code string
	for _, step := range []struct {
		name string
		do   func()
		want int64
	}{
		{"a code from a session: the code", func() { code = b.code(ask()) }, 1},
		{"its redemption: the code, the family, the event", func() { got = h.redeem(code) }, 3},
		{"userinfo: family and account", func() { h.wants(h.userinfo(got.text("access_token")), http.StatusOK, "") }, 1},
		{"introspection: family and account", func() { h.active(got.text("access_token")) }, 1},
		{"a refresh: family and account, the rotation", func() { got = h.refresh(got.text("refresh_token")) }, 2},
		{"client_credentials: nothing", func() { h.token("grant_type", clients.GrantClient) }, 0},
		{"a token that is none: nothing", func() { h.userinfo(got.text("access_token") + "x") }, 0},
		{"a refresh token that is none: nothing but the event", func() { h.refresh(got.text("refresh_token") + "x") }, 1},
	} {
		c.n.Store(0)
		step.do()
		if n := c.n.Load(); n != step.want {
			t.Errorf("%s: %d, want %d", step.name, n, step.want)
		}
	}
}
