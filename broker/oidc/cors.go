package oidc

import (
	"net/http"
	"net/url"
	"strings"

	"gatehouse/broker"
)

// preflight answers for the routes that a page of another origin may call, none of
// which acts on a cookie. It cannot know the client yet, so it lets every origin
// try; allowOrigin decides who may read the answer.
func preflight(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	h.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin lets a page read the answer where its origin has a redirect URI of
// the client (DESIGN.md §7). Credentials are never allowed.
func (d *Handler) allowOrigin(w http.ResponseWriter, r *http.Request, c broker.Client) {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && strings.EqualFold(u.Scheme+"://"+u.Host, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate")
			return
		}
	}
}
