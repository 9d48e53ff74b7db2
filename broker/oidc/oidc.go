// Package oidc is the door apps knock on: the OpenID Provider. It asks the login
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
	"gatehouse/broker/clients"
	"gatehouse/broker/egress"
	"gatehouse/broker/seal"
	"gatehouse/broker/signing"
	"gatehouse/broker/web"
)

// Logins is all this door knows of the journey.
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

// Options are what a Door is made of; all but Registration are needed.
type Options struct {
	// Issuer is the public origin, such as "https://id.example.com", without a path
	// and without a slash at its end.
	Issuer    string
	Kit       *web.Kit
	Logins    Logins
	Clients   broker.Clients
	Families  broker.Families
	Consents  broker.Consents
	Keys      broker.SigningKeys
	Leases    broker.Leases
	Fleeting  broker.Fleeting
	Logouts   broker.Logouts
	Upstreams broker.Upstreams
	Egress    *egress.Client // for what clients publish, and for telling them
	Marks     broker.Marks
	Journal   broker.Journal
	Atomic    broker.Atomic
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

// Door is the OpenID Provider. It is safe for concurrent use.
type Door struct {
	issuer    string
	kit       *web.Kit
	logins    Logins
	clients   broker.Clients
	families  broker.Families
	consents  broker.Consents
	logouts   broker.Logouts
	upstreams broker.Upstreams
	egress    *egress.Client
	marks     broker.Marks
	journal   broker.Journal
	atomic    broker.Atomic
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
	posts     broker.Shelf[url.Values] // what was posted to us from elsewhere
	asked     broker.Shelf[asked]      // requests that wait for consent
	pushes    broker.Shelf[pushed]     // requests that were pushed
	spent     broker.Shelf[bool]       // those whose code was issued
	backs     broker.Shelf[leaving]    // sign-outs that went on at the upstream
	ended     chan struct{}            // there is somebody to tell
	patience  time.Duration            // of the signed-out page
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

// New makes the door. It loads the signing keys, and makes them at the first start.
func New(o Options) (*Door, error) {
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o.Issuer {
		return nil, errors.New("oidc: the issuer must be an origin, such as https://id.example.com")
	}
	d := &Door{
		issuer: o.Issuer, kit: o.Kit, logins: o.Logins, clients: o.Clients, families: o.Families, consents: o.Consents, marks: o.Marks,
		journal: o.Journal, atomic: o.Atomic, ring: o.Ring, warn: o.Warn, now: o.Now, log: o.Log, pages: o.Kit.Pages(pages),
		keys:    &signing.Keys{Store: o.Keys, Leases: o.Leases, Atomic: o.Atomic, Journal: o.Journal, Now: o.Now},
		posts:   broker.Shelf[url.Values]{Name: "post", Life: postLife, In: o.Fleeting, Now: o.Now},
		asked:   broker.Shelf[asked]{Name: "consent", Life: broker.LoginLife, In: o.Fleeting, Now: o.Now},
		backs:   broker.Shelf[leaving]{Name: "signout", Life: backLife, In: o.Fleeting, Now: o.Now},
		logouts: o.Logouts, upstreams: o.Upstreams, egress: o.Egress, ended: make(chan struct{}, 1), patience: patience,

		pushes: broker.Shelf[pushed]{Name: "pushed",
			//defence:A19 ./broker/oidc:TestARequestThatWasPushedEndsInTokens = 90 * time.Minute
			Life: pushedLife, In: o.Fleeting, Now: o.Now},
		spent: broker.Shelf[bool]{Name: "spent", Life: spentLife, In: o.Fleeting, Now: o.Now},

		newcomers: web.Newcomers{In: o.Fleeting, Now: o.Now},
	}
	d.desk, d.registers = newDeviceDesk(o.Fleeting, o.Ring, o.Now), o.Registration
	_, d.noSecret = clients.NewSecret(o.Ring, "")
	//defence:A19 A20
	d.fetched = &clients.Fetcher{HTTP: o.Egress.For("client keys"), Now: o.Now}
	d.strategy = &strategy{issuer: o.Issuer, ring: o.Ring, keys: d.keys, now: o.Now}
	codes := broker.Shelf[codeRecord]{Name: "code", Life: broker.CodeLife, In: o.Fleeting, Now: o.Now}
	d.provider = newProvider(
		&store{codes: codes, families: o.Families, desk: d.desk, judge: d.judge, open: d.strategy.openRefresh, ring: o.Ring, now: o.Now},
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

// Keys are the door's signing keys.
func (d *Door) Keys() *signing.Keys { return d.keys }

// Run keeps the signing keys until ctx is done.
func (d *Door) Run(ctx context.Context) {
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
func (d *Door) keepKeys(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, signing.RefreshInterval)
	defer cancel()
	if err := d.keys.Tick(timed); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "the signing keys could not be kept", "err", err)
	}
}

// Mount adds the door's routes.
func (d *Door) Mount(mux web.Router) {
	open := func(pattern string, h web.Handler) { mux.Handle(pattern, d.kit.HandleOpen(h)) }
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
	//defence:A20
	if d.registers {
		open("POST "+pathRegister, d.register)
		for _, method := range []string{"GET ", "PUT ", "DELETE "} {
			open(method+pathRegister+"/{id}", d.registration)
		}
	}
	// These two take posts from other sites, and look at no cookie.
	open("POST "+pathAuthorize, d.authorizePost)
	open("POST "+pathEndSession, d.endSessionPost)

	guarded := func(pattern string, h web.Handler) { mux.Handle(pattern, d.kit.Handle(h)) }
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
