package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/broker"
)

// maxKnown is the number of accounts that a browser's cookie remembers.
const maxKnown = 8

// Known reports whether this browser has signed in to the account since its AuthEpoch last changed. Use it only
// to separate budgets of tries.
func (k *Toolkit) Known(r *http.Request, a broker.Account) bool {
	browser := token(r, cookieBrowser)
	if browser == "" {
		return false
	}
	return slices.ContainsFunc(knownTo(r), k.isKnown(browser, a))
}

// SetKnown remembers a sign-in for half a year, across sign-outs. The cookie holds a keyed hash per account,
// which reveals no account and is useless in another browser.
func (k *Toolkit) SetKnown(w http.ResponseWriter, r *http.Request, a broker.Account) {
	browser := token(r, cookieBrowser)
	if browser == "" {
		return
	}
	others := slices.DeleteFunc(knownTo(r), k.isKnown(browser, a))
	entries := append([]string{k.Ring.Hash(hashKnown, knownBrowserKey(browser, a))},
		others[:min(len(others), maxKnown-1)]...)
	k.setCookie(w, cookieKnown, strings.Join(entries, "~"), halfYear)
}

func (k *Toolkit) isKnown(browser string, a broker.Account) func(hash string) bool {
	value := knownBrowserKey(browser, a)
	return func(hash string) bool { return k.Ring.Same(hash, hashKnown, value) }
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
func knownTo(r *http.Request) []string {
	v := cookie(r, cookieKnown)
	if v == "" || len(v) > 1024 || strings.Trim(v,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~") != "" {
		return nil
	}
	entries := strings.Split(v, "~")
	return entries[:min(len(entries), maxKnown)]
}
