package web

import (
	"context"
	"net/http"
	"strings"
)

func toValid(s string) string { return strings.ToValidUTF8(s, "") }

// Locale is the language of the answer: the switch in this request (lang), the
// request's ui_locales, what WithLocale was told, the cookie, Accept-Language,
// then the first that is offered (UX.md §2.5).
func (k *Kit) Locale(r *http.Request) string {
	told, _ := r.Context().Value(keyLocales).([]string)
	query := r.URL.Query()
	wishes := append([]string{query.Get("lang"), query.Get("ui_locales")}, told...)
	wishes = append(wishes, cookie(r, cookieLang), r.Header.Get("Accept-Language"))
	if lang := k.Texts.Match(wishes...); lang != "" {
		return lang
	}
	return k.Texts.Printer("").Lang()
}

// WithLocale tells Locale what is known of the person, the weightier first: what
// was chosen in the login or asked for with ui_locales, then the account's language.
func (k *Kit) WithLocale(r *http.Request, chosen ...string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), keyLocales, chosen))
}

// Switched is the language that the person just chose with a link of ours, for
// the room to keep in its login.
func (k *Kit) Switched(r *http.Request) (lang string, ok bool) {
	if r.Method != http.MethodGet {
		return "", false
	}
	lang = k.Texts.Match(r.FormValue("lang"))
	return lang, lang != ""
}

// rememberLanguage keeps an explicit choice in the browser.
func (k *Kit) rememberLanguage(w http.ResponseWriter, r *http.Request) {
	if lang, ok := k.Switched(r); ok {
		k.setCookie(w, cookieLang, lang, halfYear)
	}
}

// WithSelf tells the layout where this page lives, for the language links of a
// page that answers a POST. The path must be one of ours.
func (k *Kit) WithSelf(r *http.Request, path string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), keySelf, path))
}
