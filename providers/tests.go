package providers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/broker"
)

// Test loads the upstream's documents and returns why no sign-in can work.
func (u *openID) Test(ctx context.Context) error {
	m, err := u.meta.get(ctx)
	if err != nil {
		return err
	}
	list := func(values []string) string { return oneLine(strings.Join(values, ", ")) }
	wrong := func(format string, args ...any) error {
		return broker.UpstreamMisconfigured.Because(fmt.Errorf(format, args...))
	}
	switch {
	case len(m.algs) == 0:
		return wrong("it signs ID tokens only with %s; let it sign with one of %s", list(m.signsWith), list(algorithms))
	case m.types != nil && !slices.Contains(m.types, "code"):
		return wrong("it offers only the response types %s; allow code", list(m.types))
	case u.pushes(m) && m.par == "":
		return wrong("its discovery document names no pushed_authorization_request_endpoint, and requests must be pushed")
	}
	for _, secret := range u.exchanger.secrets {
		if u.mintSecret == nil && m.authMethods != nil {
			method, err := u.method(m, secret)
			// Some upstreams accept both ways to send a secret and announce one.
			secret := method != authPrivateKey && (slices.Contains(m.authMethods, authBasic) ||
				slices.Contains(m.authMethods, authPost))
			if err == nil && !secret && !slices.Contains(m.authMethods, method) {
				err = fmt.Errorf("the connection authenticates by %s, and its provider accepts only %s", method,
					list(m.authMethods))
			}
			if err != nil {
				return wrong("%w", err)
			}
		}
		if _, err := u.authenticate(m, m.token, secret); err != nil {
			return wrong("%w", err)
		}
	}
	_, err = u.verifier.keys.get(ctx)
	return err
}

// Test returns why no sign-in can work, as far as the upstream says so without one.
func (g *guarded) Test(ctx context.Context) error {
	t, ok := g.Upstream.(interface {
		Test(ctx context.Context) error
	})
	if !ok {
		return nil
	}
	return g.gate.pass(ctx, t.Test)
}
