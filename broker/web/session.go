package web

import (
	"context"
	"encoding/base32"
	"errors"
	"net/http"
	"time"

	"gatehouse/broker"
)

// Current returns the session of the request and its account, after asking Admit again. It returns NotFound
// without a live session, Admit's code if it refuses, and any other error if storage fails.
func (k *Toolkit) Current(r *http.Request) (broker.Session, broker.Account, error) {
	var none broker.Session
	s, a, err := k.Held(r)
	if err != nil {
		return none, broker.Account{}, err
	}
	facts := broker.Facts{Now: k.Now(), Account: &a, Authn: s.Authn}
	if s.Authn.Method == broker.ByUpstream {
		c, err := k.Connections.Connection(r.Context(), s.Authn.Connection)
		switch {
		case err == nil:
			facts.Connection = &c
		case !errors.Is(err, broker.NotFound):
			return none, broker.Account{}, err
		}
	}
	if err := broker.Admit(facts); err != nil {
		return none, broker.Account{}, err
	}
	return s, a, nil
}

// Held returns the session of the request's cookie without asking Admit; NotFound if there is none or it has
// ended. Use it to end a session: one that Admit refuses because its connection is off would work again when the
// connection comes back.
func (k *Toolkit) Held(r *http.Request) (broker.Session, broker.Account, error) {
	value := token(r, cookieSession)
	if value == "" {
		return broker.Session{}, broker.Account{}, broker.NotFound
	}
	s, a, err := k.Sessions.Session(r.Context(), k.Ring.Hashes(hashSession, []byte(value)))
	switch {
	case err != nil:
	//defence:E16
	case !s.EndedAt.IsZero():
		err = broker.NotFound
	//defence:E16
	case !k.Now().Before(s.ExpiresAt):
		err = broker.NotFound
	}
	return s, a, err
}

// NewSession derives a session's token, for SetSession, and the keyed hash that it is stored under. The same
// proof gives the same token, so that a retry after a crash finds its session. Without the keyring no token can
// be derived, and each proof has its own, so a planted token is useless (SECURITY.md E13).
func (k *Toolkit) NewSession(proof []byte) (token, hash string) {
	_, mac := k.Ring.MAC("session token", proof)
	token = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac) // looks like broker.NewToken
	return token, k.Ring.Hash(hashSession, []byte(token))
}

// SetSession sends the session cookie, after the row is committed.
func (k *Toolkit) SetSession(w http.ResponseWriter, token string, expires time.Time) {
	k.setCookie(w, cookieSession, token, expires.Sub(k.Now()))
}

// EndSession ends a session and the grants created under it, records an event, and clears the cookie.
func (k *Toolkit) EndSession(w http.ResponseWriter, r *http.Request, s broker.Session) error {
	now := k.Now()
	err := k.Atomic.Atomic(r.Context(), func(ctx context.Context) error {
		if err := k.Sessions.EndSession(ctx, s.ID, now); err != nil {
			return err
		}
		if err := k.Grants.RevokeGrants(ctx, broker.GrantFilter{Session: s.ID}, broker.Revoked, now); err != nil {
			return err
		}
		return k.AuditLog.Record(ctx, k.Event(r, broker.Event{Verb: broker.EventSignedOut, Account: s.AccountID,
			Actor: s.AccountID, Session: s.ID}))
	})
	if err != nil {
		return err
	}
	k.setCookie(w, cookieSession, "", 0)
	return nil
}

// Event completes an event with its id, its time and the origin of the request.
func (k *Toolkit) Event(r *http.Request, e broker.Event) broker.Event {
	e.ID, e.At = broker.NewID(), k.Now()
	e.Address, e.UserAgent = k.Address(r), cut(r.UserAgent(), 256)
	return e
}

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return toValid(s)
}
