// Package fakeidp simulates upstream identity providers over real HTTP: faithfully or, if told to, maliciously.
// Tests and the demo sign in with it. It asks for no passwords, and nothing it asserts is true.
package fakeidp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The kinds that it simulates.
const (
	KindGoogle    = "google"
	KindMicrosoft = "microsoft"
	KindADFS      = "adfs"
	KindFacebook  = "facebook"
	KindOIDC      = "oidc"
	KindGitHub    = "github"
	KindApple     = "apple"
	KindLinkedIn  = "linkedin"
)

// Options configures one simulated provider with its one registered client.
type Options struct {
	Kind    string // one of the Kind constants
	BaseURL string // the simulator's own origin, without a trailing slash

	ClientID     string // the app id at Facebook
	ClientSecret string
	RedirectURIs []string // compared byte for byte

	// PostLogoutRedirectURIs are the exact addresses that end_session may redirect to.
	PostLogoutRedirectURIs []string

	Personas []Persona
	Now      func() time.Time // time.Now when nil
	Keys     *KeyPool         // shared by tests; nil: keys of its own

	// Name heads the page as "Name (simulated)"; empty: the provider's own name.
	Name string
	// Alg signs the ID tokens of kind oidc: RS256 (the default) or another asymmetric algorithm of JOSE. The other
	// kinds always use RS256, as the real providers do.
	Alg string
	// ClientAuth is the only method by which kind oidc lets the client authenticate, see SetClientKeys; empty:
	// client_secret_basic and client_secret_post.
	ClientAuth string
	// RequirePAR refuses authorization requests to kind oidc that were not pushed (RFC 9126).
	RequirePAR bool
	// SignedUserInfo sends the userinfo document of kind oidc as a JWT.
	SignedUserInfo bool
	// IssuerPath follows BaseURL in the issuer of kind oidc: "/" as at Auth0, "/realms/demo" as at Keycloak, which
	// also refuses a wrong secret in Keycloak's words.
	IssuerPath string
	// LegacyIssuer makes Google's ID tokens name the issuer without its scheme, as old tokens do; discovery
	// keeps the scheme.
	LegacyIssuer bool
	// ClaimsInIDToken puts the AD FS person's claims into every ID token, as when the relying party's id is the
	// client id. Otherwise they need the scope allatclaims and form_post, as at AD FS.
	ClaimsInIDToken bool
}

func (o Options) keycloak() bool { return strings.HasPrefix(o.IssuerPath, "/realms/") }

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

	mu        sync.Mutex // guards the fields below
	personas  []Persona
	redirects []string
	codes     map[string]*grant
	tokens    map[string]*grant
	record    record
	// clientKeys verify client assertions, and assertions are the ids of used ones.
	clientKeys jose.JSONWebKeySet
	assertions map[string]bool
	pushed     map[string]url.Values
	told       map[string]bool // subjects whose name Apple has sent
}

// provider holds what differs between the kinds. A nil function means that the kind has no such behaviour.
type provider struct {
	label       string
	formPost    bool       // supports response_mode=form_post
	issuesIss   bool       // RFC 9207: the authorization response names the issuer
	fragment    string     // is appended to the authorization response
	tokenPrefix string     // prefix of the access tokens
	hint        string     // the parameter that names a person, if it is not login_hint
	prompts     []string   // the supported values of prompt; nil for any
	cancelled   OAuthError // the error when the person cancels

	check   func(*authRequest) *OAuthError             // the kind's own checks of a request
	admits  func(*authRequest, Persona) string         // why this person cannot use this authority; "" if they can
	members func(*grant) map[string]any                // added to the code in the response
	decline map[string]any                             // added to the error of a cancelled response
	idToken func(*call, *grant, string) map[string]any // the claims of an ID token that comes with this access token
	profile func(*grant) map[string]any                // the userinfo document
	explain func(OAuthError) OAuthError                // the provider's own text for an error
	refuse  func(*call, int, OAuthError)               // how the token endpoint sends an error
	tokens  func(*grant, map[string]any)               // added to the token response
	// handles an unregistered redirect_uri; false: plain error page
	wrongRedirect func(*call, url.Values) bool
}

// New simulates a provider at opts.BaseURL. It panics on an unknown Kind or Alg, which is a programming error.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.BaseURL = strings.TrimSuffix(opts.BaseURL, "/")
	s := &Server{
		opts: opts, mux: http.NewServeMux(), pages: parsePages(), done: make(chan struct{}),
		redirects: append([]string(nil), opts.RedirectURIs...),
		codes:     map[string]*grant{}, tokens: map[string]*grant{}, record: newRecord(),
		assertions: map[string]bool{}, pushed: map[string]url.Values{}, told: map[string]bool{},
	}
	s.finish = sync.OnceFunc(func() { close(s.done) })
	s.keys = keyring{alg: "RS256", now: opts.Now, pool: opts.Keys, used: map[*rsa.PrivateKey]bool{}}
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
	case KindApple:
		s.mountApple()
	case KindLinkedIn:
		s.mountLinkedIn()
	default:
		panic(fmt.Sprintf("fakeidp: unknown kind %q", opts.Kind))
	}
	if opts.Name != "" {
		s.provider.label = opts.Name
	}
	s.mountAssets()
	return s
}

// Start serves a simulated provider on a free port of 127.0.0.1 until the returned function is called. It fills
// in what opts leaves empty: BaseURL, a client and the kind's demo personas. It panics if it cannot listen.
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
		_ = server.Serve(listener) // always ErrServerClosed, because of the function below
	}()
	return s, func() {
		s.Close()
		_ = server.Close() // the sockets close in any case
		<-served
	}
}

// Close releases every request that a fault keeps hanging.
func (s *Server) Close() { s.finish() }

// BaseURL returns the simulator's origin.
func (s *Server) BaseURL() string { return s.opts.BaseURL }

// Client returns the registered client.
func (s *Server) Client() (id, secret string) { return s.opts.ClientID, s.opts.ClientSecret }

// AddRedirectURI registers another exact redirect URI.
func (s *Server) AddRedirectURI(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirects = append(s.redirects, uri)
}

// ServeHTTP counts the request and responds as the provider would.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.record.count(r.URL.Path)
	s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

// handle mounts an endpoint. It records the request and applies the faults before it calls answer.
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
