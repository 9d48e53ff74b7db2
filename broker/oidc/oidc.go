// Package oidc is the OpenID Provider. It knows who signed in, never how. Only this
// package knows fosite.
package oidc

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
	"gatehouse/broker/web"
)

// Logins is what the provider needs of the login journey.
type Logins interface {
	// Start stores the app's request and returns the path to send the browser to. It may set
	// cookies on w. It reads Request, ClientID, Locale, Hint, Connection, Fresh, MaxAge and
	// Pick of l.
	Start(w http.ResponseWriter, r *http.Request, l broker.Login) (path string, err error)
	// Finish consumes the login for this browser and sets the session cookie on w (GET
	// only). It returns InteractionRequired while a step is left.
	Finish(w http.ResponseWriter, r *http.Request, id string) (broker.FinishedLogin, error)
	// Abandon returns the stored request of a login of this browser that ended in a refusal.
	Abandon(w http.ResponseWriter, r *http.Request, id string) (url.Values, error)
}

// Store is what the OpenID Provider reads and writes.
type Store interface {
	broker.Clients
	broker.Connections
	broker.Grants
	broker.Consents
	broker.Logouts
	broker.SigningKeys
	broker.ReplayCache
	broker.Leases
	broker.AuditLog
	broker.Atomic
}

// Options configure a Handler. All but Registration are required.
type Options struct {
	// Issuer is the public origin, such as "https://id.example.com", without a path or a
	// trailing slash.
	Issuer    string
	Toolkit   *web.Toolkit
	Gate      *access.Gate
	Logins    Logins
	Store     Store
	Ephemeral broker.Ephemeral
	Upstreams broker.Upstreams
	Egress    *egress.Client // for clients' keys and back-channel logout
	Keyring   *seal.Keyring
	// Warn tells the person that an app was signed out because a replaced refresh token was
	// used again. It runs in the transaction of ctx.
	Warn func(ctx context.Context, a broker.Account, app broker.Client) error
	Now  func() time.Time
	Log  *slog.Logger
	// Registration lets clients register themselves with an initial access token (RFC 7591).
	// It is off by default.
	Registration bool
}

// Handler is the OpenID Provider. It is safe for concurrent use.
type Handler struct {
	issuer    string
	toolkit   *web.Toolkit
	logins    Logins
	upstreams broker.Upstreams
	egress    *egress.Client
	gate      *access.Gate
	store     Store
	keyring   *seal.Keyring
	warn      func(context.Context, broker.Account, broker.Client) error
	now       func() time.Time
	log       *slog.Logger

	desk      *deviceDesk
	registers bool // clients register themselves
	keys      *signing.Keys
	strategy  *strategy
	provider  *fosite.Fosite
	pages     *web.Pages
	discovery document
	posts     broker.EphemeralStore[url.Values] // forms that other sites posted
	asked     broker.EphemeralStore[asked]      // requests that await consent
	pushes    broker.EphemeralStore[pushed]     // pushed requests
	consumed  broker.EphemeralStore[bool]       // pushed requests whose code was issued
	backs     broker.EphemeralStore[leaving]    // sign-outs that continue at the upstream
	hints     broker.EphemeralStore[string]     // see broker.UpstreamHints
	ended     chan struct{}                     // signals that logouts wait to be sent
	patience  time.Duration                     // how long the signed-out page waits for apps
	pause     func(context.Context, time.Duration) error
	newcomers web.Newcomers
	noSecret  string // the hash of a discarded secret
	strangers map[string]clients.Key
	fetched   *clients.Fetcher
}

// postLife is how long a posted form waits for its browser to return.
const postLife = 5 * time.Minute

// startLife bounds how long New waits for another replica's signing keys.
const startLife = 30 * time.Second

//go:embed page/*.html
var pages embed.FS

// New returns the handler. It loads the signing keys, and makes them at the first start.
func New(o Options) (*Handler, error) {
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o.Issuer {
		return nil, errors.New("oidc: the issuer must be an origin, such as https://id.example.com")
	}
	d := &Handler{
		issuer: o.Issuer, toolkit: o.Toolkit, logins: o.Logins, gate: o.Gate, store: o.Store,
		keyring: o.Keyring, warn: o.Warn, now: o.Now, log: o.Log, pages: o.Toolkit.Pages(pages),
		keys:  &signing.Keys{Store: o.Store, Leases: o.Store, Atomic: o.Store, AuditLog: o.Store, Now: o.Now},
		posts: broker.EphemeralStore[url.Values]{Name: "post", Life: postLife, In: o.Ephemeral, Now: o.Now},
		asked: broker.EphemeralStore[asked]{Name: "consent", Life: broker.LoginLife, In: o.Ephemeral, Now: o.Now},
		backs: broker.EphemeralStore[leaving]{Name: "signout", Life: backLife, In: o.Ephemeral, Now: o.Now},
		hints: broker.EphemeralStore[string]{Name: broker.UpstreamHints, Life: broker.SessionLife, In: o.Ephemeral,
			Now: o.Now},
		upstreams: o.Upstreams, egress: o.Egress, ended: make(chan struct{}, 1), patience: patience,
		pause: broker.Pause,

		pushes: broker.EphemeralStore[pushed]{Name: "pushed",
			//defence:A19 = 90 * time.Minute
			Life: pushedLife, In: o.Ephemeral, Now: o.Now},
		consumed: broker.EphemeralStore[bool]{Name: "spent", Life: consumedLife, In: o.Ephemeral, Now: o.Now},

		newcomers: web.Newcomers{In: o.Ephemeral, Now: o.Now},
	}
	d.desk, d.registers = newDeviceDesk(o.Ephemeral, o.Keyring, o.Now), o.Registration
	_, d.noSecret = clients.NewSecret(o.Keyring, "")
	d.fetched = &clients.Fetcher{Now: o.Now,
		//defence:A19 A20 = http.DefaultClient
		HTTP: o.Egress.For("client keys")}
	d.strategy = &strategy{issuer: o.Issuer, keyring: o.Keyring, keys: d.keys, now: o.Now}
	codes := broker.EphemeralStore[codeRecord]{Name: "code", Life: broker.CodeLife, In: o.Ephemeral, Now: o.Now}
	d.provider = newProvider(
		&store{codes: codes, gate: o.Gate, desk: d.desk, open: d.strategy.openRefresh, keyring: o.Keyring, now: o.Now},
		d.strategy, newConfig(o.Issuer, d.authenticate))
	ctx, cancel := context.WithTimeout(context.Background(), startLife)
	defer cancel()
	if err := d.keys.Start(ctx); err != nil {
		return nil, err
	}
	var err error
	if d.strangers, err = strangers(); err != nil {
		return nil, err
	}
	d.discovery, err = d.metadata()
	return d, err
}

// Keys returns the handler's signing keys.
func (d *Handler) Keys() *signing.Keys { return d.keys }

// Run rotates and reloads the signing keys until ctx is done.
func (d *Handler) Run(ctx context.Context) {
	tick := time.NewTicker(signing.RefreshInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.keepKeys(ctx)
		}
	}
}

// keepKeys ends before the next tick: a database that hangs must not keep a withdrawn key
// alive.
func (d *Handler) keepKeys(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, signing.RefreshInterval)
	defer cancel()
	if err := d.keys.Tick(timed); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "the signing keys could not be reloaded or rotated", "err", err)
	}
}

// Mount adds the handler's routes.
func (d *Handler) Mount(mux web.Router) {
	api := func(pattern string, h web.Handler) { mux.Handle(pattern, d.toolkit.HandleAPI(withValues(h))) }
	api("GET "+pathConfiguration, d.configuration)
	api("GET "+pathServer, d.configuration)
	api("GET "+pathKeys, d.jwks)
	api("POST "+pathToken, d.token)
	api("POST "+pathDeviceAuthorization, d.deviceAuthorization)
	api("GET "+pathUserinfo, d.userinfo)
	api("POST "+pathUserinfo, d.userinfo)
	api("POST "+pathRevoke, d.revoke)
	api("POST "+pathIntrospect, d.introspect)
	api("POST "+pathPush, d.push)
	for _, path := range []string{pathConfiguration, pathServer, pathKeys, pathToken, pathUserinfo, pathRevoke, pathPush} {
		api("OPTIONS "+path, preflight)
	}
	//defence:A20 = true
	if d.registers {
		api("POST "+pathRegister, d.register)
		for _, method := range []string{"GET ", "PUT ", "DELETE "} {
			api(method+pathRegister+"/{id}", d.registration)
		}
	}
	open := func(pattern string, h web.Handler) { mux.Handle(pattern, d.toolkit.HandleOpen(withValues(h))) }
	// These two accept posts from other sites and read no cookie.
	open("POST "+pathAuthorize, d.authorizePost)
	open("POST "+pathEndSession, d.endSessionPost)

	guarded := func(pattern string, h web.Handler) { mux.Handle(pattern, d.toolkit.Handle(withValues(h))) }
	guarded("GET /{$}", d.frontPage)
	guarded("GET "+pathAuthorize, d.authorize)
	guarded("GET "+pathConsent+"/{id}", d.consentPage)
	guarded("POST "+pathConsent+"/{id}", d.consent)
	guarded("GET "+pathDevice, d.devicePage)
	guarded("POST "+pathDevice, d.deviceTyped)
	guarded("GET "+pathDevice+"/{id}", d.deviceQuestion)
	guarded("POST "+pathDevice+"/{id}", d.deviceDecided)
	guarded("GET "+pathEndSession, d.endSession)
	guarded("POST "+pathEndSession+"/confirm", d.endSessionConfirm)
}
