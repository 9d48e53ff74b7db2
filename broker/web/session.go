package web

import (
	"context"
	"encoding/base32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/broker"
)

// Current returns the session of the request and its account, if the gate admits them to the app client; client is
// empty for our own pages. See access.Gate.Session.
func (k *Toolkit) Current(r *http.Request, client string) (broker.Session, broker.Account, error) {
	return k.Gate.Session(r.Context(), k.SessionHashes(r), client)
}

// Held returns the session of the request, whether or not the gate admits it. See access.Gate.HeldSession.
func (k *Toolkit) Held(r *http.Request) (broker.Session, broker.Account, error) {
	return k.Gate.HeldSession(r.Context(), k.SessionHashes(r))
}

// SessionHashes are the keyed hashes of the request's session cookie; none without one.
func (k *Toolkit) SessionHashes(r *http.Request) []string {
	value := k.token(r, cookieSession)
	if value == "" {
		return nil
	}
	return k.Keyring.Hashes(hashSession, []byte(value))
}

// NewSession derives a session's token, for SetSession, and the keyed hash that it is stored under. The same
// proof gives the same token, so that a retry after a crash finds its session. Without the keyring no token can
// be derived, and each proof has its own, so a planted token is useless (SECURITY.md E13).
func (k *Toolkit) NewSession(proof []byte) (token, hash string) {
	_, mac := k.Keyring.MAC("session token", proof)
	token = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac) // looks like broker.NewToken
	return token, k.Keyring.Hash(hashSession, []byte(token))
}

// SetSession sends the session cookie, after the row is committed.
func (k *Toolkit) SetSession(w http.ResponseWriter, token string, expires time.Time) {
	k.setCookie(w, cookieSession, token, expires.Sub(k.Now()))
}

// EndSession ends a session and the grants created under it, records an event, and clears the cookie.
func (k *Toolkit) EndSession(w http.ResponseWriter, r *http.Request, s broker.Session) error {
	if err := k.end(r, broker.Event{Account: s.AccountID, Actor: s.AccountID, Session: s.ID}); err != nil {
		return err
	}
	k.setCookie(w, cookieSession, "", 0)
	return nil
}

// EndSessionFor ends a session of the account on behalf of a client, in whichever browser it is. It does nothing if
// the account has no such session, or if it has ended.
func (k *Toolkit) EndSessionFor(r *http.Request, client, account, id string) error {
	all, err := k.Store.SessionsOf(r.Context(), account)
	active := func(s broker.Session) bool { return s.ID == id && s.EndedAt.IsZero() }
	if err != nil || !slices.ContainsFunc(all, active) {
		return err
	}
	return k.end(r, broker.Event{Account: account, Client: client, Session: id})
}

func (k *Toolkit) end(r *http.Request, e broker.Event) error {
	now := k.Now()
	e.Verb = broker.EventSignedOut
	return k.Store.Atomic(r.Context(), func(ctx context.Context) error {
		if err := k.Store.EndSession(ctx, e.Session, now); err != nil {
			return err
		}
		if err := k.Store.RevokeGrants(ctx, broker.GrantFilter{Session: e.Session}, broker.Revoked, now); err != nil {
			return err
		}
		return k.Store.Record(ctx, k.Event(r, e))
	})
}

// maxUserAgent is the longest user agent that is stored, in bytes.
const maxUserAgent = 256

// Event completes an event with its id, its time and the origin of the request.
func (k *Toolkit) Event(r *http.Request, e broker.Event) broker.Event {
	e.ID, e.At = broker.NewID(), k.Now()
	agent := r.UserAgent()
	e.Address, e.UserAgent = k.Address(r), strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "")
	return e
}

// maxKnown is the number of accounts that a browser's cookie remembers.
const maxKnown = 8

// Known reports whether this browser has signed in to the account since its AuthEpoch last changed. Use it only
// to separate budgets of tries.
func (k *Toolkit) Known(r *http.Request, a broker.Account) bool {
	browser := k.token(r, cookieBrowser)
	if browser == "" {
		return false
	}
	key := knownBrowserKey(browser, a)
	return slices.ContainsFunc(k.knownTo(r), func(hash string) bool { return k.Keyring.Same(hash, hashKnown, key) })
}

// SetKnown remembers a sign-in for half a year, across sign-outs. The cookie holds a keyed hash per account,
// which reveals no account and is useless in another browser.
func (k *Toolkit) SetKnown(w http.ResponseWriter, r *http.Request, a broker.Account) {
	browser := k.token(r, cookieBrowser)
	if browser == "" {
		return
	}
	key := knownBrowserKey(browser, a)
	others := slices.DeleteFunc(k.knownTo(r), func(hash string) bool { return k.Keyring.Same(hash, hashKnown, key) })
	entries := append([]string{k.Keyring.Hash(hashKnown, key)}, others[:min(len(others), maxKnown-1)]...)
	k.setCookie(w, cookieKnown, strings.Join(entries, "~"), halfYear)
}

// knownBrowserKey includes the epoch, so that a password change clears all known browsers.
func knownBrowserKey(browser string, a broker.Account) []byte {
	return []byte(a.ID + " " +
		//defence:E2
		strconv.FormatInt(a.AuthEpoch, 10) + " " +
		//defence:E2
		browser)
}

// knownTo returns the entries of the cookie, newest first.
func (k *Toolkit) knownTo(r *http.Request) []string {
	v := k.cookie(r, cookieKnown)
	if v == "" || len(v) > 1024 || strings.Trim(v,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~") != "" {
		return nil
	}
	entries := strings.Split(v, "~")
	return entries[:min(len(entries), maxKnown)]
}
