package signing_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
	"gatehouse/storage"
	"gatehouse/storage/gormdb"
)

// clock is a time that moves only when a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fixture is one replica's keys on a real SQLite file.
type fixture struct {
	t     *testing.T
	db    *gormdb.DB
	clock *clock
	keys  *signing.Keys
}

// newFixture starts the keys on an empty database.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := newEmpty(t)
	f.must(f.keys.Start(t.Context()))
	return f
}

// newEmpty does not start the keys.
func newEmpty(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &clock{at: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}}
	keyring, err := seal.New(f.clock.Now())
	f.must(err)
	store, err := storage.Open(t.Context(), storage.Options{Database: "sqlite:" + filepath.Join(t.TempDir(),
		"gatehouse.db"), Sealer: keyring,
		Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	f.must(err)
	t.Cleanup(func() { store.Close() })
	f.must(store.Migrate(t.Context()))
	f.db = store.DB
	f.keys = f.replica()
	return f
}

// replica returns the keys of another process on the same database.
func (f *fixture) replica() *signing.Keys {
	return &signing.Keys{Store: f.db, Leases: f.db, Atomic: f.db, AuditLog: f.db, Now: f.clock.Now}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) tick() {
	f.t.Helper()
	f.must(f.keys.Tick(f.t.Context()))
}

// published lists the kids of the JWKS.
func (f *fixture) published() []string { return f.kids(f.keys) }

func (f *fixture) kids(k *signing.Keys) []string {
	f.t.Helper()
	var set jose.JSONWebKeySet
	f.must(json.Unmarshal(k.JWKS(), &set))
	var kids []string
	for _, k := range set.Keys {
		if !k.IsPublic() || k.Use != "sig" || k.KeyID == "" || k.Algorithm == "" {
			f.t.Errorf("a key of the JWKS: %+v", k)
		}
		kids = append(kids, k.KeyID)
	}
	return kids
}

// signs returns the kid of the key that signs.
func (f *fixture) signs(alg string) string {
	f.t.Helper()
	key, err := f.keys.Signer(alg)
	f.must(err)
	return key.ID
}

// token signs an ID token.
func (f *fixture) token() string {
	f.t.Helper()
	key, err := f.keys.Signer(signing.RS256)
	f.must(err)
	token, err := key.Sign(map[string]string{"sub": "ana"})
	f.must(err)
	return token
}

// verifies reports whether the token is still one of ours.
func (f *fixture) verifies(token string) bool {
	_, _, err := f.keys.Verify(token, signing.TypeJWT)
	return err == nil
}

func TestTheFirstStartMakesOneKeyOfEachKind(t *testing.T) {
	f := newFixture(t)
	first := f.published()
	if len(first) != 3 {
		t.Fatalf("keys %v", first)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			k := f.replica()
			if err := k.Start(t.Context()); err != nil || len(f.kids(k)) != 3 {
				t.Errorf("another replica: %v", err)
			}
		})
	}
	all.Wait()
	if again := f.published(); !slices.Equal(first, again) {
		t.Errorf("keys %v, then %v", first, again)
	}
	events, err := f.db.Events(t.Context(), broker.EventFilter{Verb: broker.EventKeyChanged})
	f.must(err)
	if len(events) != 3 {
		t.Errorf("events %+v", events)
	}
}

func TestReplicasThatStartTogetherMakeOneSetOfKeys(t *testing.T) {
	f := newEmpty(t)
	replicas := make([]*signing.Keys, 3)
	var all sync.WaitGroup
	started := make(chan struct{})
	first := sync.OnceFunc(func() { close(started) })
	for i := range replicas {
		replicas[i] = f.replica()
		replicas[i].Pause = func(ctx context.Context, _ time.Duration) error {
			select {
			case <-started:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		all.Go(func() {
			defer first()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := replicas[i].Start(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, k := range replicas {
		if len(f.kids(k)) != 3 || string(k.JWKS()) != string(replicas[0].JWKS()) {
			t.Errorf("%d keys", len(f.kids(k)))
		}
	}
}

func TestA22_KeysRotateWithoutASecondOfOutage(t *testing.T) {
	f := newFixture(t)
	old := f.signs(signing.RS256)
	id := f.token()
	f.clock.add(signing.KeyLife - signing.KeyLead - time.Minute)
	f.tick()
	if n := len(f.published()); n != 3 {
		t.Fatalf("%d keys before their time", n)
	}
	f.clock.add(time.Minute)
	f.tick()
	if n := len(f.published()); n != 6 || f.signs(signing.RS256) != old {
		t.Fatalf("%d keys are published, %s signs", n, f.signs(signing.RS256))
	}
	known := f.published() // what an app has cached
	f.clock.add(signing.KeyLead - time.Second)
	f.tick()
	if f.signs(signing.RS256) != old {
		t.Fatal("a key signs before it was published for a day")
	}
	f.clock.add(time.Second)
	f.tick()
	if now := f.signs(signing.RS256); now == old || !slices.Contains(known, now) {
		t.Fatalf("%s signs, apps know %v", now, known)
	}
	if !slices.Contains(f.published(), old) {
		t.Fatal("the old key left while its tokens live")
	}
	f.clock.add(signing.KeyTail)
	f.tick()
	if slices.Contains(f.published(), old) || len(f.published()) != 3 {
		t.Errorf("published %v", f.published())
	}
	if !f.verifies(id) {
		t.Error("the hint of a retired key is refused")
	}
	f.clock.add(signing.HintLife)
	f.tick()
	if f.verifies(id) {
		t.Error("a hint from 90 days ago")
	}
	rows, err := f.db.SigningKeys(t.Context())
	f.must(err)
	if slices.ContainsFunc(rows, func(k broker.SigningKey) bool { return k.ID == old }) {
		t.Error("the row of the old key is still there")
	}
}

func TestA22_AllReplicasFollowWithinAMinute(t *testing.T) {
	f := newFixture(t)
	f.clock.add(time.Minute) // the lease of the start is over
	other := f.replica()
	f.must(other.Start(t.Context()))
	id := f.token()
	before := f.published()
	f.must(other.RotateNow(t.Context(), false))
	f.tick()
	if now := f.published(); len(now) != 6 || !slices.Contains(before, f.signs(signing.RS256)) {
		t.Fatalf("published %v", now)
	}
	f.clock.add(time.Minute)
	f.must(other.RotateNow(t.Context(), false))
	if f.tick(); len(f.published()) != 6 {
		t.Error("there are two next keys")
	}
	f.clock.add(time.Minute)
	f.must(other.RotateNow(t.Context(), true))
	f.tick()
	now := f.published()
	if len(now) != 3 || slices.ContainsFunc(now, func(kid string) bool { return slices.Contains(before, kid) }) ||
		!slices.Contains(now, f.signs(signing.RS256)) {
		t.Errorf("after an emergency %v, before it %v", now, before)
	}
	if f.verifies(id) {
		t.Error("an emergency leaves the old tokens good as hints")
	}
	if err := other.RotateNow(t.Context(), true); err == nil {
		t.Error("two rotations at once")
	}
}
