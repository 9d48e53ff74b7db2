package oidc

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
	"gatehouse/broker/text"
	"gatehouse/broker/web"
	"gatehouse/storage"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/storetest"
)

const (
	issuer   = "https://id.example.com"
	callback = "https://app.example.com/callback"
	goodbye  = "https://app.example.com/goodbye"
	verifier = "a-verifier-of-forty-three-characters-or-more-0123456789"
)

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// clock is a time that only moves by its methods.
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

// harness is the handler on a real SQLite file, with its own clock and a login
// journey that accepts what the test says.
type harness struct {
	t       *testing.T
	db      *gormdb.DB
	clock   *clock
	keyring *seal.Keyring
	toolkit *web.Toolkit
	handler *Handler
	mux     *http.ServeMux
	logins  *fakeLogins
	url     string  // of the database
	redis   string  // where it is not the database that keeps what is ephemeral
	secret  string  // of the client "app"
	prover  *prover // the DPoP key of the clients; none without
	out     *egress.Client
	ups     map[string]broker.Upstream // by connection
	warned  []string                   // people, and of which app
}

// Open implements broker.Upstreams.
func (h *harness) Open(_ context.Context, c broker.Connection) (broker.Upstream, error) {
	if up, ok := h.ups[c.ID]; ok {
		return up, nil
	}
	return nil, broker.UpstreamMisconfigured
}

// ports are what a test may put between the handler and the database.
type ports struct {
	auditLog  func(broker.AuditLog) broker.AuditLog
	grants    func(broker.Grants) broker.Grants
	keys      func(broker.SigningKeys) broker.SigningKeys
	ephemeral func(broker.Ephemeral) broker.Ephemeral
	bare      bool // a first start, without signing keys
	register  bool // clients register themselves
	memory    bool // clients and connections as storage remembers them
	egress    *egress.Client
	tenancies access.Tenancies
}

func through[T any](wrap func(T) T, port T) T {
	if wrap == nil {
		return port
	}
	return wrap(port)
}

func newHarness(t *testing.T) *harness { return newHarnessWith(t, ports{}) }

func newHarnessWith(t *testing.T, p ports) *harness {
	t.Helper()
	return newHarnessAt(t, sqliteFile(t), "", p)
}

// catalog is parsed once.
var catalog = sync.OnceValues(text.Load)

// migrated has an empty database, which every test on SQLite begins with.
var migrated storetest.Template

// sqliteFile returns the URL of an empty database.
func sqliteFile(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	migrated.Copy(t, folder, func(t testing.TB, folder string) {
		keyring, err := seal.New(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		db, err := gormdb.Open(t.Context(), gormdb.Options{URL: "sqlite:" + filepath.Join(folder, "gatehouse.db"),
			Sealer: keyring})
		if err == nil {
			err = errors.Join(db.Migrate(t.Context()), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return "sqlite:" + filepath.Join(folder, "gatehouse.db")
}

func newHarnessAt(t *testing.T, database, redis string, p ports) *harness {
	t.Helper()
	h := &harness{t: t, clock: &clock{at: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}, url: database, redis: redis}
	var err error
	h.out, err = egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	h.must(err)
	keyring, err := seal.New(h.clock.Now())
	h.must(err)
	h.keyring = keyring
	h.open(p)
	h.must(h.db.CreateAccount(t.Context(), ana(h.clock.Now())))
	h.secret = h.client(broker.Client{ID: "app", Name: "The App", AuthMethods: []string{"client_secret_basic"}})
	return h
}

// open starts the process: a second call is a restart, or another replica.
func (h *harness) open(p ports) {
	h.t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	kept, err := storage.Open(h.t.Context(), storage.Options{Database: h.url, Redis: h.redis, Sealer: h.keyring,
		Now: h.clock.Now, Log: quiet})
	h.must(err)
	h.must(kept.Migrate(h.t.Context()))
	h.t.Cleanup(func() { kept.Close() })
	db := kept.DB // past the memory, which may be five seconds old
	h.db = db
	if !p.bare {
		h.withKeys()
	}
	texts, err := catalog()
	h.must(err)
	origin, err := url.Parse(issuer)
	h.must(err)
	ports := stored{DB: db, grants: through[broker.Grants](p.grants, db), keys: through[broker.SigningKeys](p.keys, db),
		auditLog: through[broker.AuditLog](p.auditLog, db), clients: db, connections: db}
	if p.memory {
		ports.clients, ports.connections = kept, kept
	}
	gate := access.New(access.Options{Store: ports, Tenancies: p.tenancies, Registration: broker.RegisterForm,
		PasswordSignIn: true, Now: h.clock.Now})
	h.toolkit = web.New(web.Options{Issuer: origin, Site: web.Site{Name: "Gatehouse"}, Texts: texts, Keyring: h.keyring,
		Gate: gate, Store: db,
		Now: h.clock.Now, Log: quiet})
	h.logins = &fakeLogins{h: h, pending: map[string]broker.Login{}}
	h.handler, err = New(Options{Issuer: issuer, Toolkit: h.toolkit, Gate: gate, Logins: h.logins, Store: ports,
		Ephemeral: through(p.ephemeral, kept.Ephemeral),
		Upstreams: h, Egress: cmp.Or(p.egress, h.out), Keyring: h.keyring, Now: h.clock.Now, Log: quiet,
		Registration: p.register,
		Warn: func(_ context.Context, a broker.Account, app broker.Client) error {
			h.warned = append(h.warned, a.Email+" of "+app.Name)
			return nil
		}})
	h.must(err)
	h.handler.patience = 0 // no app is notified unless a test does it
	h.mux = http.NewServeMux()
	h.handler.Mount(h.mux)
}

func (h *harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// madeKeys are signing keys that the tests share, because RSA takes its time.
var madeKeys = sync.OnceValue(func() []broker.SigningKey {
	var all []broker.SigningKey
	for _, alg := range signing.Algorithms() {
		private, err := signing.NewPrivate(alg)
		if err != nil {
			panic(err)
		}
		all = append(all, broker.SigningKey{ID: broker.NewID(), Alg: alg, State: broker.KeyActive, Private: private})
	}
	return all
})

// withKeys gives a new database its signing keys.
func (h *harness) withKeys() {
	h.t.Helper()
	have, err := h.db.SigningKeys(h.t.Context())
	h.must(err)
	for _, k := range madeKeys() {
		if k.CreatedAt, k.ActiveAt = h.clock.Now(), h.clock.Now(); len(have) == 0 {
			h.must(h.db.AddSigningKey(h.t.Context(), k))
		}
	}
}

func ana(now time.Time) broker.Account {
	return broker.Account{ID: "ana", Email: "ana@example.com", Name: "Ana Lima", GivenName: "Ana", FamilyName: "Lima",
		Locale: "es", CreatedAt: now, UpdatedAt: now}
}

// client registers a client with default values, and returns its secret.
func (h *harness) client(c broker.Client) string {
	h.t.Helper()
	if c.RedirectURIs == nil {
		c.RedirectURIs = []string{callback}
	}
	if c.PostLogoutRedirectURIs == nil {
		c.PostLogoutRedirectURIs = []string{goodbye}
	}
	if c.GrantTypes == nil {
		c.GrantTypes = []string{clients.GrantCode, clients.GrantRefresh}
		if !c.Public() {
			c.GrantTypes = append(c.GrantTypes, clients.GrantClient)
		}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email", "offline_access", "photos"}
	}
	c.FirstParty = c.FirstParty || c.ID == "app"
	c.CreatedAt, c.UpdatedAt = h.clock.Now(), h.clock.Now()
	secret := ""
	if !c.Public() && c.SecretHashes == nil {
		s, hash := clients.NewSecret(h.keyring, c.ID)
		secret, c.SecretHashes = s.Reveal(), []string{hash}
	}
	if problems := clients.Validate(c); len(problems) > 0 {
		h.t.Fatalf("the client of the test: %v", problems)
	}
	h.must(h.db.PutClient(h.t.Context(), c))
	return secret
}

// fakeLogins stores requests and signs Ana in on request.
type fakeLogins struct {
	h       *harness
	mu      sync.Mutex
	pending map[string]broker.Login
	account string       // who signs in; ana where empty
	authn   broker.Authn // how; by password where empty
	err     error        // of Finish
}

func (f *fakeLogins) Start(_ http.ResponseWriter, _ *http.Request, l broker.Login) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.ID = broker.NewID()
	f.pending[l.ID] = l
	return "/login/" + l.ID, nil
}

func (f *fakeLogins) Finish(w http.ResponseWriter, r *http.Request, id string) (none broker.FinishedLogin, _ error) {
	f.mu.Lock()
	l, ok := f.pending[id]
	delete(f.pending, id)
	f.mu.Unlock()
	if f.err != nil || !ok {
		if f.err == nil {
			return none, broker.LoginUnknown
		}
		return none, f.err
	}
	id, how := f.account, f.authn
	if id == "" {
		id = "ana"
	}
	a, err := f.h.db.Account(r.Context(), id)
	if err != nil {
		return none, err
	}
	if how.Method == "" {
		how = broker.Authn{Method: broker.ByPassword, AMR: []string{"pwd"}, AuthTime: f.h.clock.Now()}
	}
	how.Epoch = a.AuthEpoch
	token, hash := f.h.toolkit.NewSession([]byte(broker.NewToken()))
	now := f.h.clock.Now()
	s := broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: how, CreatedAt: now,
		ExpiresAt: now.Add(broker.SessionLife)}
	if err := f.h.db.CreateSession(r.Context(), hash, s); err != nil {
		return none, err
	}
	f.h.toolkit.SetSession(w, token, s.ExpiresAt)
	return broker.FinishedLogin{Session: s, Account: a, Request: l.Request}, nil
}

func (f *fakeLogins) Abandon(_ http.ResponseWriter, _ *http.Request, id string) (url.Values, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.pending[id]
	if !ok {
		return nil, broker.LoginUnknown
	}
	return l.Request, nil
}
