package web

import (
	"context"
	"encoding/base32"
	"errors"
	"net/http"
	"time"

	"gatehouse/broker"
)

// Current is the session of the request and its account, admitted anew. It
// answers NotFound where there is none that lives, what Admit says where it may
// not go on, and any other error where storage fails.
func (k *Kit) Current(r *http.Request) (broker.Session, broker.Account, error) {
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

// Held is the session of the request's cookie, whatever the gate says of it; NotFound
// where it has ended or there is none. It is for ending it: one that may not be used
// now, since its connection is off, would live again with the connection.
func (k *Kit) Held(r *http.Request) (broker.Session, broker.Account, error) {
	value := token(r, cookieSession)
	if value == "" {
		return broker.Session{}, broker.Account{}, broker.NotFound
	}
	s, a, err := k.Sessions.Session(r.Context(), k.Ring.Hashes(hashSession, []byte(value)))
	//defence:E16
	if err == nil && (!s.EndedAt.IsZero() || !k.Now().Before(s.ExpiresAt)) {
		err = broker.NotFound
	}
	return s, a, err
}

// NewSession makes the token of the session that a proof is worth, for
// SetSession, and the keyed hash under which the session is stored. The same
// proof gives the same token, so that a retry after a crash finds the session it
// made; nobody without the keyring can make it, and a new proof always gets a new
// one, so a planted token is worth nothing (SECURITY.md E13).
func (k *Kit) NewSession(proof []byte) (token, hash string) {
	_, mac := k.Ring.MAC("session token", proof)
	token = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac) // looks as broker.NewToken
	return token, k.Ring.Hash(hashSession, []byte(token))
}

// SetSession hands the browser its session, after the row is committed.
func (k *Kit) SetSession(w http.ResponseWriter, token string, expires time.Time) {
	k.setCookie(w, cookieSession, token, expires.Sub(k.Now()))
}

// EndSession ends a session with everything that was given out under it, tells
// the audit log, and takes the cookie back.
func (k *Kit) EndSession(w http.ResponseWriter, r *http.Request, s broker.Session) error {
	now := k.Now()
	err := k.Atomic.Atomic(r.Context(), func(ctx context.Context) error {
		if err := k.Sessions.EndSession(ctx, s.ID, now); err != nil {
			return err
		}
		if err := k.Families.EndFamilies(ctx, broker.FamilyFilter{Session: s.ID}, broker.Revoked, now); err != nil {
			return err
		}
		return k.Journal.Record(ctx, k.Event(r, broker.Event{Verb: broker.EventSignedOut, Account: s.AccountID, Actor: s.AccountID, Session: s.ID}))
	})
	if err != nil {
		return err
	}
	k.setCookie(w, cookieSession, "", 0)
	return nil
}

// Event completes an event with its id, its moment and where the request came from.
func (k *Kit) Event(r *http.Request, e broker.Event) broker.Event {
	e.ID, e.At = broker.NewID(), k.Now()
	e.Address, e.UserAgent = k.Address(r), cut(r.UserAgent(), 256)
	return e
}

// cut shortens to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return toValid(s)
}
