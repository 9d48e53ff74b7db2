package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// grown are the operations whose cost could depend on the number of rows.
var grown = []string{"login federated ES256", "refresh ES256", "client_credentials opaque", "userinfo", "introspection"}

// growth drives a small deployment and one with very many rows at the same time.
func growth(ctx context.Context, o options, dir string, small *stack) error {
	big, err := openStack(ctx, dir, small.engine, o.binary)
	if err != nil {
		return err
	}
	defer big.close()
	began := time.Now()
	if err := big.grow(ctx, o.rows); err != nil {
		return fmt.Errorf("growth: %w", err)
	}
	fmt.Printf("growth: %d accounts, identities, sessions, grants and clients inserted in %.0f s\n", o.rows,
		time.Since(began).Seconds())
	for _, name := range grown {
		if err := growthOf(ctx, o, name, [2]*stack{small, big}); err != nil {
			return fmt.Errorf("growth: %s: %w", name, err)
		}
	}
	return nil
}

func growthOf(ctx context.Context, o options, name string, stacks [2]*stack) error {
	var runs [2]driving
	for i, s := range stacks {
		c, err := s.ready(ctx, max(1, o.workers/2), s.operation(name))
		if err != nil {
			return err
		}
		defer c.close()
		if err := c.warm(ctx, o.duration/5); err != nil {
			return err
		}
		runs[i] = func(ctx context.Context) (sample, error) { return c.drive(ctx, o.duration) }
	}
	sums, ratio, err := compare(ctx, runs, atOnce)
	if err != nil {
		return err
	}
	const must = 1.15
	small, big := sums[0], sums[1]
	fmt.Printf("%-34s small %.3f own + %.3f store ms, big %.3f + %.3f, ratio %.2f (median of %d), must be %.2f: %s\n",
		"growth: "+name,
		small.own/float64(small.done), small.store/float64(small.done), big.own/float64(big.done),
		big.store/float64(big.done),
		ratio, turns, must, verdict(ratio, must))
	return nil
}

// grow inserts rows of every kind while the broker is down. The people can sign in through the upstream.
func (s *stack) grow(ctx context.Context, rows int) error {
	var b strings.Builder
	if s.database() == "" {
		b.WriteString("pragma synchronous = off; pragma temp_store = memory; pragma cache_size = -1000000;\n")
	}
	b.WriteString("begin; create temporary table people (n bigint, id text, at bigint);\n")
	now := time.Now().UnixMicro()
	for i := range rows {
		switch {
		case i%1000 == 0:
			b.WriteString("insert into people values ")
		default:
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "(%d,'%s',%d)", people+guarded+i, rand.Text(), now+int64(i))
		if i%1000 == 999 || i == rows-1 {
			b.WriteString(";\n")
		}
	}
	b.WriteString(growing)
	b.WriteString("commit;\n")
	stop(s.broker, syscall.SIGTERM)
	s.broker = nil
	if err := s.sql(ctx, b.String()); err != nil {
		return err
	}
	s.rows = rows
	return s.startBroker(ctx)
}

// growing turns each row of people into a client and an account with an identity, a session and a grant, in SQL
// that both engines accept. All ids of one person are rotations of one random text, so that they are as random
// as the product's.
const growing = `
insert into accounts (id, email, name, given_name, family_name, locale, password_hash, disabled, auth_epoch,
		created_at, updated_at)
	select id, 'person' || n || '@example.test', 'Growth Person', 'Growth', 'Person', '', '', false, 0, at,
		at from people order by id;
insert into identities (id, account_id, connection, issuer, subject, email, linked_at, seen_at)
	select substr(p.id, 6) || substr(p.id, 1, 5), p.id, c.id, c.issuer, 'person' || n || '@example.test',
		'person' || n || '@example.test', at, at
	from people p, connections c order by 1;
insert into sessions (id, hash, account_id, method, connection, identity, amr, acr, auth_time, epoch,
		user_agent, address, created_at, expires_at, ended_at)
	select substr(p.id, 10) || substr(p.id, 1, 9), 'growth.' || p.id || substr(p.id, 1, 17), p.id, 'upstream',
		c.id, substr(p.id, 6) || substr(p.id, 1, 5),
		'["fed"]', '', at, 0, 'Go-http-client/1.1', '10.0.0.1', at, at + 28800000000, 0
	from people p, connections c order by 1;
insert into grants (id, client_id, account_id, session_id, scopes, audience, method, connection, identity,
		amr, acr, auth_time, epoch,
		refresh_counter, rotated_at, created_at, expires_at, ended_at, ended_by)
	select substr(p.id, 14) || substr(p.id, 1, 13), lower(p.id), p.id, substr(p.id, 10) || substr(p.id, 1, 9),
		'["openid","profile","email","offline_access"]', '[]',
		'upstream', c.id, substr(p.id, 6) || substr(p.id, 1, 5), '["fed"]', '', at, 0, 1, at, at, at + 2592000000000, 0, ''
	from people p, connections c order by 1;
insert into clients (id, name, secret_hashes, auth_method, redirect_uris, post_logout_redirect_uris,
		grant_types, scopes, audience,
		native, first_party, id_token_alg, disabled, created_at, updated_at)
	select lower(id), 'Growth', '["growth.' || id || substr(id, 1, 17) || '"]', 'client_secret_basic',
		'["https://app.example.test/callback"]', '[]',
		'["authorization_code","refresh_token"]', '["openid","profile","email","offline_access"]', '[]', false, true,
		'ES256', false, at, at
	from people order by 1;
`
