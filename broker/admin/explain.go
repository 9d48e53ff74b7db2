package admin

import (
	"context"
	"errors"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/providers"
)

// Explain is the input of Service.Explain.
type Explain struct {
	Connection string // id
	Claims     []byte // JSON: an ID token's payload, or the provider's userinfo
	// Account is an account, by e-mail address or id, that is signed in and asks for the link
	// from its account page; empty for a sign-in.
	Account string
}

// Explanation is the outcome of a sign-in with the claims, and the reasons for it.
type Explanation struct {
	Connection  string           `json:"connection"`
	Issuer      string           `json:"issuer,omitempty"`
	Subject     string           `json:"subject,omitempty"`
	Email       string           `json:"email,omitempty"`
	Level       string           `json:"level,omitempty"`
	UserType    string           `json:"user_type,omitempty"`
	Account     string           `json:"account,omitempty"`
	Restriction *RestrictionView `json:"restriction,omitempty"`
	Outcome     string           `json:"outcome,omitempty"`
	Because     string           `json:"because,omitempty"`
	Proof       []string         `json:"proofs,omitempty"`
	Step        string           `json:"step,omitempty"`
	Refused     string           `json:"refused,omitempty"`
	Cause       string           `json:"cause,omitempty"`
}

// Explain asks the rules of a sign-in about a person who comes back from a provider with
// these claims. It changes nothing.
func (s *Service) Explain(ctx context.Context, actor Actor, in Explain) (e Explanation, _ error) {
	c, err := s.connection(ctx, in.Connection)
	if err != nil {
		return e, err
	}
	e.Connection = c.ID
	claims, err := providers.Read(c, in.Claims)
	if code, ok := errors.AsType[broker.Code](err); ok {
		e.Refused, e.Cause = string(code), err.Error()
		return e, nil
	}
	if err != nil {
		return e, invalid("claims", "%v", err)
	}
	l := broker.Login{Claims: &claims, ExpiresAt: s.Now().Add(broker.LoginLife)}
	var acting *broker.Account
	if in.Account != "" {
		a, err := s.account(ctx, in.Account)
		if err != nil {
			return e, err
		}
		l.Purpose, l.For, acting = broker.PurposeLink, a.ID, &a
	}
	d, err := s.Gate.Explain(ctx, l, acting)
	if err == nil {
		e.fill(claims, d)
	}
	return e, err
}

// fill writes down what the rules say.
func (e *Explanation) fill(c broker.Claims, d access.Decision) {
	e.Issuer, e.Subject, e.Email = c.Issuer, c.Subject, c.Email
	e.Level, e.UserType = levelText(c.Level), string(c.UserType)
	for _, a := range []*broker.Account{d.Facts.Linked, d.Facts.Owner, d.Facts.Acting} {
		if a != nil {
			e.Account, e.Restriction = a.Email, ViewRestriction(a.Restriction)
			break
		}
	}
	e.Outcome, e.Because, e.Proof, e.Step = string(d.Outcome), d.Because, proofTexts(d.Proof), string(d.Step)
	if d.No != nil {
		e.Refused = string(broker.CodeOf(d.No))
	}
}

func levelText(l broker.Level) string {
	switch l {
	case broker.EmailAsserted:
		return "asserted: nothing proves the address"
	case broker.EmailVerified:
		return "verified: the provider verified the address"
	case broker.EmailAuthoritative:
		return "authoritative: the provider is the authority for the domain"
	}
	return "none: there is no address"
}

func proofTexts(p broker.LinkProof) (all []string) {
	for _, proof := range []struct {
		asked bool
		text  string
	}{
		{p.Password, "the account's password"},
		{p.Code && !p.Other, "a code mailed to the account"},
		{p.Other, "a code mailed to the account, or another of its identities"},
		{p.Factor, "the second factor"},
	} {
		if proof.asked {
			all = append(all, proof.text)
		}
	}
	return all
}
