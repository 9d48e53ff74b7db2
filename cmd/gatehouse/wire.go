package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/account"
	"gatehouse/broker/admin"
	"gatehouse/broker/credential"
	"gatehouse/broker/egress"
	"gatehouse/broker/login"
	"gatehouse/broker/mail"
	"gatehouse/broker/oidc"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
	"gatehouse/broker/text"
	"gatehouse/broker/web"
	"gatehouse/config"
	"gatehouse/providers"
	"gatehouse/storage"
)

// app is the configured broker.
type app struct {
	cfg     *config.Config
	log     *slog.Logger
	keyring *seal.Keyring
	store   *storage.Store
	metrics *prometheus.Registry
	now     func() time.Time
	// tenancies is nil: tenants have no storage yet.
	tenancies access.Tenancies
	// passwordCost is zero outside tests: the cost of production.
	passwordCost credential.Cost
	// pause is nil outside tests: commands wait on the real clock.
	pause func(context.Context, time.Duration) error
}

// worker works in the background until its context ends.
type worker func(ctx context.Context)

// openApp opens the keyring and the storage, migrates the database to this version, and
// verifies that the keyring belongs to the database.
func openApp(ctx context.Context, cfg *config.Config, log *slog.Logger, now func() time.Time) (_ *app, err error) {
	h := &app{cfg: cfg, log: log, now: now, metrics: prometheus.NewRegistry()}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if h.keyring, err = openKeyring(cfg, h.now()); err != nil {
		return nil, err
	}
	if path, ok := cfg.SQLite(); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
	h.store, err = storage.Open(ctx, storage.Options{Database: cfg.Database.Reveal(), Pool: cfg.DatabasePool,
		Synchronous: cfg.SQLiteSynchronous, Redis: cfg.Redis.Reveal(), Sealer: h.keyring, Pinned: providers.Pinned,
		KeepEvents: time.Duration(cfg.Audit.Retention) * 24 * time.Hour, Refusals: cfg.Audit.Refusals,
		Now: h.now, Log: log})
	if err != nil {
		return nil, fmt.Errorf("%w; see `database` and `redis` in the configuration", err)
	}
	if err = h.store.Migrate(ctx); err == nil {
		err = h.store.Ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.store.Close())
	}
	return h, nil
}

func openKeyring(cfg *config.Config, now time.Time) (*seal.Keyring, error) {
	switch {
	case cfg.Keyring == "":
		return seal.Parse([]byte(cfg.KeyringData.Reveal()))
	case cfg.CreateKeyring && !cfg.DatabaseExists():
		return seal.LoadOrCreate(cfg.Keyring, now)
	}
	keyring, err := seal.Load(cfg.Keyring)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the keyring %s is missing; restore its backup, name another with `keyring`, "+
			"or make one for a new database with keys create", cfg.Keyring)
	}
	return keyring, err
}

func (h *app) close() error { return h.store.Close() }

func (h *app) callback(connection string) string { return h.cfg.Issuer + "/callback/" + connection }

// admin builds the operations of the command line.
func (h *app) admin() (*admin.Service, error) {
	texts, err := h.texts()
	if err != nil {
		return nil, err
	}
	out, err := egress.New(egress.Options{Allow: h.cfg.UpstreamNetworks})
	if err != nil {
		return nil, err
	}
	return &admin.Service{Store: h.store, Passwords: h.passwords(), Mail: h.post(texts), Keyring: h.keyring,
		KeyringFile: h.cfg.Keyring, Signing: h.signingKeys(), Gate: h.gate(), Egress: out, Weakness: config.Weakness,
		ClientRegistration: h.cfg.ClientRegistration, PasswordSignIn: h.cfg.Passwords,
		Networks: h.cfg.UpstreamNetworks, Check: h.connectionCheck(out), Now: h.now, Pause: h.pause}, nil
}

func (h *app) passwords() *credential.Passwords {
	return credential.NewPasswords(credential.PasswordOptions{Ephemeral: h.store.Ephemeral, Keyring: h.keyring, Now: h.now,
		Cost: h.passwordCost})
}

func (h *app) signingKeys() *signing.Keys {
	return &signing.Keys{Store: h.store, Leases: h.store, Atomic: h.store, AuditLog: h.store, Now: h.now}
}

func (h *app) upstreams(out *egress.Client) *providers.Set {
	return providers.New(providers.Options{Egress: out, Callback: h.callback, Now: h.now, Log: h.log})
}

func (h *app) connectionCheck(out *egress.Client) admin.ConnectionCheck {
	return admin.ConnectionCheck{Upstreams: h.upstreams(out), Egress: out, Networks: h.cfg.UpstreamNetworks,
		Callback: h.callback, Now: h.now}
}

// handlers are those of the public listener.
type handlers struct {
	toolkit *web.Toolkit
	people  *login.Handler
	own     *account.Handler
	apps    *oidc.Handler
}

// mount adds every route of the public listener.
func (r handlers) mount(mux web.Router) {
	r.people.Mount(mux, r.apps)
	r.own.Mount(mux)
	r.apps.Mount(mux)
	r.toolkit.Mount(mux)
}

// assemble returns the handler of the public listener and the workers that run beside it.
func (h *app) assemble(ctx context.Context) (http.Handler, []worker, error) {
	r, err := h.build()
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	r.mount(mux)
	sender, err := h.sender()
	if err != nil {
		return nil, nil, err
	}
	return r.toolkit.Guard(mux), []worker{r.apps.Run, r.apps.NotifyApps, sender, h.janitor, h.followKeyring}, nil
}

// gate returns the gate, which decides who may sign in.
func (h *app) gate() *access.Gate {
	return access.New(access.Options{Store: h.store, Tenancies: h.tenancies,
		Registration: broker.Registration(h.cfg.Registration), PasswordSignIn: h.cfg.Passwords, Now: h.now})
}

func (h *app) build() (r handlers, _ error) {
	issuer, err := url.Parse(h.cfg.Issuer)
	if err != nil {
		return r, err
	}
	texts, err := h.texts()
	if err != nil {
		return r, err
	}
	out, err := egress.New(egress.Options{Allow: h.cfg.UpstreamNetworks})
	if err != nil {
		return r, err
	}
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatehouse_refusals_total",
		Help: "Refusals by code."}, []string{"code"})
	h.metrics.MustRegister(refusals)
	s := h.store
	product := h.cfg.Product
	site := web.Site{Name: product.Name, SupportURL: product.SupportURL, PrivacyURL: product.PrivacyURL,
		TermsURL: product.TermsURL}
	gate := h.gate()
	toolkit := web.New(web.Options{Issuer: issuer, Site: site, Texts: texts, Keyring: h.keyring, Gate: gate, Store: s,
		TrustedProxies: h.cfg.TrustedProxies, InternalHosts: h.cfg.InternalHosts, Now: h.now, Log: h.log,
		Count: func(c broker.Code) { refusals.WithLabelValues(string(c)).Inc() }})
	post, ups := h.post(texts), h.upstreams(out)
	people := login.New(login.Options{Toolkit: toolkit, Gate: gate, Store: s, Ephemeral: s.Ephemeral, Upstreams: ups,
		Passwords: h.passwords(), Codes: credential.NewCodes(s.Ephemeral, h.keyring, h.now), Mailer: post, Keyring: h.keyring,
		Icon: icon, Registration: broker.Registration(h.cfg.Registration), PasswordSignIn: h.cfg.Passwords,
		Callback: h.callback, Now: h.now, Log: h.log})
	own := account.New(account.Options{Toolkit: toolkit, Gate: gate, Logins: people, Store: s, Mailer: post,
		PasswordSignIn: h.cfg.Passwords, Icon: icon, Now: h.now})
	apps, err := oidc.New(oidc.Options{Issuer: h.cfg.Issuer, Toolkit: toolkit, Gate: gate, Logins: people, Store: s,
		Ephemeral: s.Ephemeral, Upstreams: ups, Egress: out, Keyring: h.keyring, Now: h.now, Log: h.log,
		Registration: h.cfg.ClientRegistration, Warn: func(ctx context.Context, a broker.Account, app broker.Client) error {
			//defence:A6 ./cmd/gatehouse:TestModel
			return post.Queue(ctx, mail.TokenReused{To: a.Email, App: app.Name, At: h.now(), Locale: a.Locale})
		}})
	return handlers{toolkit, people, own, apps}, err
}

// texts returns the texts of pages and mails, in the languages offered.
func (h *app) texts() (*text.Catalog, error) {
	all, err := text.Load()
	if err != nil {
		return nil, err
	}
	return all.Offer(h.cfg.Languages)
}

// post queues the mails to people.
func (h *app) post(texts *text.Catalog) *mail.Mailer {
	site := mail.Site{Name: h.cfg.Product.Name, SupportURL: h.cfg.Product.SupportURL}
	return &mail.Mailer{Outbox: h.store, Texts: texts, Site: site, Now: h.now}
}

// icon is the name of the icon of a connection's kind.
func icon(kind string) string {
	k, _ := providers.Find(kind)
	return k.Icon
}

// sender delivers the outbox.
func (h *app) sender() (worker, error) {
	transport, err := h.transport()
	if err != nil {
		return nil, err
	}
	sender := &mail.Sender{Outbox: h.store, Transport: transport, Now: h.now, Log: h.log}
	return func(ctx context.Context) { h.finished(ctx, "mail", sender.Run(ctx)) }, nil
}

// transport is SMTP, or the mailbox folder if no server is configured.
func (h *app) transport() (mail.Transport, error) {
	from, err := netmail.ParseAddress(h.cfg.Mail.From)
	if err != nil {
		return nil, fmt.Errorf("mail.from: %w", err)
	}
	if h.cfg.Mail.SMTP == "" {
		return mail.NewFolder(h.cfg.Mail.Folder, *from, h.log)
	}
	return mail.NewSMTP(h.cfg.Mail.SMTP.Reveal(), *from)
}

// finished logs that a worker ended before its context.
func (h *app) finished(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		h.log.ErrorContext(ctx, "a background job ended", "job", what, "err", err)
	}
}

func (h *app) janitor(ctx context.Context) {
	storage.Janitor{Leases: h.store, Purge: h.store.Purge, Now: h.now, Log: h.log}.Run(ctx)
}

// followKeyring loads a rotated keyring file while the server runs.
func (h *app) followKeyring(ctx context.Context) {
	if h.cfg.Keyring != "" {
		h.keyring.Follow(ctx, h.cfg.Keyring, h.log)
	}
}
