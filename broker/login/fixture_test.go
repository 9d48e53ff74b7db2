package login_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/credential"
	"gatehouse/broker/login"
	"gatehouse/broker/mail"
	"gatehouse/broker/seal"
	"gatehouse/broker/text"
	"gatehouse/broker/web"
	"gatehouse/storage/gormdb"
	"gatehouse/storage/storetest"
)

// fixture is the package on a real database, with upstreams, an app and a mailbox that
// the test plays.
type fixture struct {
	t       *testing.T
	db      *gormdb.DB
	handler *login.Handler
	mux     http.Handler
	keyring *seal.Keyring
	pass    *credential.Passwords
	fleet   *ephemeral
	ups     *upstreams
	start   broker.Login // what the app asks for
	path    string       // of the database
	first   *fixture     // of a replica: whose clock it goes by
	// meanwhile is called once, between a proof and the creation of its session.
	meanwhile func()

	turns *turns // of this fixture and its replicas

	mu  sync.Mutex
	now time.Time
}

// ephemeral lets a test step in at a Swap, a Put, a Take or a Count.
type ephemeral struct {
	broker.Ephemeral
	swap  func(store string) error
	put   func(store string)
	take  func(store string) error
	count func(store string, n int64) // after it
}

func (f *ephemeral) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	n, err := f.Ephemeral.Count(ctx, store, key, expires)
	if f.count != nil {
		f.count(store, n)
	}
	return n, err
}

func (f *ephemeral) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	if f.put != nil {
		f.put(store)
	}
	return f.Ephemeral.Put(ctx, store, key, v, expires)
}

func (f *ephemeral) Take(ctx context.Context, store, key string) ([]byte, error) {
	if f.take != nil {
		if err := f.take(store); err != nil {
			return nil, err
		}
	}
	return f.Ephemeral.Take(ctx, store, key)
}

func (f *ephemeral) Swap(ctx context.Context, store, key string, old, v []byte) error {
	if f.swap != nil {
		if err := f.swap(store); err != nil {
			return err
		}
	}
	return f.Ephemeral.Swap(ctx, store, key, old, v)
}

type setting func(*login.Options)

func registration(m broker.Registration) setting {
	return func(o *login.Options) { o.Registration = m }
}

func newFixture(t *testing.T, settings ...setting) *fixture {
	t.Helper()
	g := &fixture{t: t, turns: newTurns(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		path: filepath.Join(t.TempDir(), "t.db"),
		ups:  &upstreams{answers: map[string]claimed{}}}
	migrated.Copy(t, filepath.Dir(g.path), migrate)
	keyring, err := seal.New(g.now)
	must(t, err)
	g.keyring = keyring
	g.assemble(settings)
	must(t, g.db.PutClient(context.Background(), broker.Client{ID: "shop", Name: "Courts Booking",
		AuthMethods: []string{"none"}, CreatedAt: g.now, UpdatedAt: g.now}))
	for i, id := range []string{"google", "facebook", "corp"} {
		g.connection(id, i, func(*broker.Connection) {})
	}
	g.start = broker.Login{Request: url.Values{"client_id": {"shop"}, "state": {"the-app-s-state"}}, ClientID: "shop"}
	return g
}

// catalog is parsed once.
var catalog = sync.OnceValues(text.Load)

// migrated has an empty database, which every test begins with.
var migrated storetest.Template

func migrate(t testing.TB, folder string) {
	t.Helper()
	keyring, err := seal.New(time.Now())
	must(t, err)
	db, err := gormdb.Open(t.Context(), gormdb.Options{URL: "sqlite:" + filepath.Join(folder, "t.db"), Sealer: keyring})
	must(t, err)
	must(t, db.Migrate(t.Context()))
	must(t, db.Close())
}

// replica is another process on the same storage, with the same upstreams and time.
func (g *fixture) replica(settings ...setting) *fixture {
	g.t.Helper()
	r := &fixture{t: g.t, turns: g.turns, first: g, path: g.path, keyring: g.keyring, ups: g.ups, start: g.start}
	r.assemble(settings)
	return r
}

// assemble opens the database and builds the handlers on it.
func (g *fixture) assemble(settings []setting) {
	t, keyring, ctx := g.t, g.keyring, context.Background()
	t.Helper()
	var err error
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	g.db, err = gormdb.Open(ctx, gormdb.Options{URL: "sqlite:" + g.path, Sealer: keyring, Now: g.time, Log: log})
	must(t, err)
	t.Cleanup(func() { _ = g.db.Close() })
	must(t, g.db.Migrate(ctx))
	texts, err := catalog()
	must(t, err)
	g.fleet = &ephemeral{Ephemeral: g.db}
	issuer, _ := url.Parse("https://id.example.test")
	toolkit := web.New(web.Options{Issuer: issuer, Site: web.Site{Name: "Northgate"}, Texts: texts, Keyring: keyring,
		Store: g.db,
		Now:   g.time, Log: log})
	g.pass = credential.NewPasswords(credential.PasswordOptions{Ephemeral: g.fleet, Keyring: keyring, Now: g.time,
		Cost: credential.Cost{Memory: 8, Passes: 1, Lanes: 1}})
	o := login.Options{Toolkit: toolkit, Store: g.db, Ephemeral: g.fleet, Upstreams: g.ups, Passwords: g.pass,
		Codes:  credential.NewCodes(g.fleet, keyring, g.time),
		Mailer: &mail.Mailer{Outbox: g.db, Texts: texts, Site: mail.Site{Name: "Northgate"}, Now: g.time}, Keyring: keyring,
		Registration: broker.RegisterForm, PasswordSignIn: true, Icon: func(k string) string { return k },
		Callback: func(c string) string { return "https://id.example.test/callback/" + c }, Now: g.time, Log: log,
		Pause: g.turns.pause}
	for _, s := range settings {
		s(&o)
	}
	if o.Gate == nil {
		o.Gate = gateOf(o, stepIn{g.db, g})
	}
	toolkit.Gate = o.Gate
	g.handler = login.New(o)
	mux := http.NewServeMux()
	g.handler.Mount(mux, g)
	mux.Handle("GET /authorize", toolkit.Handle(g.authorize))
	for _, path := range []string{broker.AccountPath, broker.MethodsPath} {
		mux.Handle("GET "+path, toolkit.Handle(func(w http.ResponseWriter, r *http.Request) error {
			_, a, err := toolkit.Current(r, "")
			if err != nil {
				http.Redirect(w, r, "/login", http.StatusSeeOther)
				return nil
			}
			_, err = io.WriteString(w, "ACCOUNT email="+a.Email)
			return err
		}))
	}
	g.mux = g.turns.serve(mux)
}

func (g *fixture) connection(id string, position int, edit func(*broker.Connection)) {
	g.t.Helper()
	c := broker.Connection{ID: id, Kind: id, Name: strings.ToUpper(id[:1]) + id[1:], State: broker.Live,
		Issuer:   "https://" + id + ".test",
		ClientID: "client-of-" + id, Secrets: []broker.Secret{"s"}, Position: position, CreatedAt: g.now, UpdatedAt: g.now}
	edit(&c)
	must(g.t, g.db.PutConnection(context.Background(), c))
}

func (g *fixture) time() time.Time {
	if g.first != nil {
		return g.first.time()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *fixture) wait(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// authorize plays the app's handler: it starts, finishes and abandons logins.
func (g *fixture) authorize(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	switch {
	case q.Has("error"):
		request, err := g.handler.Abandon(w, r, q.Get("login"))
		if err != nil {
			return err
		}
		_, _ = io.WriteString(w, "APP error="+q.Get("error")+" state="+request.Get("state"))
		return nil
	case q.Has("login"):
		done, err := g.handler.Finish(w, r, q.Get("login"))
		if errors.Is(err, broker.InteractionRequired) {
			http.Redirect(w, r, "/login/"+q.Get("login"), http.StatusSeeOther)
			return nil
		}
		if err != nil {
			return err
		}
		return g.Respond(w, r, done)
	}
	path, err := g.handler.Start(w, r, g.start)
	if err != nil {
		return err
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}

// Respond plays the app that gets what a login led to.
func (g *fixture) Respond(w http.ResponseWriter, _ *http.Request, l broker.FinishedLogin) error {
	_, err := io.WriteString(w, "APP email="+l.Account.Email+" state="+l.Request.Get("state")+" sid="+l.Session.ID+" amr="+
		strings.Join(l.Session.Authn.AMR, ","))
	return err
}

// gateOf decides on what is stored.
func gateOf(o login.Options, store access.Store) *access.Gate {
	return access.New(access.Options{Store: store, Factors: o.Factors, Registration: o.Registration,
		PasswordSignIn: o.PasswordSignIn, Now: o.Now})
}

// stepIn lets a test step in after an identity was read.
type stepIn struct {
	*gormdb.DB
	g *fixture
}

func (s stepIn) Identity(ctx context.Context, connection, issuer, subject string) (broker.Identity, broker.Account,
	error) {
	i, a, err := s.DB.Identity(ctx, connection, issuer, subject)
	if meanwhile := s.g.meanwhile; meanwhile != nil {
		s.g.meanwhile = nil
		meanwhile()
	}
	return i, a, err
}

// account makes an account; no password for "".
func (g *fixture) account(email, password string) broker.Account {
	g.t.Helper()
	a := broker.Account{ID: broker.NewID(), Email: email, Name: "Ana", CreatedAt: g.time(), UpdatedAt: g.time()}
	if password != "" {
		hash, err := g.pass.Hash(context.Background(), password)
		must(g.t, err)
		a.PasswordHash = hash
	}
	must(g.t, g.db.CreateAccount(context.Background(), a))
	return a
}

func (g *fixture) linked(a broker.Account, connection, subject string) broker.Identity {
	g.t.Helper()
	i := broker.Identity{ID: broker.NewID(), AccountID: a.ID, Connection: connection, Issuer: "https://" + connection +
		".test", Subject: subject,
		Email: a.Email, LinkedAt: g.time(), SeenAt: g.time()}
	must(g.t, g.db.Link(context.Background(), i))
	return i
}

func (g *fixture) identities(a broker.Account) []broker.Identity {
	g.t.Helper()
	ids, err := g.db.IdentitiesOf(context.Background(), a.ID)
	must(g.t, err)
	return ids
}

func (g *fixture) accounts() []broker.Account {
	g.t.Helper()
	all, err := g.db.Accounts(context.Background(), "", 100)
	must(g.t, err)
	return all
}

func (g *fixture) events(verb broker.Verb) []broker.Event {
	g.t.Helper()
	all, err := g.db.Events(context.Background(), broker.EventFilter{Verb: verb, Limit: 100})
	must(g.t, err)
	return all
}

// mails empties the mailbox.
func (g *fixture) mails() []broker.Mail {
	g.t.Helper()
	ctx := context.Background()
	due, err := g.db.DueMail(ctx, g.time(), g.time().Add(time.Minute), 100)
	must(g.t, err)
	for _, m := range due {
		must(g.t, g.db.MailSent(ctx, m.ID))
	}
	return due
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

func (g *fixture) code() string {
	g.t.Helper()
	due := g.mails()
	if len(due) != 1 {
		g.t.Fatalf("want one mail, got %d", len(due))
	}
	return sixDigits.FindString(due[0].Text)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// knownAtGoogle is Ana, who signs in with Google and returns with "code".
func (g *fixture) knownAtGoogle() broker.Account {
	a := g.account(ana, "")
	g.linked(a, "google", "g1")
	g.claims("code", verified("g1", ana))
	return a
}

// redirect takes a browser to Google and returns its login and the callback URL with a code.
type redirect func(b *browser, code string) (path, back string)

// everyRedirect runs a test for each way there.
func everyRedirect(t *testing.T, run func(t *testing.T, g *fixture, leave redirect)) {
	t.Run("from the page of the login", func(t *testing.T) {
		run(t, newFixture(t), func(b *browser, code string) (path, back string) {
			path, _ = b.begin()
			return path, b.callback(path, "google", code)
		})
	})
	t.Run("at once, since the app names the connection", func(t *testing.T) {
		run(t, newFixture(t), func(b *browser, code string) (path, back string) {
			b.g.start.Connection = "google"
			defer func() { b.g.start.Connection = "" }()
			return b.linking(code)
		})
	})
}
