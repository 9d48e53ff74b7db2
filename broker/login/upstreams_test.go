package login_test

import (
	"context"
	"net/url"
	"sync"

	"gatehouse/broker"
)

// upstreams plays every identity provider: a code stands for what it will claim.
type upstreams struct {
	mu       sync.Mutex
	answers  map[string]claimed
	requests []broker.UpstreamRequest
	asked    int
	begin    error
	form     url.Values // posted on the way there
	maxPost  int
	notice   func(kind broker.NoticeKind, form url.Values) (broker.Notice, error)
	wait     chan struct{}
	approval string
}

type claimed struct {
	claims broker.Claims
	err    error
}

type upstream struct {
	*upstreams
	c broker.Connection
}

func (u *upstreams) Open(_ context.Context, c broker.Connection) (broker.Upstream, error) {
	return upstream{u, c}, nil
}

func (u upstream) Begin(_ context.Context, t broker.UpstreamRequest) (broker.Redirect, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.begin != nil {
		return broker.Redirect{}, u.begin
	}
	u.requests = append(u.requests, t)
	return broker.Redirect{URL: u.c.Issuer + "/auth?state=" + t.State, Form: u.form, MaxPost: u.maxPost}, nil
}

func (u upstream) Finish(_ context.Context, t broker.UpstreamRequest, answer url.Values) (broker.Claims, error) {
	if u.wait != nil {
		<-u.wait
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	a, ok := u.answers[answer.Get("code")]
	if !ok {
		return broker.Claims{}, broker.Cancelled
	}
	if a.claims.Issuer == "" {
		a.claims.Issuer = u.c.Issuer
	}
	return a.claims, a.err
}

func (u upstream) Notice(_ context.Context, kind broker.NoticeKind, form url.Values) (broker.Notice, error) {
	return u.notice(kind, form)
}

func (u upstream) Approval() string { return u.approval }

func (u *upstreams) last() broker.UpstreamRequest {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests[len(u.requests)-1]
}

// claims names a code for what an upstream will say.
func (g *fixture) claims(code string, c broker.Claims) { g.ups.answers[code] = claimed{claims: c} }
