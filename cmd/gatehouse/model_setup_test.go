package main

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"gatehouse/broker"
	"gatehouse/broker/seal"
	"gatehouse/config"
	"gatehouse/providers/fakeidp"
	"gatehouse/storage"
	"gatehouse/storage/storetest"
)

const modelIssuer = "http://localhost:8080"

func newModel(t *testing.T, seed uint64, postgres bool, registration string) *model {
	t.Helper()
	m := &model{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(seed, 0)), seed: seed, issuer: modelIssuer,
		log: &modelLog{},
		// A day to come, from its first second: the windows of the limits lie the same in every run.
		clock: &clock{at: time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)}, sims: map[string]*fakeidp.Server{},
		live: map[string]bool{}, byID: map[string]*holder{},
		byPassword: map[string]*holder{}, idents: map[ident]*bond{}, sessions: map[string]*sitting{},
		cookies: map[string]*sitting{},
		logins:  map[string]*ledger{}, wants: map[string]want{}, inside: map[string]*linkRequest{},
		upstreamRequests: map[string]*upstreamRequest{}, upCodes: map[string]*upCode{}, grants: map[string]*grant{},
		pending: map[string]*sent{}, inbox: map[string][]mailed{}, secrets: map[string]bool{}, counts: map[string]int{}}
	m.openBrokers(postgres, registration)
	m.connect()
	m.catchUp()
	m.register()
	return m
}

// openBrokers assembles two replicas over one storage, and a shell for the operator.
func (m *model) openBrokers(postgres bool, registration string) {
	dir := m.t.TempDir()
	database, driver, place := "sqlite:"+filepath.Join(dir, "gatehouse.db"), "sqlite", filepath.Join(dir, "gatehouse.db")
	redis := ""
	if postgres {
		driver, redis = "pgx", storetest.Redis(m.t, os.Getenv("GATEHOUSE_TEST_REDIS"))
		database = storetest.Postgres(m.t, os.Getenv("GATEHOUSE_TEST_POSTGRES"))
		place = database
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	lines := []string{"issuer: " + m.issuer, "data_dir: " + dir, "operations:", "  listen: \"off\"",
		"registration: " + registration,
		"upstream_networks: [127.0.0.0/8]", "database: env:DATABASE"}
	if redis != "" {
		lines = append(lines, "redis: env:REDIS", "keyring: file:"+filepath.Join(dir, "keyring.json"))
		_, err := seal.LoadOrCreate(filepath.Join(dir, "keyring.json"), m.now())
		m.must(err)
	}
	m.must(os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	vars := []string{"DATABASE=" + database, "REDIS=" + redis}
	for i := range 3 {
		cfg, err := config.Load(file, func() []string { return vars })
		m.must(err)
		h, err := openApp(m.ctx, cfg, newLog(m.log, slog.LevelDebug), m.now)
		m.must(err)
		h.passwordCost = cheapPasswords()
		m.t.Cleanup(func() { _ = h.close() })
		m.brokers = append(m.brokers, h)
		if i < 2 {
			handler, _, err := h.assemble(m.ctx)
			m.must(err)
			m.handlers = append(m.handlers, handler)
		}
	}
	raw, err := sql.Open(driver, place)
	m.must(err)
	m.t.Cleanup(func() { _ = raw.Close() })
	m.raw = raw
}

// connect starts the simulated upstreams, which are reached over HTTP.
func (m *model) connect() {
	for i, c := range demoConnections() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		m.must(err)
		base, kind, secret := "http://"+l.Addr().String(), c.Kind, broker.NewToken()
		if kind == "meta" {
			kind = fakeidp.KindFacebook
		}
		if c.ID == "microsoft" {
			c.Settings = map[string]string{"tenant": "organizations", "allowed_tenants": fakeidp.DemoTenant + " " +
				fakeidp.OtherTenant}
		}
		sim := fakeidp.New(fakeidp.Options{Keys: &providerKeys, Kind: kind, BaseURL: base, ClientID: c.ClientID,
			ClientSecret: secret, Name: c.Name,
			RedirectURIs: []string{m.issuer + "/callback/" + c.ID}, Now: m.now})
		srv := &http.Server{Handler: sim, ReadHeaderTimeout: 5 * time.Second}
		go func() { _ = srv.Serve(l) }()
		m.t.Cleanup(func() { _ = srv.Close() })
		c.Secrets, c.Position, c.State, c.CreatedAt = []broker.Secret{broker.Secret(secret)}, i, broker.Live, m.now()
		demoSettings(&c, base)
		m.must(m.brokers[2].putConnection(m.ctx, c, "added"))
		m.sims[c.ID], m.live[c.ID] = sim, true
		m.conns = append(m.conns, c.ID)
		m.secret(secret)
	}
}

// catchUp creates people and attackers, each with two browsers.
func (m *model) catchUp() {
	for _, p := range []struct {
		name               string
		password, hostile  bool
		lock, off, claimed bool
		none               bool
	}{
		{name: "ana", password: true}, {name: "ben", password: true}, {name: "caro"}, {name: "dan"},
		{name: "eva", password: true, lock: true}, {name: "finn", lock: true}, {name: "gil", password: true, off: true},
		{name: "hana", password: true, claimed: true}, {name: "ivo", none: true},
		{name: "mallory", password: true, hostile: true}, {name: "oscar", none: true, hostile: true},
	} {
		who := &person{name: p.name, email: p.name + "@example.test", hostile: p.hostile}
		m.people = append(m.people, who)
		for i := range 2 {
			n := len(m.browsers)
			m.browsers = append(m.browsers, &window{person: who, name: fmt.Sprintf("%s/%d", p.name, i),
				address: fmt.Sprintf("10.0.0.%d:4711", n+1), jar: map[string]string{}, tabs: []*tab{{}, {}}})
		}
		if p.password {
			who.password = m.newPassword(p.name)
		}
		if p.none {
			continue
		}
		a := broker.Account{ID: broker.NewID(), Email: who.email, Name: p.name, AuthEpoch: 1, Disabled: p.off,
			Unverified: p.claimed, CreatedAt: m.now(), UpdatedAt: m.now()}
		if p.password {
			a.PasswordHash = cheapHash(who.password)
		}
		if p.lock {
			a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"microsoft"}, Guests: true,
				SetBy: "operator", SetAt: m.now()}
		}
		m.must(m.brokers[2].store.CreateAccount(m.ctx, a))
		mine := m.enter(a.ID, who.email, who.password)
		mine.disabled, mine.unverified = p.off, p.claimed
		if p.lock {
			mine.restriction = []string{"microsoft"}
		}
	}
	m.newFaces()
}

func (m *model) enter(id, email, password string) *holder {
	a := &holder{id: id, email: email, password: password}
	m.accounts = append(m.accounts, a)
	m.byID[id] = a
	if password != "" {
		m.byPassword[password] = a
	}
	return a
}

func (m *model) newPassword(of string) string {
	m.serial++
	return fmt.Sprintf("%s %s %d %s", marker, of, m.serial, broker.NewID()[:6])
}

// cheapHash returns a hash that is cheap to check: the rules are tested here, not argon2.
func cheapHash(password string) string {
	salt, b := []byte("saltsaltsaltsalt"), base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=8,t=1,p=1$%s$%s", argon2.Version, b.EncodeToString(salt),
		b.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)))
}

// newFaces gives every person other accounts at the upstreams: subjects that are
// not linked, with their own or another person's addresses, at every level.
func (m *model) newFaces() {
	byConn := map[string][]fakeidp.Persona{}
	for _, p := range m.people {
		p.personas = nil
		for _, conn := range m.conns {
			for i := range 2 {
				email := p.email
				if p.hostile && m.chance(75) || m.chance(5) {
					email = pick(m, m.people).email
				}
				if m.chance(8) {
					email = ""
				}
				m.serial++
				who, level := face(m, conn, email)
				who.Login = fmt.Sprintf("%s-%d-%d", p.name, i, m.serial)
				byConn[conn] = append(byConn[conn], who)
				p.personas = append(p.personas, &persona{ident: ident{connection: conn}, login: who.Login, email: email,
					level: level})
			}
		}
	}
	for _, conn := range slices.Sorted(maps.Keys(byConn)) {
		m.sims[conn].SetPersonas(byConn[conn]...)
		c, err := m.brokers[2].store.Connection(m.ctx, conn)
		m.must(err)
		for _, k := range m.sims[conn].Personas() {
			for _, p := range m.people {
				for _, mine := range p.personas {
					if mine.connection == conn && mine.login == k.Login {
						mine.ident = known(c, k)
					}
				}
			}
		}
	}
	if m.n > 0 && m.chance(50) { // a new person without an account
		p := m.people[8+2*m.rng.IntN(2)]
		m.serial++
		p.email, p.password = fmt.Sprintf("%s%d@example.test", p.name, m.serial), ""
	}
}

func face(m *model, conn, email string) (fakeidp.Persona, broker.Level) {
	who, level := fakeidp.Persona{Email: email, Name: "Some Body", GivenName: "Some", FamilyName: "Body"},
		broker.EmailAsserted
	yes := true
	switch conn {
	case "google":
		if who.EmailVerified = m.chance(75); who.EmailVerified {
			level = broker.EmailVerified
			if m.chance(50) {
				who.HostedDomain, level = "example.test", broker.EmailAuthoritative
			}
		}
	case "club":
		if who.EmailVerified = m.chance(50); who.EmailVerified {
			level = broker.EmailVerified
		}
	case "microsoft":
		if who.TenantID = pick(m, []string{fakeidp.DemoTenant, fakeidp.OtherTenant}); m.chance(50) {
			who.XmsEdov, level = &yes, broker.EmailVerified
		}
	}
	if email == "" {
		level = broker.None
	}
	return who, level
}

// known is how an upstream names a person for good.
func known(c broker.Connection, k fakeidp.Persona) ident {
	switch c.Kind {
	case "microsoft":
		return ident{c.ID, c.Settings["authority"] + "/" + k.TenantID + "/v2.0", k.TenantID + ":" + k.Subject}
	case "meta":
		return ident{c.ID, "facebook:" + c.ClientID, k.Subject}
	case "google":
		return ident{c.ID, c.Settings["authority"], k.Subject}
	}
	return ident{c.ID, c.Issuer, k.Subject}
}

// register creates the apps: our own, third-party and public ones.
func (m *model) register() {
	for _, a := range []*modelApp{
		{id: "courts", secret: broker.NewToken(), redirect: "https://courts.example.test/callback", first: true},
		{id: "third", secret: broker.NewToken(), redirect: "https://third.example.test/callback"},
		{id: "spa", redirect: "https://spa.example.test/callback", public: true},
	} {
		c := broker.Client{ID: a.id, Name: a.id, AuthMethods: []string{"client_secret_post"}, IDTokenAlg: "ES256",
			FirstParty: a.first, RedirectURIs: []string{a.redirect},
			GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "profile", "email",
				"offline_access"}, CreatedAt: m.now(), UpdatedAt: m.now()}
		if a.public {
			c.AuthMethods = []string{"none"}
		}
		m.must(m.brokers[2].addClient(m.ctx, c, a.secret))
		m.apps = append(m.apps, a)
		m.secret(a.secret)
	}
	m.wait(storage.CacheLife + time.Second)
}
