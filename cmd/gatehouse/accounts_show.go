package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

// accountView is an account as the command line shows it: without its hash.
type accountView struct {
	ID          string           `json:"id"`
	Email       string           `json:"email"`
	Name        string           `json:"name"`
	Password    bool             `json:"has_password"`
	Disabled    bool             `json:"disabled"`
	Unverified  bool             `json:"unverified,omitempty"`
	Restriction *restrictionView `json:"restriction,omitempty"`
	Epoch       int64            `json:"auth_epoch"`
	CreatedAt   time.Time        `json:"created_at"`
	Identities  []identityView   `json:"identities,omitempty"`
}

type identityView struct {
	ID         string    `json:"id"`
	Connection string    `json:"connection"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	Email      string    `json:"email"`
	LinkedAt   time.Time `json:"linked_at"`
	SeenAt     time.Time `json:"seen_at"`
}

func viewAccount(a broker.Account) accountView {
	return accountView{ID: a.ID, Email: a.Email, Name: a.Name, Password: a.HasPassword(), Disabled: a.Disabled, Unverified: a.Unverified,
		Restriction: viewRestriction(a.Restriction), Epoch: a.AuthEpoch, CreatedAt: a.CreatedAt}
}

func (t *tool) showAccount(a admin.AccountDetails) error {
	v := viewAccount(a.Account)
	for _, i := range a.Identities {
		v.Identities = append(v.Identities, identityView{i.ID, i.Connection, i.Issuer, i.Subject, i.Email, i.LinkedAt, i.SeenAt})
	}
	return t.print(v, func(w io.Writer) {
		row(w, "id", v.ID)
		row(w, "email", v.Email)
		row(w, "name", or(v.Name, "-"))
		row(w, "password", yesNo(v.Password))
		row(w, "state", state(v))
		if v.Restriction != nil {
			row(w, "restriction", v.Restriction.String())
		}
		row(w, "created", date(v.CreatedAt))
		for _, i := range v.Identities {
			row(w, "identity", fmt.Sprintf("%s: %s at %s, %s, linked %s, last seen %s", i.ID, i.Connection, i.Issuer, or(i.Email, "no e-mail"), date(i.LinkedAt), date(i.SeenAt)))
		}
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// state says in a word what an account may do.
func state(v accountView) string {
	switch {
	case v.Unverified:
		return "unverified"
	case v.Restriction != nil && !v.Disabled:
		return "only " + v.Restriction.Only
	}
	return admin.State(v.Disabled)
}

// restrictionView is a restriction as the command line shows it.
type restrictionView struct {
	Only        string    `json:"only"`
	Connections []string  `json:"connections"`
	Guests      bool      `json:"guests"`
	Personal    bool      `json:"personal"`
	SetBy       string    `json:"set_by"`
	SetAt       time.Time `json:"set_at"`
}

func viewRestriction(l *broker.Restriction) *restrictionView {
	if l == nil {
		return nil
	}
	return &restrictionView{l.Only, l.Connections, l.Guests, l.Personal, l.SetBy, l.SetAt}
}

func (l restrictionView) String() string {
	text := fmt.Sprintf("only %s, through %s", l.Only, strings.Join(l.Connections, ", "))
	if l.Guests {
		text += ", guests too"
	}
	if l.Personal {
		text += ", personal accounts too"
	}
	return text + fmt.Sprintf("; set by %s on %s", l.SetBy, date(l.SetAt))
}
