// Package fakeidp simulates upstream identity providers over real HTTP, faithfully or, on demand, maliciously.
// Tests and the demo sign in with it; nobody's password is ever asked and nothing it vouches for is true.
package fakeidp

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds that can be simulated.
const (
	KindGoogle    = "google"
	KindMicrosoft = "microsoft"
	KindADFS      = "adfs"
	KindFacebook  = "facebook"
	KindOIDC      = "oidc"
	KindGitHub    = "github"
)

// Options configures one simulated provider with its one registered client.
type Options struct {
	Kind    string // one of the Kind constants
	BaseURL string // the simulator's own origin, without a trailing slash

	ClientID     string // the app id at Facebook
	ClientSecret string
	RedirectURIs []string // compared byte for byte

	// PostLogoutRedirectURIs are the exact addresses that end_session may return to.
	PostLogoutRedirectURIs []string

	Personas []Persona
	Now      func() time.Time // time.Now when nil

	// Name heads the person's page as "Name (simulated)"; the provider's own name when empty.
	Name string
	// Alg signs the ID tokens of kind oidc: RS256 (the default), PS256, ES256 or EdDSA. The others always use RS256, as in the world.
	Alg string
	// IssuerPath follows BaseURL in the issuer of kind oidc: "/" as at Auth0, "/realms/demo" as at Keycloak.
	IssuerPath string
	// LegacyIssuer makes Google's ID tokens name the issuer without its scheme, as its old ones do; discovery keeps the whole.
	LegacyIssuer bool
	// ClaimsInIDToken puts the AD FS person's claims in every ID token, as where the relying party's id is the client id.
	// Otherwise they come only with the scope allatclaims and form_post, as AD FS has it.
	ClaimsInIDToken bool
}

// Server is one simulated provider. It is safe for concurrent use.
type Server struct {
	opts     Options
	provider provider
	mux      *http.ServeMux
	keys     keyring
	pages    pages
	fault    atomic.Pointer[Fault]
	done     chan struct{}
	finish   func()

	mu        sync.Mutex // guards what follows
	personas  []Persona
	redirects []string
	codes     map[string]*grant
	tokens    map[string]*grant
	record    record
}

// provider is what differs between the kinds. A nil function means that the kind has nothing of its own there.
type provider struct {
	label       string
	formPost    bool       // response_mode=form_post is understood
	issuesIss   bool       // RFC 9207: the authorization answer names the issuer
	fragment    string     // ends the authorization answer
	tokenPrefix string     // how this provider's access tokens begin
	hint        string     // the parameter that names a person, when it is not login_hint
	prompts     []string   // the values of prompt that it knows; nil for any
	cancelled   OAuthError // what the person's Cancel says

	check   func(*authRequest) *OAuthError             // the kind's own rules about a request
	admits  func(*authRequest, Persona) string         // why this person cannot use this authority; "" when they can
	members func(*grant) map[string]any                // what joins the code in the answer
	decline map[string]any                             // what joins Cancel's error in the answer
	idToken func(*call, *grant, string) map[string]any // the claims of an ID token that comes with this access token
	profile func(*grant) map[string]any                // the userinfo document
	explain func(OAuthError) OAuthError                // the provider's own words for an error
	refuse  func(*call, int, OAuthError)               // how the token endpoint says no
	tokens  func(*grant, map[string]any)               // what the token answer has beyond RFC 6749
	stray   func(*call, url.Values) bool               // answers an unregistered redirect_uri; false for the plain page
}

// New simulates a provider at opts.BaseURL. It panics on an unknown Kind or Alg, which only a programmer can pass.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.BaseURL = strings.TrimSuffix(opts.BaseURL, "/")
	s := &Server{
		opts: opts, mux: http.NewServeMux(), pages: parsePages(), done: make(chan struct{}),
		redirects: append([]string(nil), opts.RedirectURIs...),
		codes:     map[string]*grant{}, tokens: map[string]*grant{}, record: newRecord(),
	}
	s.finish = sync.OnceFunc(func() { close(s.done) })
	s.keys = keyring{alg: "RS256", now: opts.Now}
	s.fault.Store(&Fault{})
	s.SetPersonas(opts.Personas...)
	switch opts.Kind {
	case KindGoogle:
		s.mountGoogle()
	case KindMicrosoft:
		s.mountMicrosoft()
	case KindADFS:
		s.mountADFS()
	case KindFacebook:
		s.mountFacebook()
	case KindOIDC:
		s.mountOIDC()
	case KindGitHub:
		s.mountGitHub()
	default:
		panic(fmt.Sprintf("fakeidp: no kind %q", opts.Kind))
	}
	if opts.Name != "" {
		s.provider.label = opts.Name
	}
	s.mountAssets()
	return s
}

// Start serves a simulated provider on a free port of 127.0.0.1 until the returned function is called, filling in what
// opts leaves empty: BaseURL, a client and the kind's demo personas. It panics when there is no port.
func Start(opts Options) (*Server, func()) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("fakeidp: %v", err))
	}
	opts.BaseURL = "http://" + listener.Addr().String()
	if opts.ClientID == "" {
		opts.ClientID = "gatehouse"
	}
	if opts.ClientSecret == "" {
		opts.ClientSecret = rand.Text()
	}
	if opts.Personas == nil {
		opts.Personas = DemoPersonas(opts.Kind)
	}
	s := New(opts)
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // always ErrServerClosed, from the function below
	}()
	return s, func() {
		s.Close()
		_ = server.Close() // the sockets are gone either way
		<-served
	}
}

// Close lets go of every request that a fault keeps hanging.
func (s *Server) Close() { s.finish() }

// BaseURL is the simulator's origin.
func (s *Server) BaseURL() string { return s.opts.BaseURL }

// Client is the registered client.
func (s *Server) Client() (id, secret string) { return s.opts.ClientID, s.opts.ClientSecret }

// AddRedirectURI registers one more exact redirect URI.
func (s *Server) AddRedirectURI(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirects = append(s.redirects, uri)
}

// ServeHTTP counts the request and answers it as the provider would.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.record.count(r.URL.Path)
	s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

// handle mounts an endpoint: remember the request, misbehave if asked to, else answer.
func (s *Server) handle(pattern string, at Endpoint, answer func(*call)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := &call{Server: s, w: w, r: r, at: at, fault: s.fault.Load()}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "malformed form", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.record.keep(at, r)
		s.mu.Unlock()
		if !c.broken() {
			answer(c)
		}
	})
}
