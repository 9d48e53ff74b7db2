package oidc

import (
	"net/http"

	"gatehouse/broker"
)

// front is what the page at the issuer itself shows.
type front struct {
	Account   string
	Discovery string
}

// frontPage greets whoever types the issuer into a browser: a person goes to their
// account, an app developer finds where to begin.
func (d *Handler) frontPage(w http.ResponseWriter, r *http.Request) error {
	d.pages.Show(w, r, http.StatusOK, "front", front{Account: broker.AccountPath, Discovery: d.issuer + pathConfiguration})
	return nil
}
