package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
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
	port    int // of the broker; 0: any, and the other servers have any too
	servers []server
	sims    map[string]*fakeidp.Server // by connection
	file    fakeidp.Demo
}

// server is one listener with its handler.
type server struct {
	listener net.Listener
	handler  http.Handler
}

type demoCmd struct {
	Addr string `default:"localhost:8080" placeholder:"HOST:PORT" help:"Address of the broker, on a loopback host. Default: ${default}. The sample app and the mailbox have the next two ports."`
	Data string `placeholder:"FOLDER" help:"Empty folder to use and keep. If omitted, ./gatehouse-demo is made, and deleted at the end."`
}

func (c *demoCmd) Run(ctx context.Context, t *tool) error {
	d := &demo{data: c.Data, now: time.Now}
	listener, err := d.listenFirst(c.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	if d.data, err = fakeidp.FreshFolder(d.data, d.file.Issuer, d.port == 8080); err != nil {
		return err
	}
	if c.Data == "" {
		defer os.RemoveAll(d.data)
	}
	// A warning beside the tour would only distract: that no mail is sent, for example.
	if err := d.open(ctx, newLog(t.err, slog.LevelError)); err != nil {
		return err
	}
	t.opened = d.h
	if err := d.stock(ctx); err != nil {
		return err
	}
	tour := func(w io.Writer) {
		d.file.Tour(w, or(t.program, "gatehouse"), "--config "+filepath.Join(d.data, "gatehouse.yaml"))
	}
	return d.h.serve(ctx, listener, func() error { return t.print(d.file, tour) })
}

// listenFirst opens the broker's listener. The port decides the names of folder and issuer.
func (d *demo) listenFirst(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !broker.LoopbackHost(host) {
		return nil, fmt.Errorf("--addr %s: must be host:port with a loopback host; the demo's passwords are public", addr)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --addr", err)
	}
	d.port, _ = strconv.Atoi(port)
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	d.file.Issuer = "http://" + net.JoinHostPort(host, port)
	return listener, nil
}

// open opens the listener of the operations and the app, on SQLite.
func (d *demo) open(ctx context.Context, log *slog.Logger) error {
	operations, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.file.Operations = "http://" + operations.Addr().String()
	file := filepath.Join(d.data, "gatehouse.yaml")
	settings := fmt.Sprintf("# The demo's configuration, for commands such as: gatehouse accounts list --config %[1]s\n"+
		"issuer: %[2]s\ndata_dir: %[3]s\noperations:\n  listen: \"off\"\nregistration: form\nupstream_networks: "+
		"[127.0.0.0/8]\n%[4]s", file, d.file.Issuer, absolute(d.data), d.more)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return err
	}
	cfg, err := config.Load(file, nil)
	if err != nil {
		return err
	}
	if d.h, err = openApp(ctx, cfg, log, d.now); err != nil {
		return err
	}
	d.h.passwordCost = d.cost
	d.servers = append(d.servers, server{operations, d.h.operations()})
	return nil
}

// stock adds accounts, providers and apps, and starts the other servers.
func (d *demo) stock(ctx context.Context) error {
	for _, a := range fakeidp.DemoAccounts() {
		if err := d.addAccount(ctx, a); err != nil {
			return err
		}
	}
	for i, c := range fakeidp.DemoConnections() {
		if err := d.addProvider(ctx, i, c); err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
	}
	box, err := d.listen(2)
	if err != nil {
		return err
	}
	d.file.Mailbox = "http://" + box.Addr().String()
	d.servers = append(d.servers, server{box, web.OnlyHosts(fakeidp.NewMailbox(d.h.cfg.Mail.Folder))})
	if err := d.addApps(ctx); err != nil {
		return err
	}
	for _, s := range d.servers {
		go serveQuietly(ctx, s)
	}
	return fakeidp.WriteJSON(filepath.Join(d.data, "demo.json"), d.file)
}

// listen listens on 127.0.0.1, on the n-th port after the broker's, so that addresses are the
// same in each demo, or on a free one if that is in use.
func (d *demo) listen(n int) (net.Listener, error) {
	if d.port > 0 {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port+n))); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

func (d *demo) addAccount(ctx context.Context, a fakeidp.DemoAccount) error {
	hash, err := d.h.passwords().Hash(ctx, a.Password)
	if err != nil {
		return err
	}
	d.file.Accounts = append(d.file.Accounts, a)
	now := d.h.now()
	return d.h.store.CreateAccount(ctx, broker.Account{ID: broker.NewID(), Email: a.Email, Name: a.Name,
		PasswordHash: hash, AuthEpoch: 1, Disabled: a.Disabled, CreatedAt: now, UpdatedAt: now})
}

// addProvider starts one simulated provider and connects the broker to it.
func (d *demo) addProvider(ctx context.Context, position int, c fakeidp.DemoConnection) error {
	l, err := d.listen(3 + position)
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
	c.PointAt(base)
	operations, err := d.h.admin()
	if err != nil {
		return err
	}
	issuer := "" // a setting of this kind alone
	if c.Kind == "oidc" {
		issuer = base
	}
	in := admin.AddConnection{ID: c.ID, Kind: c.Kind, Issuer: issuer, ClientID: c.ClientID,
		Secret: broker.Secret(secret), Live: true,
		Edit: admin.EditConnection{Name: &c.Name, Settings: c.Settings, Position: &position}}
	if _, err := operations.AddConnection(ctx, admin.Actor{ID: admin.Operator}, in); err != nil {
		return err
	}
	d.file.Connections = append(d.file.Connections, c)
	for _, p := range sim.Personas() {
		d.file.Personas = append(d.file.Personas,
			fakeidp.DemoPersona{Connection: c.ID, Login: p.Login, Email: p.Email, Note: p.Note})
	}
	return sim.WriteClaims(filepath.Join(d.data, "claims"), c.ID)
}

// addApps starts the sample app and registers it, and a native client for scripts.
func (d *demo) addApps(ctx context.Context) error {
	l, err := d.listen(1)
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
		d.file.Clients = append(d.file.Clients, fakeidp.DemoClient{ID: c.ID, Secret: c.Secret.Reveal(),
			RedirectURIs: c.RedirectURIs, AuthMethod: c.AuthMethods[0]})
	}
	return nil
}

// serveQuietly serves a listener other than the public one until ctx ends.
func serveQuietly(ctx context.Context, s server) {
	srv := web.NewServer(s.handler)
	go func() { <-ctx.Done(); _ = srv.Close() }()
	_ = srv.Serve(s.listener)
}
