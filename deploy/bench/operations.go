package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// operation is one action of an app or a person. prepare runs before the measurement, once per worker, and
// returns the function that is repeated.
type operation struct {
	name    string
	crypto  float64            // CPU milliseconds of its cryptography on this machine
	must    map[string]float64 // by engine, what PERFORMANCE.md §4 calls "first"
	prepare func(ctx context.Context, b *browser, worker int) (func(ctx context.Context, n int) error, error)
}

func on(sqlite, postgres float64) map[string]float64 {
	return map[string]float64{"sqlite": sqlite, "postgres": postgres}
}

type doer = func(ctx context.Context, n int) error

// operations returns what is measured. 0 stands for a figure that PERFORMANCE.md does not name.
func operations(s *stack, c crypto) []operation {
	get := func(path string) func(context.Context, *browser, int) (doer, error) {
		return func(_ context.Context, b *browser, _ int) (doer, error) {
			return func(ctx context.Context, _ int) error { return s.get(ctx, b, path, "") }, nil
		}
	}
	return []operation{
		{"login federated RS256", c.rs256, on(2.9, 3.7), loginOp(s, "RS256")},
		{"login federated ES256", c.es256, on(0, 2.0), loginOp(s, "ES256")},
		{"refresh RS256", c.rs256, on(0, 2.25), refreshOp("RS256")},
		{"refresh ES256", c.es256, on(0, 0.95), refreshOp("ES256")},
		{"client_credentials opaque", 0, on(0, 0.40), clientOp("ES256")},
		{"client_credentials JWT ES256", c.es256, on(0.20, 0.20), clientOp(jwtAccess)},
		{"userinfo", 0, on(0, 0.21), userinfoOp(s)},
		{"introspection", 0, on(0, 0.24), introspectOp},
		{"discovery", 0, on(0.03, 0.03), get("/.well-known/openid-configuration")},
		{"jwks", 0, on(0.03, 0.03), get("/jwks")},
		{"password login", c.hashing + c.rs256, on(0, c.hashing+c.rs256+1.5), passwordOp},
	}
}

// loginOp signs in people who have signed in before. With more rows it uses different people each time.
func loginOp(s *stack, alg string) func(context.Context, *browser, int) (doer, error) {
	return func(ctx context.Context, b *browser, worker int) (doer, error) {
		keys, err := s.keys(ctx, b)
		if err != nil {
			return nil, err
		}
		if worker == 0 {
			for i := range people {
				if _, err := newBrowser(s, b.http).federated(ctx, alg, person(i)); err != nil {
					return nil, err
				}
			}
		}
		return func(ctx context.Context, n int) error {
			t, err := newBrowser(s, b.http).federated(ctx, alg, s.regular(n))
			if err != nil {
				return err
			}
			return keys.verify(t.ID)
		}, nil
	}
}

func refreshOp(alg string) func(context.Context, *browser, int) (doer, error) {
	return func(ctx context.Context, b *browser, worker int) (doer, error) {
		t, err := b.federated(ctx, alg, person(worker%people))
		return func(ctx context.Context, _ int) error {
			var next tokens
			err := b.token(ctx, "/token", alg, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh}}, &next)
			if err == nil && (next.Refresh == "" || next.Refresh == t.Refresh) {
				err = errors.New("the refresh token was not rotated")
			}
			t = next
			return err
		}, err
	}
}

func clientOp(alg string) func(context.Context, *browser, int) (doer, error) {
	return func(ctx context.Context, b *browser, _ int) (doer, error) {
		keys, err := b.s.keys(ctx, b)
		return func(ctx context.Context, _ int) error {
			var t tokens
			err := b.token(ctx, "/token", alg, url.Values{"grant_type": {"client_credentials"}}, &t)
			if err == nil && alg == jwtAccess {
				err = keys.verify(t.Access)
			}
			return err
		}, err
	}
}

func userinfoOp(s *stack) func(context.Context, *browser, int) (doer, error) {
	return func(ctx context.Context, b *browser, worker int) (doer, error) {
		t, err := b.federated(ctx, "ES256", person(worker%people))
		return func(ctx context.Context, _ int) error { return s.get(ctx, b, "/userinfo", t.Access) }, err
	}
}

func introspectOp(ctx context.Context, b *browser, worker int) (doer, error) {
	t, err := b.federated(ctx, "ES256", person(worker%people))
	return func(ctx context.Context, _ int) error {
		var got struct{ Active bool }
		err := b.token(ctx, "/introspect", "ES256", url.Values{"token": {t.Access}}, &got)
		if err == nil && !got.Active {
			err = errors.New("the token is not active")
		}
		return err
	}, err
}

func passwordOp(_ context.Context, b *browser, worker int) (doer, error) {
	return func(ctx context.Context, _ int) error {
		_, err := newBrowser(b.s, b.http).local(ctx, "RS256", person(people+worker%guarded))
		return err
	}, nil
}

func (s *stack) get(ctx context.Context, b *browser, path, bearer string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer+path, nil)
	if err != nil {
		return err
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return b.call(req, nil)
}
