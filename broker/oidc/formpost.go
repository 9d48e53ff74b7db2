package oidc

import (
	"net/http"
	"net/url"
	"strings"
)

// The response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post §2).
const (
	modeQuery = "query"
	modePost  = "form_post"
)

func responseModes() []string { return []string{modeQuery, modePost} }

// web reports whether the response goes to a web address, not to a custom scheme.
func (q *request) web() bool {
	scheme, _, _ := strings.Cut(q.redirect, ":")
	return scheme == "https" || scheme == "http"
}

// postable reports whether a form can be posted there: a policy cannot name an IPv6 address, so our page could
// not post to it.
func (q *request) postable() bool {
	//defence:A3 A4 = true
	return q.web() && !strings.Contains(q.redirect, "[")
}

// answer redirects the browser to the app. A custom scheme needs the person's click (UX.md E-30), and form_post
// a page with a form.
func (d *Handler) answer(w http.ResponseWriter, r *http.Request, q *request, params url.Values) {
	if q.posted || !q.web() {
		d.handOff(w, r, q, params)
		return
	}
	seeOther(w, withQuery(q.redirect, d.complete(q, params)))
}

// handOff is answer with a page, also after a POST.
func (d *Handler) handOff(w http.ResponseWriter, r *http.Request, q *request, params url.Values) {
	r = d.toolkit.WithLocale(r, q.form.Get("ui_locales"))
	params = d.complete(q, params)
	if q.posted {
		d.toolkit.PostOff(w, r, q.redirect, params, q.client.Name)
		return
	}
	d.toolkit.HandOff(w, r, withQuery(q.redirect, params), q.client.Name)
}

// complete adds the parameters of every response: iss (RFC 9207), and the app's state.
func (d *Handler) complete(q *request, params url.Values) url.Values {
	//defence:A8
	params.Set("iss", d.issuer)
	if q.state != "" {
		params.Set("state", q.state)
	}
	return params
}
