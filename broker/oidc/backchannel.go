package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/broker"
)

// What a delivery is held to (OIDC Back-Channel Logout §2.5).
const (
	tellLease = time.Minute
	tellWait  = 5 * time.Second // for one app's answer
	tellPause = time.Second     // between two looks into an empty queue
	tellBatch = 16              // at a time, so that a slow app keeps few others waiting
	//defence:A17 = 20 * time.Minute
	tokenLife = 2 * time.Minute
)

// eventLogout is what a logout token says (OIDC Back-Channel Logout §2.4).
const eventLogout = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken never has a nonce, so that it passes for no ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	Issued   int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Session  string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

// logoutToken signs a new one for each attempt: one that waited would have expired.
func (d *Handler) logoutToken(c broker.Client, l broker.Logout) (string, error) {
	key, err := d.keys.Signer(algOf(c))
	if err != nil {
		return "", err
	}
	now := d.now()
	return key.SignAs(
		//defence:A17 A11 = "JWT"
		typLogout, logoutToken{Issuer: d.issuer, Subject: l.AccountID, Audience: c.ID, Issued: now.Unix(), Expires: now.Add(tokenLife).Unix(),
			ID: broker.NewID(), Session: l.SessionID, Events: map[string]struct{}{eventLogout: {}}})
}

// Tell tells apps of the sessions that ended until ctx is done. Any number of replicas
// may do so: a lease keeps two from telling the same, unless one dies meanwhile.
func (d *Handler) Tell(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.ended:
		case <-timer.C:
		}
		n, err := d.tellDue(ctx)
		wait := tellPause
		switch {
		case err != nil && ctx.Err() == nil:
			d.log.ErrorContext(ctx, "the apps to tell of a sign-out cannot be read", "err", err)
			wait = 10 * tellPause
		case n == tellBatch:
			wait = 0
		}
		timer.Reset(wait)
	}
}

// hurry lets Tell look now instead of in a second.
func (d *Handler) hurry() {
	select {
	case d.ended <- struct{}{}:
	default:
	}
}

// tellDue tells those who are due, at most a few, and returns how many it tried.
func (d *Handler) tellDue(ctx context.Context) (int, error) {
	now := d.now()
	due, err := d.store.DueLogouts(ctx, now,
		//defence:A17 = now
		now.Add(tellLease), tellBatch)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(due))
	var all sync.WaitGroup
	for i, l := range due {
		all.Go(func() { errs[i] = d.tell(ctx, l) })
	}
	all.Wait()
	return len(due), errors.Join(errs...)
}

// tell makes one attempt and writes what came of it, even when we are told to stop meanwhile.
func (d *Handler) tell(ctx context.Context, l broker.Logout) error {
	c, err := d.store.Client(ctx, l.ClientID)
	if errors.Is(err, broker.NotFound) || err == nil && c.BackchannelLogoutURI == "" {
		return d.store.LogoutDone(ctx, l.ID) // nobody is left to hear it
	}
	if err != nil {
		return err
	}
	e := broker.Event{Verb: broker.EventLogoutTold, Account: l.AccountID, Client: l.ClientID, Session: l.SessionID}
	if !d.now().Before(l.ExpiresAt) {
		e.Verb, e.Detail = broker.EventLogoutLost, map[string]string{"error": l.LastError, "attempts": fmt.Sprint(l.Attempts)}
		return d.told(ctx, l, e)
	}
	why := d.post(ctx, c, l)
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if why == nil {
		return d.told(save, l, e)
	}
	next := d.now().Add(min(5*time.Second<<min(l.Attempts, 10), time.Hour))
	if next.After(l.ExpiresAt) {
		next = l.ExpiresAt
	}
	d.log.WarnContext(ctx, "an app was not told of a sign-out", "client", c.ID, "session", l.SessionID, "attempt", l.Attempts+1, "next", next, "err", why)
	return d.store.LogoutFailed(save, l.ID, why.Error(), next)
}

func (d *Handler) told(ctx context.Context, l broker.Logout, e broker.Event) error {
	e.ID, e.At = broker.NewID(), d.now()
	return d.store.Atomic(ctx, func(ctx context.Context) error {
		if err := d.store.LogoutDone(ctx, l.ID); err != nil {
			return err
		}
		return d.store.Record(ctx, e)
	})
}

// post sends the token. A redirect is no answer, and only what egress lets out is
// dialled (SECURITY.md A17).
func (d *Handler) post(ctx context.Context, c broker.Client, l broker.Logout) error {
	token, err := d.logoutToken(c, l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellWait)
	defer cancel()
	body := url.Values{"logout_token": {token}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BackchannelLogoutURI, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	//defence:A17 = http.DefaultClient
	client := d.egress.For("client " + c.ID)
	answer, err := client.Do(r)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the address, which may hold a key
	}
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the app answered %d", answer.StatusCode)
	}
	return nil
}
