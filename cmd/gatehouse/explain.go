package main

import (
	"context"
	"fmt"

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
	return t.show(e)
}
