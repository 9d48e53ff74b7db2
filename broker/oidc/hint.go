package oidc

import (
	"encoding/json"
	"errors"
)

// hint holds the used claims of an id_token_hint.
type hint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// errHint is returned for a hint that this issuer did not sign or no longer accepts.
var errHint = errors.New("oidc: id_token_hint is not an ID token of this issuer")

// readHint verifies an ID token of this issuer with the key that its header names. An expired one is accepted
// (OIDC RP-Initiated Logout §2): it names a person but grants nothing.
func (d *Handler) readHint(token string) (hint, error) {
	var h hint
	_, body, err := d.keys.Verify(token, typJWT)
	if err != nil {
		return h, errHint
	}
	if err := json.Unmarshal(body, &h); err != nil ||
		//defence:A11
		h.Issuer != d.issuer || h.Subject == "" || h.Audience == "" {
		return hint{}, errHint
	}
	return h, nil
}
