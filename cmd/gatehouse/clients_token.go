package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// registrationToken makes an initial access token (RFC 7591 §1.2). It is printed
// once and kept nowhere; a row is written when it is consumed.
func registrationToken(fs *flag.FlagSet) action {
	life := fs.Duration("life", time.Hour, "how long it is good")
	uses := fs.Int("uses", 1, "how many apps it registers")
	return func(ctx context.Context, t *tool, _ []string) error {
		if *life < time.Second || *life > clients.MaxRegistrationToken {
			return misuse(fmt.Sprintf("--life: from a second to %d days", clients.MaxRegistrationToken/(24*time.Hour)))
		}
		if *uses < 1 || *uses > clients.MaxRegistrations {
			return misuse(fmt.Sprintf("--uses: from 1 to %d", clients.MaxRegistrations))
		}
		h, err := t.open(ctx)
		if err != nil {
			return err
		}
		if !h.cfg.ClientRegistration {
			return errors.New("apps do not register themselves here: set client_registration: true in the configuration first")
		}
		expires := h.now().Add(*life).UTC().Truncate(time.Second)
		token, err := clients.NewInitialToken(h.ring, expires, *uses)
		if err != nil {
			return err
		}
		err = h.record(ctx, broker.Event{Verb: broker.EventClientChanged, Detail: map[string]string{"change": "registration token", "uses": strconv.Itoa(*uses),
			"expires": expires.Format(time.RFC3339)}})
		if err != nil {
			return err
		}
		view := struct {
			Token    string    `json:"initial_access_token"`
			Endpoint string    `json:"registration_endpoint"`
			Uses     int       `json:"uses"`
			Expires  time.Time `json:"expires_at"`
		}{token.Reveal(), h.cfg.Issuer + "/register", *uses, expires}
		return t.print(view, func(w io.Writer) {
			row(w, "token", view.Token)
			row(w, "endpoint", view.Endpoint)
			row(w, "uses", strconv.Itoa(view.Uses))
			row(w, "expires", view.Expires.Format(time.RFC3339))
		})
	}
}
