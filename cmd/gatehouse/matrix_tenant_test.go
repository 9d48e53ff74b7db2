package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/storage"
)

// tenant plays the storage that tenants do not have yet: a tenant that enforces
// Microsoft on some of its members.
type tenant struct {
	mu      sync.Mutex
	members map[string]bool // accounts
}

func newTenantCluster(t *testing.T) *cluster {
	t.Helper()
	return buildCluster(t, 0, &tenant{members: map[string]bool{}})
}

func (o *tenant) enforce(account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members[account] = true
}

// Tenancy is the port of broker/access.
func (o *tenant) Tenancy(_ context.Context, q access.Question) (broker.Tenancy, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.members[q.Account] {
		return broker.Tenancy{}, nil
	}
	return broker.Tenancy{Members: []broker.Member{{Tenant: broker.Tenant{ID: "acme", Name: "Acme",
		Enforcement: broker.Enforce, Enforced: []string{"entra", "adfs"}}}}}, nil
}

// A tenant's rule applies to every sign-in method.
func TestD1_D4_D6_ATenantThatEnforcesAConnectionClosesEveryOtherWay(t *testing.T) {
	q := newTenantCluster(t)
	app := q.variants()[0]
	for _, w := range append(methodsOf(), moreRoutes()...) {
		switch {
		case w.green || w.rests:
		case slices.Contains(w.dies, broker.MicrosoftRequired):
			w.dies = []broker.Code{broker.SSORequired}
		default:
			continue // what a restriction asks beyond the connection
		}
		for _, p := range []policy{restricted, midway} {
			q.holds(t, w, p, true, app)
		}
	}
}

// It reaches everything that an app and a browser got before, too.
func TestD1_D5_ATenantThatEnforcesAConnectionEndsWhatAnAppGotByAnother(t *testing.T) {
	q := newTenantCluster(t)
	refusals := func() map[string]int {
		t.Helper()
		events, err := q.h.store.Events(q.ctx, broker.EventFilter{Verb: broker.EventTokenRefused, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, e := range events {
			if e.Code == broker.SSORequired {
				n[e.Detail["grant"]]++
			}
		}
		return n
	}
	for _, app := range q.variants()[:2] {
		for replica := range q.replicas {
			t.Run(fmt.Sprintf("%s, replica %d", app.name, replica), func(t *testing.T) {
				before := refusals()
				q.ends(t, app, ending{name: "enforced by a tenant", method: "password",
					do: func(c *cell, replica int) { c.restriction(replica) }}, replica)
				q.advance(storage.CacheLife)
				for _, grant := range []string{"authorization_code", "refresh_token", grantDevice} {
					if refusals()[grant] == before[grant] {
						t.Errorf("%s was not refused as %s", grant, broker.SSORequired)
					}
				}
			})
		}
	}
}
