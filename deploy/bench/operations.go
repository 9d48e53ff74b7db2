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
	must    float64            // CPU milliseconds at most; 0: only the ratio counts
	ratio   map[string]float64 // by engine, the most that it may cost of what the other binary needs (PERFORMANCE.md §4)
	prepare func(ctx context.Context, b *browser, worker int) (func(ctx context.Context, n int) error, error)
}

func on(sqlite, postgres float64) map[string]float64 {
	return map[string]float64{"sqlite": sqlite, "postgres": postgres}
}

type doer = func(ctx context.Context, n int) error

// operations returns what is measured.
func operations(s *stack, c crypto) []operation {
	get := func(path string) func(context.Context, *browser, int) (doer, error) {
		return func(_ context.Context, b *browser, _ int) (doer, error) {
			return func(ctx context.Context, _ int) error { return s.get(ctx, b, path, "") }, nil
		}
	}
	login, token := on(1.3, 1.4), on(1.1, 1.1)
	return []operation{
		{"login federated RS256", c.rs256, 0, login, loginOp(s, "RS256")},
		{"login federated ES256", c.es256, 0, login, loginOp(s, "ES256")},
		{"refresh RS256", c.rs256, 0, token, refreshOp("RS256")},
		{"refresh ES256", c.es256, 0, token, refreshOp("ES256")},
		{"client_credentials opaque", 0, 0, token, clientOp("ES256")},
		{"client_credentials JWT ES256", c.es256, 0, token, clientOp(jwtAccess)},
		{"userinfo", 0, 0, token, userinfoOp(s)},
		{"introspection", 0, 0, token, introspectOp},
		{"discovery", 0, 0, token, get("/.well-known/openid-configuration")},
		{"jwks", 0, 0, token, get("/jwks")},
		{"password login", c.hashing + c.rs256, c.hashing + c.rs256 + 1.5, token, passwordOp},
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
