package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/admin"
	"gatehouse/providers"
)

// explanation is a decision with everything it rests on.
type explanation struct {
	Connection  string                 `json:"connection"`
	Issuer      string                 `json:"issuer,omitempty"`
	Subject     string                 `json:"subject,omitempty"`
	Email       string                 `json:"email,omitempty"`
	Level       string                 `json:"level,omitempty"`
	UserType    string                 `json:"user_type,omitempty"`
	Account     string                 `json:"account,omitempty"`
	Restriction *admin.RestrictionView `json:"restriction,omitempty"`
	Outcome     string                 `json:"outcome,omitempty"`
	Because     string                 `json:"because,omitempty"`
	Proof       []string               `json:"proofs,omitempty"`
	Step        string                 `json:"step,omitempty"`
	Refused     string                 `json:"refused,omitempty"`
	Cause       string                 `json:"cause,omitempty"`
}

type explainCmd struct {
	Connection string `required:"" placeholder:"ID" help:"Id of the connection."`
	Claims     string `required:"" placeholder:"FILE" help:"Claims as JSON: an ID token's payload, or the provider's userinfo. - for standard input."`
	Account    string `placeholder:"EMAIL|ID" help:"A signed-in account that asks for the link from its account page."`
}

func (c *explainCmd) Run(ctx context.Context, t *tool) error {
	raw, err := t.claims(c.Claims)
	if err != nil {
		return err
	}
	h, err := t.open(ctx)
	if err != nil {
		return err
	}
	connection, err := h.store.Connection(ctx, c.Connection)
	if errors.Is(err, broker.NotFound) {
		return fmt.Errorf("there is no connection %q; see connections list", c.Connection)
	}
	if err != nil {
		return err
	}
	e := explanation{Connection: connection.ID}
	claims, err := providers.Read(connection, raw)
	if code, ok := errors.AsType[broker.Code](err); ok {
		e.Refused, e.Cause = string(code), err.Error()
		return t.explained(e)
	}
	if err != nil {
		return fmt.Errorf("--claims: %w", err)
	}
	l := broker.Login{Claims: &claims, ExpiresAt: h.now().Add(broker.LoginLife)}
	var acting *broker.Account
	if c.Account != "" {
		a, err := t.findAccount(ctx, c.Account)
		if err != nil {
			return err
		}
		l.Purpose, l.For, acting = broker.PurposeLink, a.ID, &a
	}
	d, err := h.gate().Explain(ctx, l, acting)
	if err != nil {
		return err
	}
	e.tell(claims, d)
	return t.explained(e)
}

// maxClaims is the largest file of claims in bytes.
const maxClaims = 64 << 10

func (t *tool) claims(file string) ([]byte, error) {
	in := t.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--claims: %w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxClaims+1))
	if err == nil && len(raw) > maxClaims {
		err = errors.New("more than 64 KiB")
	}
	if err != nil {
		return nil, fmt.Errorf("--claims: %w", err)
	}
	return raw, nil
}

var levels = map[broker.Level]string{
	broker.None:               "none: no address",
	broker.EmailAsserted:      "L1: asserted, and nobody checked it",
	broker.EmailVerified:      "L2: the provider verified it",
	broker.EmailAuthoritative: "L3: the provider is the authority for this domain",
}

// tell writes down what the rules say.
func (e *explanation) tell(c broker.Claims, d access.Decision) {
	e.Issuer, e.Subject, e.Email, e.Level, e.UserType = c.Issuer, c.Subject, c.Email, levels[c.Level], string(c.UserType)
	for _, a := range []*broker.Account{d.Facts.Linked, d.Facts.Owner, d.Facts.Acting} {
		if a != nil {
			e.Account, e.Restriction = a.Email, admin.ViewRestriction(a.Restriction)
			break
		}
	}
	e.Outcome, e.Because, e.Proof = string(d.Outcome), d.Because, named(d.Proof)
	e.Step = string(d.Step)
	if d.No != nil {
		e.Refused = string(broker.CodeOf(d.No))
	}
}

func named(p broker.LinkProof) []string {
	var all []string
	for _, proof := range []struct {
		asked bool
		name  string
	}{{p.Password, "the account's password"}, {p.Code && !p.Other, "a code mailed to the account"},
		{p.Other, "a code mailed to the account, or another of its identities"}, {p.Factor, "the second factor"}} {
		if proof.asked {
			all = append(all, proof.name)
		}
	}
	return all
}

func (t *tool) explained(e explanation) error {
	return t.print(e, func(w io.Writer) {
		lines := [][2]string{{"connection", e.Connection}, {"identity", strings.TrimSpace(e.Issuer + " " + e.Subject)}, {"address", e.Email}, {"level", e.Level},
			{"user type", e.UserType}, {"account", e.Account}, {"decision", e.Outcome}, {"because", e.Because}, {"the owner gives", strings.Join(e.Proof, " and ")}, {"next page", e.Step}}
		if e.Restriction != nil {
			lines = slices.Insert(lines, 6, [2]string{"restriction", restrictionText(e.Restriction)})
		}
		if e.Refused != "" {
			lines = append(lines, [2]string{"refused", e.Refused}, [2]string{"cause", e.Cause})
		}
		for _, l := range lines {
			if l[1] != "" {
				row(w, l[0], l[1])
			}
		}
	})
}
