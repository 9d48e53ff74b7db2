package oidc

import (
	"net/http"

	"gatehouse/broker"
)

// front is the view of the page at the issuer itself.
type front struct {
	Account   string
	Discovery string
}

// frontPage is shown when the issuer is opened in a browser. It links to the account, and to discovery for app
// developers.
func (d *Handler) frontPage(w http.ResponseWriter, r *http.Request) error {
	d.pages.Show(w, r, http.StatusOK, "front", front{Account: broker.AccountPath, Discovery: d.issuer + pathConfiguration})
	return nil
}
