// Package egress has the only outbound HTTP client, for addresses that come from configuration or from others.
package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"
)

// The limits of every request (SECURITY.md B16, B22).
const (
	DialTimeout     = 5 * time.Second  // name look-up and connect; the TLS handshake has the same limit
	RequestTimeout  = 10 * time.Second // from the first byte sent to the last byte read
	MaxBody         = 1 << 20          // bytes of a response body, after decompression
	MaxHeader       = 64 << 10         // bytes of a response header
	MaxInFlight     = 32               // concurrent requests per name
	idleConnections = 8                // kept alive per host
)

// Errors of a request. Each is wrapped with its reason. None contains a query string, because it may hold
// tokens.
var (
	// ErrBlockedAddress: the host is, or resolves to, an address that is neither public nor in an allowed network.
	ErrBlockedAddress = errors.New("egress: address not allowed")
	// ErrBlockedURL: not https on port 443 and not in an allowed network, or a URL with credentials.
	ErrBlockedURL = errors.New("egress: URL not allowed")
	// ErrRedirect: the host sent a redirect. Redirects are never followed.
	ErrRedirect = errors.New("egress: redirect refused")
	// ErrTooLarge: the response body is larger than MaxBody.
	ErrTooLarge = errors.New("egress: response too large")
	// ErrBusy: MaxInFlight requests of this name are running; nothing was sent.
	ErrBusy = errors.New("egress: too many concurrent requests")
	// ErrTimeout: DialTimeout or RequestTimeout has passed, or the caller's own deadline.
	ErrTimeout = errors.New("egress: timeout")
	// ErrUnreachable: no such host, connection refused or cut, TLS handshake failed, response not HTTP or its
	// header over MaxHeader.
	ErrUnreachable = errors.New("egress: host unreachable")
)

// Options loosen the rules. The zero value is the strictest: public addresses, https, port 443, the system's
// roots.
type Options struct {
	// Allow lists networks that may be reached although they are not public, also over http and on any port.
	// Link-local and multicast addresses stay blocked: cloud metadata services use them.
	Allow []netip.Prefix
	// CABundle holds PEM certificates trusted in addition to the system's roots.
	CABundle []byte
	// Resolver resolves names; nil is the system's.
	Resolver *net.Resolver
}

// Client sends requests under one set of rules. It is safe for concurrent use and keeps connections alive, so
// create few.
type Client struct {
	rules     rules
	resolver  *net.Resolver
	roots     *x509.CertPool
	transport map[string]http.RoundTripper // by scheme, because the scheme decides which addresses may be dialled
	timeout   time.Duration

	mu    sync.Mutex
	named map[string]*http.Client
}

// New returns a Client. It fails only on an invalid Options.Allow or Options.CABundle.
func New(options Options) (*Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	return newClient(options, roots)
}

// With returns a Client that also allows what more allows, for a connection inside a company's network. It
// shares no limits with c.
func (c *Client) With(more Options) (*Client, error) {
	more.Allow = slices.Concat(c.rules.allowed, more.Allow)
	more.Resolver = cmp.Or(more.Resolver, c.resolver)
	return newClient(more, c.roots.Clone())
}

func newClient(options Options, roots *x509.CertPool) (*Client, error) {
	rules, err := newRules(options.Allow)
	if err != nil {
		return nil, err
	}
	if len(options.CABundle) > 0 && !roots.AppendCertsFromPEM(options.CABundle) {
		return nil, errors.New("egress: the CA bundle contains no PEM certificate")
	}
	c := &Client{rules: rules, resolver: options.Resolver, roots: roots, timeout: RequestTimeout,
		named: map[string]*http.Client{}}
	c.transport = map[string]http.RoundTripper{"http": c.newTransport("http"), "https": c.newTransport("https")}
	return c, nil
}

// HTTP is For("").
func (c *Client) HTTP() *http.Client { return c.For("") }

// For returns the HTTP client of one upstream. Its requests fail with ErrBusy while MaxInFlight of them are
// running; other names have their own limit. The same name returns the same client. Close the response body, as
// always. Do not send a failed request again: its URL has lost its query, because http.Client quotes the URL in
// its errors.
func (c *Client) For(name string) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.named[name] == nil {
		// The time limit is the guard's, not http.Client's: the slot must be freed with it.
		c.named[name] = &http.Client{Transport: &guard{client: c, slots: make(chan struct{}, MaxInFlight)}}
	}
	return c.named[name]
}

// MaySend checks a URL without resolving its host. The addresses of a host name are checked when it is dialled.
func (c *Client) MaySend(u *url.URL) error { return c.rules.maySend(u) }

// newTransport returns one connection pool. Every address is checked after name resolution and just before it is
// dialled, which defeats DNS rebinding. It uses no proxy from the environment, because a proxy would dial
// unchecked.
func (c *Client) newTransport(scheme string) http.RoundTripper {
	dialer := &net.Dialer{
		Timeout:  DialTimeout,
		Resolver: c.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			//defence:B16
			return c.rules.mayDial(scheme, address)
		},
	}
	return &http.Transport{
		//defence:B16 = http.ProxyFromEnvironment
		Proxy:       nil,
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{RootCAs: c.roots,
			//defence:A17 = uint16(tls.VersionTLS10)
			MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    DialTimeout,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: MaxHeader,
		MaxIdleConnsPerHost:    idleConnections,
		MaxIdleConns:           16 * idleConnections,
		IdleConnTimeout:        90 * time.Second,
	}
}

// guard is the RoundTripper that applies the rules to every request of one name.
type guard struct {
	client *Client
	slots  chan struct{}
}

// RoundTrip sends one request. Its errors are those of this package.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := g.send(request)
	if err == nil {
		return response, nil
	}
	if request.Body != nil {
		request.Body.Close()
	}
	err = fmt.Errorf("%s: %w", request.URL.Hostname(), classify(err))
	// http.Client puts the request's URL into its error; this is the only way to remove the query.
	bare := *request.URL
	bare.RawQuery, bare.ForceQuery = "", false
	request.URL = &bare
	return nil, err
}

func (g *guard) send(request *http.Request) (*http.Response, error) {
	if err := g.client.rules.maySend(request.URL); err != nil {
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(request.Context(), g.client.timeout)
	// The slot is freed at the end of the body, or at the deadline if the caller forgets to close it.
	pending := context.AfterFunc(ctx, func() { <-g.slots })
	done := func() {
		if pending() {
			<-g.slots
		}
		cancel()
	}
	response, err := g.client.transport[request.URL.Scheme].RoundTrip(request.WithContext(ctx))
	if err == nil {
		err = refuse(response)
	}
	if err != nil {
		if response != nil {
			response.Body.Close()
		}
		done()
		return nil, err
	}
	response.Request = request
	response.Body = &body{ReadCloser: response.Body, done: done, left: MaxBody}
	return response, nil
}

// refuse returns why a response must not reach the caller.
func refuse(response *http.Response) error {
	switch code := response.StatusCode; {
	//defence:B16
	case code >= 300 && code < 400 && code != http.StatusNotModified:
		return fmt.Errorf("%w: status %d", ErrRedirect, code)
	case response.ContentLength > MaxBody:
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, response.ContentLength)
	case code == http.StatusSwitchingProtocols:
		return fmt.Errorf("%w: the host switched the protocol", ErrUnreachable)
	}
	return nil
}

// body limits a response to MaxBody bytes. It frees the request's slot when it is closed or read to the end.
type body struct {
	io.ReadCloser
	done func()
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	// Ask for one byte more than is left, to detect a body that is too long.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	//defence:B16
	if int64(n) > b.left {
		n, err = int(b.left), ErrTooLarge
	}
	b.left -= int64(n)
	if err != nil {
		b.done()
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, classify(err)
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}

// classify wraps every failure in one of this package's errors. It keeps the cause for the operator; the
// transport's errors contain no URL.
func classify(err error) error {
	for _, settled := range []error{ErrBlockedAddress, ErrBlockedURL, ErrRedirect, ErrTooLarge, ErrBusy, ErrUnreachable,
		context.Canceled} {
		if errors.Is(err, settled) {
			return err
		}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() { // context.DeadlineExceeded is one too
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
