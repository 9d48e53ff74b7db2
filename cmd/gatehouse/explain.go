package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gatehouse/broker/admin"
)

type explainCmd struct {
	Connection string `required:"" placeholder:"ID" help:"Id of the connection."`
	Claims     string `required:"" placeholder:"FILE" help:"Claims as JSON, - for standard input: an ID token's payload, or userinfo."`
	Account    string `placeholder:"EMAIL|ID" help:"A signed-in account that asks for the link from its account page."`
}

// maxClaims is the largest file of claims in bytes.
const maxClaims = 64 << 10

func (c *explainCmd) Run(ctx context.Context, t *tool) error {
	claims, _, err := t.read(ctx, c.Claims, "claims", maxClaims)
	if err == nil && len(claims) > maxClaims {
		err = fmt.Errorf("more than %d KiB", maxClaims>>10)
	}
	if err != nil {
		return fmt.Errorf("--claims: %w", err)
	}
	s, err := t.admin(ctx)
	if err != nil {
		return err
	}
	e, err := s.Explain(ctx, t.actor(), admin.Explain{Connection: c.Connection, Claims: claims, Account: c.Account})
	if err != nil {
		return err
	}
	return t.print(e, func(w io.Writer) {
		restriction := ""
		if e.Restriction != nil {
			restriction = restrictionText(e.Restriction)
		}
		identity := strings.TrimSpace(e.Issuer + " " + e.Subject)
		for _, l := range [][2]string{{"connection", e.Connection}, {"identity", identity},
			{"address", e.Email}, {"level", e.Level}, {"user type", e.UserType}, {"account", e.Account},
			{"restriction", restriction},
			{"decision", e.Outcome}, {"because", e.Because}, {"the owner gives", strings.Join(e.Proof, " and ")},
			{"next page", e.Step}, {"refused", e.Refused}, {"cause", e.Cause}} {
			if l[1] != "" {
				row(w, l[0], l[1])
			}
		}
	})
}
