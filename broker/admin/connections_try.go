package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/egress"
	"gatehouse/providers"
)

// ConnectionCheck tries connections over the network. Fill the fields.
type ConnectionCheck struct {
	Upstreams broker.Upstreams
	Egress    *egress.Client
	Networks  []netip.Prefix // those that the configuration opens
	Callback  func(connection string) string
	Now       func() time.Time
}

// tester is an upstream that can say more than where it sends a browser.
type tester interface {
	// Test returns what the provider's documents say about why no sign-in can work.
	Test(ctx context.Context) error
}

// Try finds out where a connection would send a browser, which needs the provider's
// discovery document if the kind has one, and whether that document allows a sign-in. all are the other connections.
func (t ConnectionCheck) Try(ctx context.Context, c broker.Connection, all []broker.Connection) error {
	const longest = 15 * time.Second
	if problems := ConnectionProblems(c, all, t.Networks); len(problems) > 0 {
		return invalid("", "%s", strings.Join(problems, "; "))
	}
	up, err := t.Upstreams.Open(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	_, err = up.Begin(ctx, broker.UpstreamRequest{Connection: c.ID, State: broker.NewToken(), Nonce: broker.NewToken(),
		Verifier: broker.NewToken(), Callback: t.Callback(c.ID), StartedAt: t.Now()})
	if up, ok := up.(tester); ok && err == nil {
		err = up.Test(ctx)
	}
	for _, key := range []string{"authority", "graph_url", "api_url"} {
		if err == nil && c.Settings[key] != "" {
			err = t.reach(ctx, c.Settings[key])
		}
	}
	switch {
	case errors.Is(err, egress.ErrUnreachable), errors.Is(err, egress.ErrTimeout):
		err = fmt.Errorf("%w; check the address, and that this machine can reach it", err)
	case errors.Is(err, egress.ErrBlockedAddress), errors.Is(err, egress.ErrBlockedURL):
		err = fmt.Errorf("%w; a private host, http, or a port other than 443 needs its network in `upstream_networks`", err)
	}
	return err
}

// spelled returns the connection with the issuer as its provider spells it, where the address of the discovery
// document was pasted: that does not tell whether the issuer ends in a slash.
func (t ConnectionCheck) spelled(ctx context.Context, c broker.Connection, all []broker.Connection) broker.Connection {
	plain := providers.Normalise(c)
	if plain.Issuer == strings.TrimSpace(c.Issuer) || t.Upstreams == nil {
		return c
	}
	other, ok := errors.AsType[providers.OtherIssuer](t.Try(ctx, plain, all))
	if ok && other.Announced == plain.Issuer+"/" {
		plain.Issuer = other.Announced
	}
	return plain
}

// reach reports whether a server responds at the address, with any status.
func (t ConnectionCheck) reach(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := t.Egress.For("check").Do(req)
	if errors.Is(err, egress.ErrRedirect) {
		return nil
	}
	if err != nil {
		return err
	}
	return res.Body.Close()
}
