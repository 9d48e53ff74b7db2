package main

import (
	"fmt"
	"io"
	"strings"

	"gatehouse/broker/admin"
)

func (t *tool) showAccount(a admin.AccountDetails) error {
	v := admin.ViewAccount(a)
	return t.print(v, func(w io.Writer) {
		row(w, "id", v.ID)
		row(w, "email", v.Email)
		row(w, "name", or(v.Name, "-"))
		row(w, "password", yesNo(v.Password))
		row(w, "state", state(v))
		if v.Restriction != nil {
			row(w, "restriction", restrictionText(v.Restriction))
		}
		row(w, "created", date(v.CreatedAt))
		for _, i := range v.Identities {
			row(w, "identity", fmt.Sprintf("%s: %s at %s, %s, linked %s, last seen %s",
				i.ID, i.Connection, i.Issuer, or(i.Email, "no e-mail"), date(i.LinkedAt), date(i.SeenAt)))
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
func state(v admin.AccountView) string {
	switch {
	case v.Unverified:
		return "unverified"
	case v.Restriction != nil && !v.Disabled:
		return "only " + v.Restriction.Only
	}
	return admin.State(v.Disabled)
}

// restrictionText is a restriction in words.
func restrictionText(l *admin.RestrictionView) string {
	text := fmt.Sprintf("only %s, through %s", l.Only, strings.Join(l.Connections, ", "))
	if l.Guests {
		text += ", guests too"
	}
	if l.Personal {
		text += ", personal accounts too"
	}
	return text + fmt.Sprintf("; set by %s on %s", l.SetBy, date(l.SetAt))
}
