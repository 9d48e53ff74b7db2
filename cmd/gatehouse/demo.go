package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
	"gatehouse/broker/credential"
	"gatehouse/broker/web"
	"gatehouse/config"
	"gatehouse/providers/fakeidp"
)

// demo is a broker with simulated providers, a mailbox and a sample app beside it. Each has
// its own port of 127.0.0.1 and the broker is on localhost, so that requests between them are
// cross-site, as in production.
type demo struct {
	data    string
	more    string // further lines of its configuration
	now     func() time.Time
	cost    credential.Cost  // zero: the cost of production
	keys    *fakeidp.KeyPool // of the providers; nil: keys of their own
	h       *app
	servers []server
	sims    map[string]*fakeidp.Server // by connection
	file    demoFile
}

// server is one listener with its handler.
type server struct {
	listener net.Listener
	handler  http.Handler
}

// demoFile is demo.json, for scripts.
type demoFile struct {
	Issuer      string           `json:"issuer"`
	App         string           `json:"app"`
	Mailbox     string           `json:"mailbox"`
	Operations  string           `json:"operations"`
	Clients     []demoClient     `json:"clients"`
	Accounts    []demoAccount    `json:"accounts"`
	Connections []demoConnection `json:"connections"`
	Personas    []demoPersona    `json:"personas"`
}

type demoClient struct {
	ID           string   `json:"client_id"`
	Secret       string   `json:"client_secret,omitempty"`
	RedirectURIs []string `json:"redirect_uris"`
	AuthMethod   string   `json:"token_endpoint_auth_method"`
}

type demoAccount struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Note     string `json:"note"`
	name     string
	disabled bool
}

type demoConnection struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Issuer string `json:"issuer"`
}

type demoPersona struct {
	Connection string `json:"connection"`
	Login      string `json:"login"`
	Email      string `json:"email"`
	Note       string `json:"note"`
}

// demoPassword is not a secret: its accounts exist on loopback only.
const demoPassword = "seven boats at noon"

func demoAccounts() []demoAccount {
	return []demoAccount{
		{Email: "ana@example.test", Password: demoPassword, Note: "has a password; Google's Ana links to it",
			name: "Ana Silva"},
		{Email: "ben@example.test", Password: demoPassword, Note: "has a password and nothing else", name: "Ben Carter"},
		{Email: "dora@example.test", Password: demoPassword, Note: "is turned off: refused", name: "Dora Klein",
			disabled: true},
	}
}

// demoConnections are the demo's connections, as an operator would add them.
func demoConnections() []broker.Connection {
	return []broker.Connection{
		{ID: "google", Kind: "google", Name: "Google", ClientID: "gatehouse-demo.apps.example.test"},
		{ID: "microsoft", Kind: "microsoft", Name: "Microsoft", ClientID: "6e0fbd0c-7e57-4a00-8a00-0000000000c1",
			Settings: map[string]string{"tenant": "organizations", "allowed_tenants": fakeidp.DemoTenant}},
		{ID: "facebook", Kind: "meta", Name: "Facebook", ClientID: "1234567890"},
		{ID: "club", Kind: "oidc", Name: "Harbour Club", ClientID: "gatehouse"},
	}
}

// demoSettings points a connection at its simulator.
func demoSettings(c *broker.Connection, base string) {
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	switch c.Kind {
	case "oidc":
		c.Issuer = base
	case "meta":
		c.Settings["graph_url"] = base
		fallthrough
	default:
		c.Settings["authority"] = base
	}
}

type demoCmd struct {
	Addr string `default:"localhost:8080" placeholder:"HOST:PORT" help:"Address of the broker, on a loopback host. Default: ${default}."`
	Data string `placeholder:"FOLDER" help:"Empty folder to use and keep. A temporary one if omitted."`
}

func (c *demoCmd) Run(ctx context.Context, t *tool) (err error) {
	d := &demo{data: c.Data, now: time.Now}
	if d.data == "" {
		if d.data, err = os.MkdirTemp("", "gatehouse-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(d.data)
	}
	if err := d.freshFolder(); err != nil {
		return err
	}
	listener, err := d.open(ctx, c.Addr, newLog(t.err, slog.LevelWarn))
	if err != nil {
		return err
	}
	t.opened = d.h
	if err := d.stock(ctx); err != nil {
		return err
	}
	if err := t.print(d.file, d.tour); err != nil {
		return err
	}
	return d.h.serve(ctx, listener)
}

// freshFolder creates the folder, and refuses one that is not empty: a demo must not mix with
// real data.
func (d *demo) freshFolder() error {
	if err := os.MkdirAll(d.data, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.data)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name an empty folder with --data", d.data)
	}
	return nil
}

// open opens the listeners and the app, on SQLite.
func (d *demo) open(ctx context.Context, addr string, log *slog.Logger) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !broker.LoopbackHost(host) {
		return nil, fmt.Errorf("--addr %s: must be host:port with a loopback host; the demo's passwords are public", addr)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --addr", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	d.file.Issuer = "http://" + net.JoinHostPort(host, port)
	operations, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.file.Operations = "http://" + operations.Addr().String()
	settings := fmt.Sprintf("# The demo's configuration, for commands such as: gatehouse accounts list --config %[1]s\n"+
		"issuer: %[2]s\ndata_dir: %[3]s\noperations:\n  listen: \"off\"\nregistration: form\nupstream_networks: "+
		"[127.0.0.0/8]\n%[4]s",
		filepath.Join(d.data, "gatehouse.yaml"), d.file.Issuer, d.data, d.more)
	file := filepath.Join(d.data, "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	cfg, err := config.Load(file, func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	d.h, err = openApp(ctx, cfg, log, d.now)
	if err != nil {
		return nil, err
	}
	d.h.passwordCost = d.cost
	d.servers = append(d.servers, server{operations, d.h.operations()})
	return listener, nil
}

// stock adds accounts, providers and apps, and starts the other servers.
func (d *demo) stock(ctx context.Context) error {
	for _, a := range demoAccounts() {
		if err := d.addAccount(ctx, a); err != nil {
			return err
		}
	}
	for i, c := range demoConnections() {
		if err := d.addProvider(ctx, i, c); err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
	}
	box, err := d.listen(fakeidp.NewMailbox(d.h.cfg.Mail.Folder))
	if err != nil {
		return err
	}
	d.file.Mailbox = box
	if err := d.addApps(ctx); err != nil {
		return err
	}
	for _, s := range d.servers {
		go serveQuietly(ctx, s)
	}
	return d.write()
}

// listen adds a server on a free port of 127.0.0.1 and returns its origin.
func (d *demo) listen(h http.Handler) (origin string, _ error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	d.servers = append(d.servers, server{l, h})
	return "http://" + l.Addr().String(), nil
}

func (d *demo) addAccount(ctx context.Context, a demoAccount) error {
	hash, err := d.h.passwords().Hash(ctx, a.Password)
	if err != nil {
		return err
	}
	d.file.Accounts = append(d.file.Accounts, a)
	now := d.h.now()
	return d.h.store.CreateAccount(ctx, broker.Account{ID: broker.NewID(), Email: a.Email, Name: a.name,
		PasswordHash: hash, AuthEpoch: 1, Disabled: a.disabled, CreatedAt: now, UpdatedAt: now})
}

// addProvider starts one simulated provider and connects the broker to it.
func (d *demo) addProvider(ctx context.Context, position int, c broker.Connection) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base, secret := "http://"+l.Addr().String(), broker.NewToken()
	kind := c.Kind
	if kind == "meta" {
		kind = fakeidp.KindFacebook
	}
	sim := fakeidp.New(fakeidp.Options{Kind: kind, BaseURL: base, ClientID: c.ClientID, ClientSecret: secret, Name: c.Name,
		RedirectURIs: []string{d.h.callback(c.ID)}, PostLogoutRedirectURIs: []string{d.h.cfg.Issuer + "/end_session"},
		Personas: fakeidp.DemoPersonas(kind), Now: d.now, Keys: d.keys})
	if d.sims == nil {
		d.sims = map[string]*fakeidp.Server{}
	}
	d.sims[c.ID] = sim
	d.servers = append(d.servers, server{l, sim})
	demoSettings(&c, base)
	operations, err := d.h.admin()
	if err != nil {
		return err
	}
	in := admin.AddConnection{ID: c.ID, Kind: c.Kind, Issuer: c.Issuer, ClientID: c.ClientID,
		Secret: broker.Secret(secret),
		Edit:   admin.EditConnection{Name: &c.Name, Settings: c.Settings, Position: &position}}
	if _, err := operations.AddConnection(ctx, admin.Actor{ID: admin.Operator}, in); err != nil {
		return err
	}
	d.file.Connections = append(d.file.Connections, demoConnection{c.ID, c.Kind, c.Name, base})
	for _, p := range fakeidp.DemoPersonas(kind) {
		d.file.Personas = append(d.file.Personas, demoPersona{c.ID, p.Login, p.Email, p.Note})
	}
	return nil
}

// addApps starts the sample app and registers it, and a native client for scripts.
func (d *demo) addApps(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.file.App = "http://" + l.Addr().String()
	yes, native, es256, secret := true, "Courts Desktop", "ES256", broker.Secret(broker.NewToken())
	name, origin := "Courts Booking", d.file.App
	app := admin.AddClient{ID: "courts-booking", Secret: secret, Edit: admin.EditClient{Name: &name, FirstParty: &yes,
		RedirectURIs: []string{origin + "/callback"}, PostLogout: []string{origin + "/"},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"}}}
	desktop := admin.AddClient{ID: "courts-desktop",
		Edit: admin.EditClient{Name: &native, AuthMethods: []string{"none"}, IDTokenAlg: &es256,
			Native: &yes, RedirectURIs: []string{"http://127.0.0.1/callback"}}}
	d.servers = append(d.servers, server{l, fakeidp.NewApp(fakeidp.AppOptions{Issuer: d.file.Issuer, Origin: origin,
		ClientID: app.ID, Secret: secret.Reveal()})})
	operations, err := d.h.admin()
	if err != nil {
		return err
	}
	for _, in := range []admin.AddClient{app, desktop} {
		done, err := operations.AddClient(ctx, admin.Actor{ID: admin.Operator}, in)
		if err != nil {
			return err
		}
		c := done.Value
		d.file.Clients = append(d.file.Clients, demoClient{c.ID, c.Secret.Reveal(), c.RedirectURIs, c.AuthMethods[0]})
	}
	return nil
}

func (d *demo) write() error {
	b, err := json.MarshalIndent(d.file, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.data, "demo.json"), append(b, '\n'), 0o600)
}

func (d *demo) tour(w io.Writer) {
	fmt.Fprintf(w, `Gatehouse is running, on this machine only.

  Sample app   %[1]s    start here: Sign in
  Mailbox      %[2]s    every mail it sends
  Issuer       %[3]s
  Folder       %[4]s    demo.json has everything a script needs

A tour:
  1. Linking        Sign in > Continue with Google > Ana Silva. Her address has an account:
                    confirm once with its password: %[5]s
                    Sign out, sign in again with Google: one click.
  2. A new account  Continue with Google > Noor Person: a short registration.
  3. A mailed code  Continue with Facebook > Fay Okoro. Facebook vouches for no address:
                    choose "I'm new" and read the code in the mailbox.
  4. A refusal      Continue with Microsoft > Eva Fischer, of another organisation.
  5. A password     ana@example.test or ben@example.test, the same password.

Ctrl-C ends it.
`, d.file.App, d.file.Mailbox, d.file.Issuer, d.data, demoPassword)
}

// serveQuietly serves a listener other than the public one until ctx ends.
func serveQuietly(ctx context.Context, s server) {
	srv := web.NewServer(s.handler)
	go func() { <-ctx.Done(); _ = srv.Close() }()
	_ = srv.Serve(s.listener)
}
