package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

const (
	clusterApp    = "https://app.example.test/callback"
	clusterSecret = "a secret of the app that only this test has"
	matrixWord    = "four geese over the weir"
)

var verifier = strings.Repeat("v", 43)

// cluster is a harness of two replicas on one database. Each cell of the matrix has
// a person of its own there.
type cluster struct {
	*harness
	brokers  [2]*app
	replicas [2]http.Handler
	people   int
	tenant   *tenant // nil where there are no tenants
}

func newCluster(t *testing.T) *cluster { t.Helper(); return newSeparateCluster(t, 0) }

// newSeparateCluster is newCluster where the clock of the second replica is ahead.
func newSeparateCluster(t *testing.T, ahead time.Duration) *cluster {
	t.Helper()
	return buildCluster(t, ahead, nil)
}

func buildCluster(t *testing.T, ahead time.Duration, rules *tenant) *cluster {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &clock{at: time.Now().Truncate(time.Second)}
	d := &demo{data: t.TempDir(), now: c.now, cost: cheapPasswords(), keys: &providerKeys}
	demoData.Copy(t, d.data, newDemoData)
	l, err := d.openAt(ctx, "localhost:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.h.cfg.ClientRegistration = true
	l.Close() // no client connects: browsers reach the replicas directly
	q := &cluster{harness: &harness{d, c, t, ctx}, tenant: rules}
	other, err := openApp(ctx, d.h.cfg, slog.New(slog.DiscardHandler), func() time.Time { return c.now().Add(ahead) })
	if err != nil {
		t.Fatal(err)
	}
	other.passwordCost = d.cost
	q.brokers = [2]*app{d.h, other}
	done := make(chan struct{}, 20)
	running := 0
	for i, h := range q.brokers {
		if rules != nil {
			h.tenancies = rules
		}
		handler, workers, err := h.assemble(ctx)
		if err != nil {
			t.Fatal(err)
		}
		q.replicas[i] = handler
		for _, run := range workers {
			running++
			go func() { run(ctx); done <- struct{}{} }()
		}
	}
	t.Cleanup(func() {
		stop()
		for range running {
			<-done
		}
		for _, h := range q.brokers {
			if err := h.close(); err != nil {
				t.Error(err)
			}
		}
	})
	q.builds()
	q.tellAuthTime()
	return q
}

// builds connects the providers and registers the app.
func (q *cluster) builds() {
	q.t.Helper()
	tenants := func() map[string]string {
		return map[string]string{"tenant": "common", "allowed_tenants": fakeidp.DemoTenant + "," + fakeidp.MSATenant,
			"allow_guests": "true"}
	}
	for i, c := range []broker.Connection{
		{ID: "google", Kind: "google", Name: "Google"}, {ID: "facebook", Kind: "meta", Name: "Facebook",
			ClientID: "1234567890"},
		{ID: "github", Kind: "github", Name: "GitHub"}, {ID: "club", Kind: "oidc", Name: "Microsoft"},
		{ID: "entra", Kind: "microsoft", Name: "Microsoft", ClientID: "6e0fbd0c-7e57-4a00-8a00-0000000000c1",
			Settings: tenants()},
		{ID: "unlisted", Kind: "microsoft", Name: "Microsoft", ClientID: "6e0fbd0c-7e57-4a00-8a00-0000000000c2",
			Settings: tenants()},
		{ID: "adfs", Kind: "adfs", Name: "Head Office"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			q.t.Fatal(err)
		}
		base, kind := "http://"+l.Addr().String(), c.Kind
		if c.ClientID == "" {
			c.ClientID = "gatehouse-" + c.ID
		}
		if kind == "meta" {
			kind = fakeidp.KindFacebook
		}
		sim := fakeidp.New(fakeidp.Options{Keys: &providerKeys, Kind: kind, BaseURL: base, ClientID: c.ClientID,
			ClientSecret: "secret-" + c.ID, Name: c.Name,
			RedirectURIs: []string{q.h.callback(c.ID)}, Now: q.clock.now})
		if q.sims == nil {
			q.sims = map[string]*fakeidp.Server{}
		}
		q.sims[c.ID] = sim
		q.file.Connections = append(q.file.Connections, fakeidp.DemoConnection{ID: c.ID, Kind: c.Kind,
			Name: c.Name, Issuer: base})
		c.Secrets, c.Position, c.State, c.CreatedAt = []broker.Secret{broker.Secret("secret-" + c.ID)}, i, broker.Live,
			q.clock.now()
		switch demoSettings(&c, base); kind {
		case "adfs":
			c.Issuer, c.Settings = base+"/adfs", nil
		case "github":
			c.Settings["api_url"] = base
		}
		if err := q.h.putConnection(q.ctx, c, "added"); err != nil {
			q.t.Fatalf("%s: %v", c.ID, err)
		}
		go serveQuietly(q.ctx, server{l, sim})
	}
	box, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		q.t.Fatal(err)
	}
	go serveQuietly(q.ctx, server{box, fakeidp.NewMailbox(q.h.cfg.Mail.Folder)})
	q.file.Mailbox = "http://" + box.Addr().String()
	for _, c := range []broker.Client{{ID: "app", FirstParty: true}, {ID: "third"}} {
		c.Name, c.AuthMethods, c.IDTokenAlg, c.RedirectURIs, c.CreatedAt, c.UpdatedAt = "App "+c.ID,
			[]string{"client_secret_basic"}, "RS256", []string{clusterApp}, q.clock.now(), q.clock.now()
		c.GrantTypes, c.Scopes = []string{"authorization_code", "refresh_token", "client_credentials", grantDevice},
			[]string{"openid", "profile", "email", "offline_access"}
		if err := q.h.addClient(q.ctx, c, clusterSecret); err != nil {
			q.t.Fatal(err)
		}
	}
}

// cheap is a hash of matrixWord that costs next to nothing.
func cheap() string {
	salt := []byte("0123456789abcdef")
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=8,t=1,p=1$%s$%s", argon2.Version, b.EncodeToString(salt),
		b.EncodeToString(argon2.IDKey([]byte(matrixWord), salt, 1, 8, 1, 32)))
}

// cell is one person in one column, with the browser of the person who signs in.
type cell struct {
	*browser
	q       *cluster
	app     clientVariant
	account broker.Account
	address string // IP address
	replica int
	policy  policy
	moves   bool            // the last step goes to the other replica
	before  int             // sessions at the restriction
	mails   int             // codes that went to the person
	rests   bool            // the way goes on with a session that was there
	old     map[string]bool // sessions of before the way
	codes   []string
}

type policy string

const (
	open       policy = "off"
	restricted policy = "locked"
	midway     policy = "locked on the way"
)

// RoundTrip calls a replica directly; the app's redirect URI needs no server.
func (c *cell) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.String(), clusterApp) {
		if code := r.URL.Query().Get("code"); code != "" {
			c.codes = append(c.codes, code)
		}
		rec := httptest.NewRecorder()
		fmt.Fprint(rec, "<h1>the app</h1>")
		return rec.Result(), nil
	}
	if r.URL.Scheme+"://"+r.URL.Host != c.q.file.Issuer {
		return http.DefaultTransport.RoundTrip(r)
	}
	in := httptest.NewRequest(r.Method, c.q.file.Issuer+r.URL.RequestURI(), r.Body)
	in.Header, in.RemoteAddr, in.ContentLength = r.Header.Clone(), c.address+":4000", r.ContentLength
	rec := httptest.NewRecorder()
	c.q.replicas[c.replica].ServeHTTP(rec, in)
	c.hears(rec)
	res := rec.Result()
	res.Request = r
	return res, nil
}

// cell makes a person, who has a password, and their namesakes at every provider.
func (q *cluster) cell(t *testing.T, p policy, moves bool) *cell {
	t.Helper()
	q.people++
	n := q.people
	email := fmt.Sprintf("v%d@contoso.test", n)
	c := &cell{browser: newBrowser(t), q: q, app: plain(), policy: p, moves: moves, old: map[string]bool{},
		address: fmt.Sprintf("10.%d.%d.7", n/250, n%250),
		account: broker.Account{ID: broker.NewID(), Email: email, Name: "Vic", PasswordHash: cheap(), AuthEpoch: 1,
			CreatedAt: q.clock.now(), UpdatedAt: q.clock.now()}}
	c.client.Transport = c
	if err := q.h.store.CreateAccount(q.ctx, c.account); err != nil {
		t.Fatal(err)
	}
	yes := true
	who := func(login string, edit func(*fakeidp.Persona)) fakeidp.Persona {
		p := fakeidp.Persona{Login: fmt.Sprintf("%s%d", login, n), Email: email, Name: "Person " + login, EmailVerified: true,
			HostedDomain: "contoso.test", XmsEdov: &yes}
		if edit != nil {
			edit(&p)
		}
		return p
	}
	for id, sim := range q.sims {
		people := []fakeidp.Persona{who("own", nil), who("other", nil)}
		if id == "facebook" {
			people[0].EmailVerified, people[0].XmsEdov = false, nil
		}
		if id == "entra" || id == "unlisted" {
			people = append(people, who("foreign", func(p *fakeidp.Persona) { p.TenantID = fakeidp.OtherTenant }),
				who("msa", func(p *fakeidp.Persona) { p.TenantID = fakeidp.MSATenant }),
				who("guest", func(p *fakeidp.Persona) {
					p.Guest, p.HomeIDP = true, "https://sts.windows.net/"+fakeidp.OtherTenant+"/"
				}))
		}
		sim.SetPersonas(people...)
	}
	return c
}

// authorizeURL is the app's request.
func (c *cell) authorizeURL(client string, more ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{"client_id": {client}, "redirect_uri": {clusterApp}, "response_type": {"code"},
		"scope": {"openid email offline_access"}, "state": {"abcdefghijklmnop"},
		"nonce": {"abcdefghijklmnop"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	if c.app.posted {
		v.Set("response_mode", "form_post")
	}
	if c.app.pushed && client == c.app.client {
		v = c.pushes(v)
	}
	return c.q.file.Issuer + "/authorize?" + v.Encode()
}

// begin opens the app's request, as far as the sign-in page.
func (c *cell) begin() { c.t.Helper(); c.open(c.authorizeURL(c.app.client)) }

// change edits the account through a replica.
func (c *cell) change(replica int, edit func(*broker.Account)) {
	c.t.Helper()
	s := c.q.brokers[replica].store
	a, err := s.AccountByEmail(c.q.ctx, c.account.Email)
	if err != nil {
		c.t.Fatal(err)
	}
	seen := a.AuthEpoch
	edit(&a)
	if err := s.ChangeAccount(c.q.ctx, a, seen); err != nil {
		c.t.Fatal(err)
	}
	c.account = a
}

// restriction is what `accounts restrict --only microsoft` writes. In a cluster with a
// tenant it is the tenant that enforces the same connections.
func (c *cell) restriction(replica int) {
	c.t.Helper()
	if c.q.tenant != nil {
		c.q.tenant.enforce(c.account.ID)
		c.before = len(c.sessions())
		return
	}
	c.change(replica, func(a *broker.Account) {
		a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"entra", "adfs"},
			SetBy: "operator", SetAt: c.q.clock.now()}
		a.AuthEpoch++
	})
	c.before = len(c.sessions())
}

func (c *cell) sessions() []broker.Session {
	c.t.Helper()
	all, err := c.q.h.store.SessionsOf(c.q.ctx, c.account.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	return all
}

// last runs before the decisive request.
func (c *cell) last() {
	if c.policy == midway {
		c.restriction(1)
		c.codes = nil
	}
	if c.moves {
		c.replica = 1
	}
}
