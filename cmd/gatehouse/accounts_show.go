package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"gatehouse/broker"
)

// accountView is an account as the command line shows it: without its hash.
type accountView struct {
	ID         string         `json:"id"`
	Email      string         `json:"email"`
	Name       string         `json:"name"`
	Password   bool           `json:"has_password"`
	Disabled   bool           `json:"disabled"`
	Unverified bool           `json:"unverified,omitempty"`
	Lock       *lockView      `json:"lock,omitempty"`
	Epoch      int64          `json:"auth_epoch"`
	CreatedAt  time.Time      `json:"created_at"`
	Identities []identityView `json:"identities,omitempty"`
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
		Lock: viewLock(a.Lock), Epoch: a.AuthEpoch, CreatedAt: a.CreatedAt}
}

func showAccount(*flag.FlagSet) action {
	return func(ctx context.Context, t *tool, args []string) error {
		h, a, err := t.account(ctx, args[0])
		if err != nil {
			return err
		}
		return t.showAccount(ctx, h, a)
	}
}

func (t *tool) showAccount(ctx context.Context, h *house, a broker.Account) error {
	ids, err := h.store.IdentitiesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	v := viewAccount(a)
	for _, i := range ids {
		v.Identities = append(v.Identities, identityView{i.ID, i.Connection, i.Issuer, i.Subject, i.Email, i.LinkedAt, i.SeenAt})
	}
	return t.print(v, func(w io.Writer) {
		row(w, "id", v.ID)
		row(w, "email", v.Email)
		row(w, "name", or(v.Name, "-"))
		row(w, "password", yesNo(v.Password))
		row(w, "state", state(v))
		if v.Lock != nil {
			row(w, "lock", v.Lock.String())
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

func onOff(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

// state says in a word what an account may do.
func state(v accountView) string {
	switch {
	case v.Unverified:
		return "unverified"
	case v.Lock != nil && !v.Disabled:
		return "only " + v.Lock.Only
	}
	return onOff(v.Disabled)
}
