package web

import (
	"net/http"
	"strings"
	"time"

	"gatehouse/broker"
)

// The cookies. The __Host- prefix keeps a subdomain or plain http from planting
// them (RFC 6265bis §4.1.3.2); browsers treat http://localhost as trustworthy, so
// they are Secure there as well.
//
// A cookie is set on answers to GETs: a POST that comes from another site carries
// no Lax cookie, so the answer to it would overwrite what it could not see.
const (
	cookieBrowser = "__Host-gh_browser"
	cookieSession = "__Host-gh_session"
	cookieLang    = "__Host-gh_lang"
	cookieLast    = "__Host-gh_last"
	cookieKnown   = "__Host-gh_known"
)

// The purposes under which what they hold is hashed.
const (
	hashBrowser = "browser"
	hashSession = "session"
	hashKnown   = "known"
)

const halfYear = 180 * 24 * time.Hour

// setCookie sets a cookie for life, or clears it where life is not positive.
func (k *Kit) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	//defence:E14
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if life > 0 {
		c.MaxAge = int(life / time.Second)
		c.Expires = k.Now().Add(life)
	} else {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// cookie returns a value that only this origin can have set; a name that arrives
// twice was planted by somebody and counts as none.
func cookie(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	//defence:E14
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// token reads a cookie that holds one of our tokens; anything else is no token.
func token(r *http.Request, name string) string {
	v := cookie(r, name)
	if len(v) != 2*26 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return ""
	}
	return v
}

// Browser returns the keyed hashes of the browser key, the newest key's first;
// ok is false for a browser that has none yet.
func (k *Kit) Browser(r *http.Request) (hashes []string, ok bool) {
	key := token(r, cookieBrowser)
	if key == "" {
		return nil, false
	}
	return k.Ring.Hashes(hashBrowser, []byte(key)), true
}

// EnsureBrowser returns the keyed hash of the browser key. On a GET it gives the
// browser a key where it has none; on any other method it returns "" then.
func (k *Kit) EnsureBrowser(w http.ResponseWriter, r *http.Request) (hash string) {
	key := token(r, cookieBrowser)
	if key == "" {
		//defence:E14
		if r.Method != http.MethodGet {
			return ""
		}
		key = broker.NewToken()
		k.setCookie(w, cookieBrowser, key, halfYear)
	}
	return k.Ring.Hash(hashBrowser, []byte(key))
}

// LastUsed is the id of the connection this browser signed in with last, or "".
// It comes from the browser: compare it, and trust it with nothing.
func (k *Kit) LastUsed(r *http.Request) string {
	v := cookie(r, cookieLast)
	if len(v) > 64 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return ""
	}
	return v
}

// SetLastUsed remembers a connection's id in the browser for half a year, after a success.
func (k *Kit) SetLastUsed(w http.ResponseWriter, connection string) {
	k.setCookie(w, cookieLast, connection, halfYear)
}
