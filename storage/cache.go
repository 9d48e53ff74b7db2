package storage

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gatehouse/broker"
	"gatehouse/storage/gormdb"
)

// CacheLife bounds how long a change of a client or a connection by another replica may
// go unseen. A change by this process is seen immediately.
const CacheLife = 5 * time.Second

// cacheAtMost bounds the clients in memory.
const cacheAtMost = 10_000

// cache implements broker.Clients and broker.Connections over the database.
type cache struct {
	db      *gormdb.DB
	now     func() time.Time
	clients memory[broker.Client]
	conns   memory[broker.Connection]
	lists   memory[[]broker.Connection] // one, under the empty key
}

func newCache(db *gormdb.DB, now func() time.Time) *cache { return &cache{db: db, now: now} }

// memory keeps values by key. Unknown keys are not kept, so that made-up ids cost no
// memory.
type memory[T any] struct {
	mu      sync.Mutex
	kept    map[string]dated[T]
	changes int // a value that was read before a change is not kept after it
}

type dated[T any] struct {
	value T
	until time.Time
}

func (s *memory[T]) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
	s.changes++
}

func (s *memory[T]) get(key string, now time.Time) (v T, ok bool, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.kept[key]
	// A clock that was set back must not prolong anything.
	fresh := ok && now.Before(d.until) && !now.Before(d.until.Add(-CacheLife))
	return d.value, fresh, s.changes
}

func (s *memory[T]) put(key string, v T, now time.Time, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != changes {
		return
	}
	if s.kept == nil || len(s.kept) >= cacheAtMost {
		s.kept = map[string]dated[T]{}
	}
	s.kept[key] = dated[T]{v, now.Add(CacheLife)}
}

// through reads from memory, else from the database. With exact it reads the database
// and keeps nothing: a transaction must not show its writes to others.
func through[T any](
	c *cache, s *memory[T], key string, exact bool, copied func(T) T, load func() (T, error),
) (T, error) {
	if exact {
		return load()
	}
	now := c.now()
	v, ok, changes := s.get(key, now)
	if ok {
		return copied(v), nil
	}
	v, err := load()
	if err != nil {
		return v, err
	}
	s.put(key, copied(v), now, changes)
	return v, nil
}

// Client implements broker.Clients. A transaction always reads the database: it may
// write back what it read, and a stale value would undo another replica's change.
func (c *cache) Client(ctx context.Context, id string) (broker.Client, error) {
	load := func() (broker.Client, error) { return c.db.Client(ctx, id) }
	return through(c, &c.clients, id, c.db.InTransaction(ctx), copyClient, load)
}

// Clients implements broker.Clients, always from the database.
func (c *cache) Clients(ctx context.Context) ([]broker.Client, error) { return c.db.Clients(ctx) }

// PutClient implements broker.Clients.
func (c *cache) PutClient(ctx context.Context, client broker.Client) error {
	return c.changed(ctx, c.db.PutClient(ctx, client))
}

// DeleteClient implements broker.Clients.
func (c *cache) DeleteClient(ctx context.Context, id string) error {
	return c.changed(ctx, c.db.DeleteClient(ctx, id))
}

// Connection implements broker.Connections. A transaction reads from memory too, until
// it changes a client or a connection itself.
func (c *cache) Connection(ctx context.Context, id string) (broker.Connection, error) {
	load := func() (broker.Connection, error) { return c.db.Connection(ctx, id) }
	return through(c, &c.conns, id, c.db.AwaitsCommit(ctx), copyConnection, load)
}

// Connections implements broker.Connections, in a transaction like Connection.
func (c *cache) Connections(ctx context.Context) ([]broker.Connection, error) {
	load := func() ([]broker.Connection, error) { return c.db.Connections(ctx) }
	return through(c, &c.lists, "", c.db.AwaitsCommit(ctx), copyConnections, load)
}

// PutConnection implements broker.Connections.
func (c *cache) PutConnection(ctx context.Context, conn broker.Connection) error {
	return c.changed(ctx, c.db.PutConnection(ctx, conn))
}

// DeleteConnection implements broker.Connections.
func (c *cache) DeleteConnection(ctx context.Context, id string) error {
	return c.changed(ctx, c.db.DeleteConnection(ctx, id))
}

// changed forgets everything once the change is committed. It does so after an error
// too, because the commit may have happened although its reply was lost.
func (c *cache) changed(ctx context.Context, err error) error {
	c.db.AfterCommit(ctx, func() {
		c.clients.forget()
		c.conns.forget()
		c.lists.forget()
	})
	return err
}

func copyClient(c broker.Client) broker.Client {
	for _, list := range []*[]string{
		&c.SecretHashes, &c.AuthMethods, &c.RedirectURIs, &c.PostLogoutRedirectURIs,
		&c.GrantTypes, &c.Scopes, &c.Audience, &c.Contacts,
	} {
		*list = slices.Clone(*list)
	}
	if c.DefaultMaxAge != nil {
		c.DefaultMaxAge = new(*c.DefaultMaxAge)
	}
	return c
}

func copyConnection(c broker.Connection) broker.Connection {
	c.Secrets, c.Domains, c.Settings = slices.Clone(c.Secrets), slices.Clone(c.Domains), maps.Clone(c.Settings)
	return c
}

func copyConnections(list []broker.Connection) []broker.Connection {
	list = slices.Clone(list)
	for i := range list {
		list[i] = copyConnection(list[i])
	}
	return list
}
