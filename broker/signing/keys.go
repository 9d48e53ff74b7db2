package signing

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
)

// The lifetime of a signing key (SECURITY.md A22).
const (
	KeyLife = 30 * 24 * time.Hour
	//defence:A22 = 30 * time.Minute
	KeyLead = 24 * time.Hour // published before it signs, so that every app has it
	// KeyTail is how long a retired key stays published. A lagging replica signs with it for another minute, and
	// its tokens live ten minutes. An app reads the JWKS at any time before that, and caches it.
	//defence:A22 = time.Minute
	KeyTail = time.Hour
	// HintLife is how long after that its ID tokens are accepted as id_token_hint.
	HintLife = 90 * 24 * time.Hour
	// RefreshInterval is how often a replica reads the keys, and the time limit of one read. One read may fail,
	// and a withdrawn key is still gone within a minute.
	//defence:A22 = 30 * time.Second
	RefreshInterval = 15 * time.Second
	keyLease        = "signing-keys"
)

// Keys creates, rotates and publishes the issuer's signing keys. Set the exported fields. It is safe for
// concurrent use.
type Keys struct {
	Store    broker.SigningKeys
	Leases   broker.Leases
	Atomic   broker.Atomic
	AuditLog broker.AuditLog
	Now      func() time.Time
	// Pause waits while another replica creates the keys; nil: on the real clock.
	Pause func(context.Context, time.Duration) error

	current atomic.Pointer[keySet]
}

// keySet is an immutable set of parsed keys.
type keySet struct {
	all    []*Key
	byID   map[string]*Key
	active map[string]*Key // by algorithm
	jwks   []byte
}

// Signer returns the key that signs for an algorithm.
func (k *Keys) Signer(alg string) (*Key, error) {
	if set := k.current.Load(); set != nil && set.active[alg] != nil {
		return set.active[alg], nil
	}
	return nil, fmt.Errorf("signing: no key for %s", alg)
}

// Find returns a key that is published, or was within the last 90 days; nil if there is none.
func (k *Keys) Find(kid string) *Key {
	if set := k.current.Load(); set != nil {
		return set.byID[kid]
	}
	return nil
}

// JWKS returns the published keys as a JWK Set (RFC 7517 §5).
func (k *Keys) JWKS() []byte { return k.current.Load().jwks }

// Start loads the keys and creates missing ones, under a lease: if replicas start together, one creates them and
// the others wait.
func (k *Keys) Start(ctx context.Context) error {
	for {
		if err := k.load(ctx); err != nil {
			return err
		}
		if k.current.Load().complete() {
			return nil
		}
		if err := k.upkeep(ctx); err != nil {
			return err
		}
		if k.current.Load().complete() {
			return nil
		}
		if err := k.pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("signing: waiting for another replica to make the signing keys: %w", err)
		}
	}
}

func (k *Keys) pause(ctx context.Context, d time.Duration) error {
	if k.Pause != nil {
		return k.Pause(ctx, d)
	}
	return broker.Pause(ctx, d)
}

// complete reports whether there is a key for each algorithm. A newer version that runs beside this one may have
// added others.
func (s *keySet) complete() bool {
	return !slices.ContainsFunc(Algorithms(), func(alg string) bool { return s.active[alg] == nil })
}

// Tick applies the changes of other replicas and does what is due. Run calls it every 15 seconds, so that no
// replica lags by more than a minute.
func (k *Keys) Tick(ctx context.Context) error {
	if err := k.load(ctx); err != nil {
		return err
	}
	if len(k.due()) == 0 {
		return nil
	}
	return k.upkeep(ctx)
}

// load reads the keys, and parses only new ones.
func (k *Keys) load(ctx context.Context) error {
	rows, err := k.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("signing: signing keys: %w", err)
	}
	now, old := k.Now(), k.current.Load()
	set := &keySet{byID: map[string]*Key{}, active: map[string]*Key{}}
	for _, row := range rows {
		parsed, err := reuse(old, row)
		if err != nil {
			return err
		}
		set.all = append(set.all, parsed)
		if row.State != broker.KeyRetired || now.Before(row.RetireAt.Add(HintLife)) {
			set.byID[row.ID] = parsed
		}
		if best := set.active[row.Alg]; row.State == broker.KeyActive && (best == nil || best.ActiveAt.Before(row.ActiveAt)) {
			set.active[row.Alg] = parsed
		}
	}
	if set.jwks, err = set.publish(now); err != nil {
		return err
	}
	k.current.Store(set)
	return nil
}

func reuse(old *keySet, row broker.SigningKey) (*Key, error) {
	if old == nil || old.byID[row.ID] == nil || !bytes.Equal(old.byID[row.ID].Private, row.Private) {
		return ParseKey(row)
	}
	again := *old.byID[row.ID]
	again.SigningKey = row
	return &again, nil
}

// publish builds the JWKS: every key that signs, will sign, or has signed unexpired tokens.
func (s *keySet) publish(now time.Time) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range s.all {
		if key.State != broker.KeyRetired ||
			//defence:A22
			now.Before(key.RetireAt) {
			set.Keys = append(set.Keys, key.public())
		}
	}
	slices.SortFunc(set.Keys, func(a, b jose.JSONWebKey) int { return cmp.Compare(a.KeyID, b.KeyID) })
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("signing: jwks: %w", err)
	}
	return body, nil
}

// rotationStep is one due change of the keys.
type rotationStep struct {
	make   broker.SigningKey // with an Alg: a key to create, in this state
	change broker.SigningKey // with an ID: a key to update
	seen   broker.KeyState
	remove string // a key to delete
}

// due returns the steps that the schedule requires now.
func (k *Keys) due() (todo []rotationStep) {
	now, set := k.Now(), k.current.Load()
	next := map[string]*Key{}
	for _, key := range set.all {
		switch {
		case key.State == broker.KeyNext:
			next[key.Alg] = key
		case key.State == broker.KeyRetired && !now.Before(key.RetireAt.Add(HintLife)):
			todo = append(todo, rotationStep{remove: key.ID})
		case key.State == broker.KeyActive && key != set.active[key.Alg]:
			todo = append(todo, retire(key.SigningKey, now))
		}
	}
	for _, alg := range Algorithms() {
		active, coming := set.active[alg], next[alg]
		switch {
		case active == nil && coming == nil:
			todo = append(todo, rotationStep{make: broker.SigningKey{Alg: alg, State: broker.KeyActive, ActiveAt: now}})
		case coming == nil && !now.Before(active.ActiveAt.Add(KeyLife-KeyLead)):
			todo = append(todo, rotationStep{make: broker.SigningKey{Alg: alg, State: broker.KeyNext,
				ActiveAt: now.Add(KeyLead)}})
		case coming != nil &&
			//defence:A22
			(active == nil || !now.Before(coming.ActiveAt)):
			up := coming.SigningKey
			up.State, up.ActiveAt = broker.KeyActive, now
			todo = append(todo, rotationStep{change: up, seen: broker.KeyNext})
			if active != nil {
				todo = append(todo, retire(active.SigningKey, now))
			}
		}
	}
	return todo
}

func retire(key broker.SigningKey, now time.Time) rotationStep {
	seen := key.State
	key.State, key.RetireAt = broker.KeyRetired, now.Add(KeyTail)
	return rotationStep{change: key, seen: seen}
}

// upkeep does what is due, on one replica at a time.
func (k *Keys) upkeep(ctx context.Context) error {
	return k.leased(ctx, func() error { return k.do(ctx, k.due(), true) })
}

// ErrBusy: another replica is changing the keys, or did so in the last ten seconds.
var ErrBusy = errors.New("signing: another process is changing the signing keys; try again in a minute")

func (k *Keys) leased(ctx context.Context, work func() error) error {
	now := k.Now()
	ok, err := k.Leases.Lease(ctx, keyLease, broker.NewID(), now, now.Add(10*time.Second))
	if err != nil {
		return fmt.Errorf("signing: lease: %w", err)
	}
	if !ok {
		return nil
	}
	if err := k.load(ctx); err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	return k.load(ctx)
}

// do generates the keys first, because RSA is slow, then writes all changes in one transaction.
func (k *Keys) do(ctx context.Context, todo []rotationStep, tell bool) error {
	now := k.Now()
	for i := range todo {
		if todo[i].make.Alg == "" {
			continue
		}
		var err error
		if todo[i].make.Private, err = NewPrivate(todo[i].make.Alg); err != nil {
			return err
		}
		todo[i].make.ID, todo[i].make.CreatedAt = broker.NewID(), now
	}
	return k.Atomic.Atomic(ctx, func(ctx context.Context) error {
		var events []broker.Event
		for _, c := range todo {
			id, what, err := k.write(ctx, c)
			if err != nil {
				return fmt.Errorf("signing: signing key %s: %w", id, err)
			}
			events = append(events, broker.Event{ID: broker.NewID(), At: now, Verb: broker.EventKeyChanged,
				Detail: map[string]string{"key": id, "change": what}})
		}
		if !tell || len(events) == 0 {
			return nil
		}
		return k.AuditLog.Record(ctx, events...)
	})
}

func (k *Keys) write(ctx context.Context, c rotationStep) (id, what string, err error) {
	switch {
	case c.make.Alg != "":
		return c.make.ID, "made", k.Store.AddSigningKey(ctx, c.make)
	case c.change.ID != "":
		return c.change.ID, string(c.change.State), k.Store.ChangeSigningKey(ctx, c.change, c.seen)
	default:
		return c.remove, "removed", k.Store.DeleteSigningKey(ctx, c.remove)
	}
}

// RotateNow rotates ahead of schedule; the caller records the event. In an emergency the new keys sign
// immediately and all old ones are deleted: apps refuse their tokens after the next read of the JWKS, this
// server within a minute. Otherwise the next keys are published now and sign in a day. It returns ErrBusy if
// another process is changing the keys.
func (k *Keys) RotateNow(ctx context.Context, emergency bool) error {
	done := false
	err := k.leased(ctx, func() error {
		done = true
		now := k.Now()
		var todo []rotationStep
		coming := map[string]bool{}
		for _, key := range k.current.Load().all {
			coming[key.Alg] = coming[key.Alg] || key.State == broker.KeyNext
			if emergency {
				//defence:A22
				todo = append(todo, rotationStep{remove: key.ID})
			}
		}
		for _, alg := range Algorithms() {
			switch {
			case emergency:
				todo = append(todo, rotationStep{make: broker.SigningKey{Alg: alg, State: broker.KeyActive, ActiveAt: now}})
			case !coming[alg]:
				todo = append(todo, rotationStep{make: broker.SigningKey{Alg: alg, State: broker.KeyNext,
					ActiveAt: now.Add(KeyLead)}})
			}
		}
		return k.do(ctx, todo, false)
	})
	if err == nil && !done {
		return ErrBusy
	}
	return err
}

func NewPrivate(alg string) ([]byte, error) {
	var key crypto.PrivateKey
	var err error
	switch alg {
	case RS256:
		// RSA 4096 signs six times slower and is no safer for a key that lives a month.
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("signing: new %s key: %w", alg, err)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
