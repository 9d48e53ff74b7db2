// Package oidc is the handler apps knock on: the OpenID Provider. It asks the login
// journey who somebody is and never how; fosite is met here and nowhere else.
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

// Logins is all this handler knows of the journey.
type Logins interface {
	// Start parks the app's request and answers the path to send the browser to. It
	// may set cookies on w. Of l it is given Request, ClientID, Locale, Hint,
	// Connection, Fresh, MaxAge and Pick.
	Start(w http.ResponseWriter, r *http.Request, l broker.Login) (path string, err error)
	// Finish consumes the login for this browser and sets the session cookie on w (GET
	// only). It returns InteractionRequired while something is left to ask.
	Finish(w http.ResponseWriter, r *http.Request, id string) (broker.FinishedLogin, error)
	// Abandon answers the parked request of this browser's login, which ended in a refusal.
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

// Options are what a Handler is made of; all but Registration are needed.
type Options struct {
	// Issuer is the public origin, such as "https://id.example.com", without a path
	// and without a slash at its end.
	Issuer    string
	Toolkit   *web.Toolkit
	Gate      *access.Gate
	Logins    Logins
	Store     Store
	Ephemeral broker.Ephemeral
	Upstreams broker.Upstreams
	Egress    *egress.Client // for what clients publish, and for telling them
	Ring      *seal.Keyring
	// Warn tells the person, in the transaction of ctx, that an app was signed out
	// because a refresh token of it came again after it was replaced.
	Warn func(ctx context.Context, a broker.Account, app broker.Client) error
	Now  func() time.Time
	Log  *slog.Logger
	// Registration lets clients register themselves with an initial access token
	// (RFC 7591). Off by default.
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
	ring      *seal.Keyring
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
	posts     broker.EphemeralStore[url.Values] // what was posted to us from elsewhere
	asked     broker.EphemeralStore[asked]      // requests that wait for consent
	pushes    broker.EphemeralStore[pushed]     // requests that were pushed
	consumed  broker.EphemeralStore[bool]       // those whose code was issued
	backs     broker.EphemeralStore[leaving]    // sign-outs that went on at the upstream
	ended     chan struct{}                     // there is somebody to tell
	patience  time.Duration                     // of the signed-out page
	newcomers web.Newcomers
	noSecret  string // the hash of a secret that nobody has
	strangers map[string]clients.Key
	fetched   *clients.Fetcher
}

// postLife is how long a posted form waits for its browser to come back.
const postLife = 5 * time.Minute

// startLife is how long a start may wait for another replica's signing keys.
const startLife = 30 * time.Second

//go:embed page/*.html
var pages embed.FS

// New makes the handler. It loads the signing keys, and makes them at the first start.
func New(o Options) (*Handler, error) {
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o.Issuer {
		return nil, errors.New("oidc: the issuer must be an origin, such as https://id.example.com")
	}
	d := &Handler{
		issuer: o.Issuer, toolkit: o.Toolkit, logins: o.Logins, gate: o.Gate, store: o.Store,
		ring: o.Ring, warn: o.Warn, now: o.Now, log: o.Log, pages: o.Toolkit.Pages(pages),
		keys:      &signing.Keys{Store: o.Store, Leases: o.Store, Atomic: o.Store, AuditLog: o.Store, Now: o.Now},
		posts:     broker.EphemeralStore[url.Values]{Name: "post", Life: postLife, In: o.Ephemeral, Now: o.Now},
		asked:     broker.EphemeralStore[asked]{Name: "consent", Life: broker.LoginLife, In: o.Ephemeral, Now: o.Now},
		backs:     broker.EphemeralStore[leaving]{Name: "signout", Life: backLife, In: o.Ephemeral, Now: o.Now},
		upstreams: o.Upstreams, egress: o.Egress, ended: make(chan struct{}, 1), patience: patience,

		pushes: broker.EphemeralStore[pushed]{Name: "pushed",
			//defence:A19 ./broker/oidc:TestARequestThatWasPushedEndsInTokens = 90 * time.Minute
			Life: pushedLife, In: o.Ephemeral, Now: o.Now},
		consumed: broker.EphemeralStore[bool]{Name: "spent", Life: consumedLife, In: o.Ephemeral, Now: o.Now},

		newcomers: web.Newcomers{In: o.Ephemeral, Now: o.Now},
	}
	d.desk, d.registers = newDeviceDesk(o.Ephemeral, o.Ring, o.Now), o.Registration
	_, d.noSecret = clients.NewSecret(o.Ring, "")
	d.fetched = &clients.Fetcher{Now: o.Now,
		//defence:A19 A20 = http.DefaultClient
		HTTP: o.Egress.For("client keys")}
	d.strategy = &strategy{issuer: o.Issuer, ring: o.Ring, keys: d.keys, now: o.Now}
	codes := broker.EphemeralStore[codeRecord]{Name: "code", Life: broker.CodeLife, In: o.Ephemeral, Now: o.Now}
	d.provider = newProvider(
		&store{codes: codes, gate: o.Gate, desk: d.desk, open: d.strategy.openRefresh, ring: o.Ring, now: o.Now},
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

// Keys are the handler's signing keys.
func (d *Handler) Keys() *signing.Keys { return d.keys }

// Run keeps the signing keys until ctx is done.
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

// keepKeys gives up in time for the next try: a database that never answers must
// not keep a withdrawn key alive.
func (d *Handler) keepKeys(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, signing.RefreshInterval)
	defer cancel()
	if err := d.keys.Tick(timed); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "the signing keys could not be kept", "err", err)
	}
}

// Mount adds the handler's routes.
func (d *Handler) Mount(mux web.Router) {
	open := func(pattern string, h web.Handler) { mux.Handle(pattern, d.toolkit.HandleOpen(h)) }
	open("GET "+pathConfiguration, d.configuration)
	open("GET "+pathServer, d.configuration)
	open("GET "+pathKeys, d.jwks)
	open("POST "+pathToken, d.token)
	open("POST "+pathDeviceAuthorization, d.deviceAuthorization)
	open("GET "+pathUserinfo, d.userinfo)
	open("POST "+pathUserinfo, d.userinfo)
	open("POST "+pathRevoke, d.revoke)
	open("POST "+pathIntrospect, d.introspect)
	open("POST "+pathPush, d.push)
	for _, path := range []string{pathConfiguration, pathServer, pathKeys, pathToken, pathUserinfo, pathRevoke, pathPush} {
		open("OPTIONS "+path, preflight)
	}
	//defence:A20 = true
	if d.registers {
		open("POST "+pathRegister, d.register)
		for _, method := range []string{"GET ", "PUT ", "DELETE "} {
			open(method+pathRegister+"/{id}", d.registration)
		}
	}
	// These two take posts from other sites, and look at no cookie.
	open("POST "+pathAuthorize, d.authorizePost)
	open("POST "+pathEndSession, d.endSessionPost)

	guarded := func(pattern string, h web.Handler) { mux.Handle(pattern, d.toolkit.Handle(h)) }
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
