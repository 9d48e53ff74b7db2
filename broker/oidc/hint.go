package oidc

import (
	"encoding/json"
	"errors"
)

// hint is what we read of an ID token that comes back as id_token_hint.
type hint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// errHint is the answer for a hint that we did not sign, or no longer stand by.
var errHint = errors.New("oidc: id_token_hint is not an ID token of ours")

// readHint verifies an ID token of ours by whichever key signed it. An expired
// one is good (OIDC RP-Initiated Logout §2): it names a person, it opens nothing.
func (d *Handler) readHint(token string) (hint, error) {
	var h hint
	_, body, err := d.keys.Verify(token, typJWT)
	if err != nil {
		return h, errHint
	}
	//defence:A11
	if err := json.Unmarshal(body, &h); err != nil || h.Issuer != d.issuer || h.Subject == "" || h.Audience == "" {
		return hint{}, errHint
	}
	return h, nil
}
