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

// The limits of a delivery (OIDC Back-Channel Logout §2.5).
const (
	notifyLease = time.Minute
	notifyWait  = 5 * time.Second // for the response of one app
	notifyPause = time.Second     // between two reads of an empty queue
	notifyBatch = 16              // at a time, so that a slow app delays few others
	//defence:A17 = 20 * time.Minute
	tokenLife = 2 * time.Minute
)

// eventLogout is the event of a logout token (OIDC Back-Channel Logout §2.4).
const eventLogout = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken has no nonce, so that it never passes for an ID token.
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

// logoutToken signs a new token for each attempt, because a stored one would have expired.
func (d *Handler) logoutToken(c broker.Client, l broker.Logout) (string, error) {
	key, err := d.keys.Signer(algOf(c))
	if err != nil {
		return "", err
	}
	now := d.now()
	return key.SignAs(
		//defence:A17 A11 = "JWT"
		typLogout, logoutToken{Issuer: d.issuer, Subject: l.AccountID, Audience: c.ID, Issued: now.Unix(),
			Expires: now.Add(tokenLife).Unix(),
			ID:      broker.NewID(), Session: l.SessionID, Events: map[string]struct{}{eventLogout: {}}})
}

// NotifyApps sends logout tokens for ended sessions until ctx is done. Any number of
// replicas may run it: a lease prevents two from sending the same one, unless a replica
// dies.
func (d *Handler) NotifyApps(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.ended:
		case <-timer.C:
		}
		n, err := d.notifyDue(ctx)
		wait := notifyPause
		switch {
		case err != nil && ctx.Err() == nil:
			d.log.ErrorContext(ctx, "the queue of back-channel logouts cannot be read", "err", err)
			wait = 10 * notifyPause
		case n == notifyBatch:
			wait = 0
		}
		timer.Reset(wait)
	}
}

// hurry makes NotifyApps read the queue immediately.
func (d *Handler) hurry() {
	select {
	case d.ended <- struct{}{}:
	default:
	}
}

// notifyDue sends at most notifyBatch logout tokens and returns how many it tried.
func (d *Handler) notifyDue(ctx context.Context) (int, error) {
	now := d.now()
	due, err := d.store.DueLogouts(ctx, now,
		//defence:A17 = now
		now.Add(notifyLease), notifyBatch)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(due))
	var all sync.WaitGroup
	for i, l := range due {
		all.Go(func() { errs[i] = d.notify(ctx, l) })
	}
	all.Wait()
	return len(due), errors.Join(errs...)
}

// notify makes one attempt and stores the result, even if ctx ends in the meantime.
func (d *Handler) notify(ctx context.Context, l broker.Logout) error {
	c, err := d.store.Client(ctx, l.ClientID)
	if errors.Is(err, broker.NotFound) || err == nil && c.BackchannelLogoutURI == "" {
		return d.store.LogoutDone(ctx, l.ID) // the app no longer wants it
	}
	if err != nil {
		return err
	}
	e := broker.Event{Verb: broker.EventLogoutDelivered, Account: l.AccountID, Client: l.ClientID, Session: l.SessionID}
	if !d.now().Before(l.ExpiresAt) {
		e.Verb = broker.EventLogoutUndelivered
		e.Detail = map[string]string{"error": l.LastError, "attempts": fmt.Sprint(l.Attempts)}
		return d.recordDelivered(ctx, l, e)
	}
	why := d.post(ctx, c, l)
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if why == nil {
		return d.recordDelivered(save, l, e)
	}
	next := d.now().Add(min(5*time.Second<<min(l.Attempts, 10), time.Hour))
	if next.After(l.ExpiresAt) {
		next = l.ExpiresAt
	}
	d.log.WarnContext(ctx, "a back-channel logout failed", "client", c.ID, "session", l.SessionID, "attempt",
		l.Attempts+1, "next", next, "err", why)
	return d.store.LogoutFailed(save, l.ID, why.Error(), next)
}

func (d *Handler) recordDelivered(ctx context.Context, l broker.Logout, e broker.Event) error {
	e.ID, e.At = broker.NewID(), d.now()
	return d.store.Atomic(ctx, func(ctx context.Context) error {
		if err := d.store.LogoutDone(ctx, l.ID); err != nil {
			return err
		}
		return d.store.Record(ctx, e)
	})
}

// post sends the token. A redirect counts as a failure, and egress decides what may be
// dialled (SECURITY.md A17).
func (d *Handler) post(ctx context.Context, c broker.Client, l broker.Logout) error {
	token, err := d.logoutToken(c, l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, notifyWait)
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
		err = wrapped.Err // without the URL, which may contain a secret
	}
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the app responded with status %d", answer.StatusCode)
	}
	return nil
}
