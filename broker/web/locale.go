package web

import (
	"context"
	"net/http"
	"strings"
)

func toValid(s string) string { return strings.ToValidUTF8(s, "") }

// Locale returns the language of the response. It takes the first of: the language link in this request (lang),
// ui_locales, WithLocale, the cookie, Accept-Language, the default (UX.md §2.5).
func (k *Toolkit) Locale(r *http.Request) string {
	told, _ := r.Context().Value(keyLocales).([]string)
	query := r.URL.Query()
	wishes := append([]string{query.Get("lang"), query.Get("ui_locales")}, told...)
	wishes = append(wishes, cookie(r, cookieLang), r.Header.Get("Accept-Language"))
	if lang := k.Texts.Match(wishes...); lang != "" {
		return lang
	}
	return k.Texts.Printer("").Lang()
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
	lang = k.Texts.Match(r.FormValue("lang"))
	return lang, lang != ""
}

// rememberLanguage stores an explicit choice in a cookie.
func (k *Toolkit) rememberLanguage(w http.ResponseWriter, r *http.Request) {
	if lang, ok := k.Switched(r); ok {
		k.setCookie(w, cookieLang, lang, halfYear)
	}
}

// WithSelf sets the address of this page for the language links of a page that responds to a POST. The path must
// be one of ours.
func (k *Toolkit) WithSelf(r *http.Request, path string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), keySelf, path))
}
