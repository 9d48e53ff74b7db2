package providers

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/egress"
)

// Options configure a Set. Egress is required.
type Options struct {
	// Egress makes all outbound calls. Networks and certificates of one connection apply to that connection
	// only.
	Egress *egress.Client
	// Callback returns the absolute redirect_uri of a connection, for upstream requests without one.
	Callback func(connectionID string) string
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: nothing is logged
}

// Set opens upstreams and caches them, so that all logins of a connection share its metadata, keys and sockets.
// Connections share nothing with each other. It is safe for concurrent use.
type Set struct {
	opts Options

	mu     sync.Mutex
	opened map[string]opened
}

type opened struct {
	at       time.Time // the connection's UpdatedAt
	upstream broker.Upstream
}

// New returns an empty Set.
func New(opts Options) *Set {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Set{opts: opts, opened: map[string]opened{}}
}

// Open returns the upstream of a connection without using the network. A changed UpdatedAt opens it again. It
// returns UpstreamMisconfigured for a connection with Problems.
//
// The result is a broker.Notifier if the kind is one. For a disabled connection it is only that, so that
// deletion requests still arrive; Begin and Finish return ConnectionDisabled (SECURITY.md B17). A draft may be
// opened, for testing.
func (s *Set) Open(_ context.Context, c broker.Connection) (broker.Upstream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.opened[c.ID]
	if !ok || !o.at.Equal(c.UpdatedAt) {
		u, err := s.open(Normalise(c))
		if err != nil {
			return nil, broker.UpstreamMisconfigured.Because(fmt.Errorf("connection %s: %w", c.ID, err))
		}
		o = opened{c.UpdatedAt, u}
		s.opened[c.ID] = o
	}
	//defence:B17 = true
	if c.State != broker.Disabled {
		return o.upstream, nil
	}
	if n, ok := o.upstream.(broker.Notifier); ok {
		return struct {
			disabled
			broker.Notifier
		}{disabled{}, n}, nil
	}
	return disabled{}, nil
}

// disabled is the upstream of a disabled connection. It refuses every sign-in.
type disabled struct{}

func (disabled) Begin(context.Context, broker.UpstreamRequest) (broker.Redirect, error) {
	return broker.Redirect{}, broker.ConnectionDisabled
}

func (disabled) Finish(context.Context, broker.UpstreamRequest, url.Values) (broker.Claims, error) {
	return broker.Claims{}, broker.ConnectionDisabled
}

func (s *Set) open(c broker.Connection) (broker.Upstream, error) {
	if found := Problems(c); len(found) > 0 {
		return nil, errors.New(strings.Join(found, "; "))
	}
	client, err := s.client(c)
	if err != nil {
		return nil, err
	}
	k, _ := Find(c.Kind)
	u, err := k.Open(Env{HTTP: client, Now: s.opts.Now, Log: s.opts.Log.With("connection", c.ID)}, c)
	if err != nil {
		return nil, err
	}
	g := &guarded{Upstream: u, id: c.ID, callback: s.opts.Callback, gate: newGate(s.opts.Now)}
	if n, ok := u.(broker.Notifier); ok {
		return struct {
			*guarded
			broker.Notifier
		}{g, n}, nil
	}
	return g, nil
}

// client returns the HTTP client of one connection, with the connection's own certificates and networks.
func (s *Set) client(c broker.Connection) (*http.Client, error) {
	out := s.opts.Egress
	nets, _ := networks(c.Settings[fieldNetworks.Key])
	if ca := c.Settings[fieldCA.Key]; ca != "" || len(nets) > 0 {
		own, err := out.With(egress.Options{Allow: nets, CABundle: []byte(ca)})
		if err != nil {
			return nil, err
		}
		out = own
	}
	return out.For("connection " + c.ID), nil
}

// guarded is an upstream behind its gate.
type guarded struct {
	broker.Upstream
	id       string
	callback func(string) string
	gate     *gate
}

// Begin passes the gate only if it has to load metadata.
func (g *guarded) Begin(ctx context.Context, t broker.UpstreamRequest) (d broker.Redirect, err error) {
	if t, err = g.own(t); err != nil {
		return d, err
	}
	if r, lazy := g.Upstream.(interface{ ready() bool }); !lazy || r.ready() {
		return g.Upstream.Begin(ctx, t)
	}
	err = g.gate.pass(ctx, func(ctx context.Context) (err error) {
		d, err = g.Upstream.Begin(ctx, t)
		return err
	})
	return d, err
}

// Finish accepts only a response in which every parameter occurs once and whose state is the upstream request's.
func (g *guarded) Finish(ctx context.Context, t broker.UpstreamRequest,
	answer url.Values) (c broker.Claims, err error) {
	if t, err = g.own(t); err != nil {
		return c, err
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description"} {
		//defence:B3
		if len(answer[name]) > 1 {
			return c, broker.UpstreamRejected.Because(fmt.Errorf("the response has %s twice", name))
		}
	}
	if s := answer.Get("state"); s != "" && subtle.ConstantTimeCompare([]byte(s), []byte(t.State)) != 1 {
		return c, broker.StateInvalid
	}
	err = g.gate.pass(ctx, func(ctx context.Context) (err error) {
		c, err = g.Upstream.Finish(ctx, t, answer)
		return err
	})
	if err != nil {
		return broker.Claims{}, err
	}
	return c, nil
}

// own refuses an upstream request of another connection (SECURITY.md B3).
func (g *guarded) own(t broker.UpstreamRequest) (broker.UpstreamRequest, error) {
	//defence:B3
	if t.Connection != "" && t.Connection != g.id {
		return t, broker.StateInvalid.Because(errors.New("the request belongs to another connection"))
	}
	if t.Callback == "" && g.callback != nil {
		t.Callback = g.callback(g.id)
	}
	return t, nil
}
