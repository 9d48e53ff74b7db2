package web

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"gatehouse/broker"
)

// The cookies, without the prefix that cookieName adds.
//
// Set cookies on responses to GETs only. A cross-site POST carries no Lax cookie, so its response could overwrite a
// cookie that the browser has.
const (
	cookieBrowser = "gh_browser"
	cookieSession = "gh_session"
	cookieLang    = "gh_lang"
	cookieLast    = "gh_last"
	cookieKnown   = "gh_known"
	cookiePick    = "gh_pick"
)

const pickLife = 24 * time.Hour

// The purposes of the keyed hashes of cookie values.
const (
	hashBrowser = "browser"
	hashSession = "session"
	hashKnown   = "known"
)

const halfYear = 180 * 24 * time.Hour

// cookieName returns the name of a cookie in the browser. The __Host- prefix prevents a subdomain or a plain-http page
// from setting it (RFC 6265bis §4.1.3.2). WebKit drops cookies with the prefix, and Secure ones, on plain http, so an
// http issuer, which is on a loopback host, uses neither.
func (k *Toolkit) cookieName(name string) string {
	//defence:E14
	if k.Secure() {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie for life, or clears it if life is not positive.
func (k *Toolkit) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: k.cookieName(name), Value: value, Path: "/", SameSite: http.SameSiteLaxMode,
		//defence:E14
		Secure: k.Secure(),
		//defence:E14
		HttpOnly: true}
	if life > 0 {
		c.MaxAge = int(life / time.Second)
		c.Expires = k.Now().Add(life)
	} else {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// cookie returns the value of a cookie. A name that occurs twice was planted and counts as absent.
func (k *Toolkit) cookie(r *http.Request, name string) string {
	found := r.CookiesNamed(k.cookieName(name))
	if len(found) == 0 ||
		//defence:E14
		len(found) > 1 {
		return ""
	}
	return found[0].Value
}

// token returns the token in a cookie, or "" if the value is malformed.
func (k *Toolkit) token(r *http.Request, name string) string {
	v := k.cookie(r, name)
	if len(v) != 2*26 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return ""
	}
	return v
}

// Browser returns the keyed hashes of the browser key, the newest key's first. ok is false if the browser has no
// key yet.
func (k *Toolkit) Browser(r *http.Request) (hashes []string, ok bool) {
	key := k.token(r, cookieBrowser)
	if key == "" {
		return nil, false
	}
	return k.Keyring.Hashes(hashBrowser, []byte(key)), true
}

// EnsureBrowser returns the keyed hash of the browser key. If there is none, it sets one on a GET and returns ""
// on any other method.
func (k *Toolkit) EnsureBrowser(w http.ResponseWriter, r *http.Request) (hash string) {
	key := k.token(r, cookieBrowser)
	if key == "" {
		//defence:E14
		if r.Method != http.MethodGet {
			return ""
		}
		key = broker.NewToken()
		k.setCookie(w, cookieBrowser, key, halfYear)
	}
	return k.Keyring.Hash(hashBrowser, []byte(key))
}

// LastUsed returns the id of the connection that this browser last signed in with, or "". The browser can forge
// it: use it for display only.
func (k *Toolkit) LastUsed(r *http.Request) string {
	v := k.cookie(r, cookieLast)
	if len(v) > 64 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return ""
	}
	return v
}

// SetLastUsed stores the id of a connection in the browser for half a year, after a sign-in.
func (k *Toolkit) SetLastUsed(w http.ResponseWriter, connection string) {
	k.setCookie(w, cookieLast, connection, halfYear)
}

// AskForAccount makes the next upstream request ask which account to use. Call it at a sign-out, so that the next
// person on a shared computer is not signed in as this one.
func (k *Toolkit) AskForAccount(w http.ResponseWriter) { k.setCookie(w, cookiePick, "1", pickLife) }

// AsksForAccount reports whether AskForAccount was called for this browser since DontAskForAccount.
func (k *Toolkit) AsksForAccount(r *http.Request) bool { return k.cookie(r, cookiePick) != "" }

// DontAskForAccount ends the effect of AskForAccount.
func (k *Toolkit) DontAskForAccount(w http.ResponseWriter) { k.setCookie(w, cookiePick, "", 0) }

// Locale returns the language of the response. It takes the first of: the language link in this request (lang),
// ui_locales, WithLocale, the cookie, Accept-Language, the default (UX.md §2.5).
func (k *Toolkit) Locale(r *http.Request) string {
	told, _ := r.Context().Value(keyLocales).([]string)
	query := r.URL.Query()
	choices := append([]string{query.Get("lang"), query.Get("ui_locales")}, told...)
	choices = append(choices, k.cookie(r, cookieLang), r.Header.Get("Accept-Language"))
	return cmp.Or(k.Texts.Match(choices...), k.Texts.Default())
}

// WithLocale adds languages for Locale to choose from, in order of priority: one chosen in the login or with
// ui_locales, then the account's.
func (k *Toolkit) WithLocale(r *http.Request, chosen ...string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), keyLocales, chosen))
}

// Switched returns the language that the person just chose with a language link, so that the handler can store
// it in its login.
func (k *Toolkit) Switched(r *http.Request) (lang string, ok bool) {
	if r.Method != http.MethodGet {
		return "", false
	}
	if lang = r.FormValue("lang"); lang != "" {
		lang = k.Texts.Match(lang)
	}
	return lang, lang != ""
}

// WithSelf sets the address of this page for the language links of a page that responds to a POST. The path must
// be one of ours.
func (k *Toolkit) WithSelf(r *http.Request, path string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), keySelf, path))
}
