package oidc

import (
	"net/http"
	"net/url"
	"strings"

	"gatehouse/broker"
)

// preflight responds for the routes that pages of other origins may call; none of them reads a cookie. The
// client is not known yet, so every origin and every header passes. allowOrigin decides which origin may read the
// response.
func preflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	headers := "Authorization, Content-Type, DPoP"
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && len(asked) <= maxValue {
		headers = asked // "*" would not include Authorization
	}
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowError lets a page read an error. The page of a known client must have its origin. An error of an unknown
// client has no data of anyone, so any page may read it.
func (d *Handler) allowError(w http.ResponseWriter, r *http.Request, c broker.Client) {
	if d.allowOrigin(w, r, c); c.ID == "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	}
}

// allowOrigin lets a page read the response if its origin has a redirect URI of the client (DESIGN.md §7).
// Credentials are never allowed.
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
