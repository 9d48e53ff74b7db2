package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

// accountFlags are what apps learn about a person. A pointer is nil if its flag is not given.
type accountFlags struct {
	Name       *string `help:"The person's name."`
	GivenName  *string `help:"First name."`
	FamilyName *string `help:"Family name."`
	Locale     *string `placeholder:"TAG" help:"Language of pages and mails, such as de or en-GB."`
}

type accountsAdd struct {
	Email string `arg:"" name:"EMAIL" help:"E-mail address."`
	accountFlags
	PasswordFile string `placeholder:"FILE" help:"File with the password, - for standard input. Omit for sign-in by a provider."`
	Unverified   bool   `help:"The address is not proven: the account cannot sign in until its owner proves it."`
}

func (c *accountsAdd) Run(ctx context.Context, t *tool, s *admin.Service) error {
	password, err := t.newPassword(ctx, c.PasswordFile)
	if err != nil {
		return err
	}
	in := admin.AddAccount{Email: c.Email, Edit: admin.EditAccount(c.accountFlags), Password: password,
		Unverified: c.Unverified}
	done, err := s.AddAccount(ctx, t.actor(), in)
	return t.accountDone(done, err, "created %s ("+done.Value.ID+")")
}

// accountDone prints the account that an operation changed. The text has a %s for its address.
func (t *tool) accountDone(done admin.Result[broker.Account], err error, text string) error {
	if err != nil {
		return err
	}
	return t.print(admin.ViewAccount(admin.AccountDetails{Account: done.Value}),
		func(w io.Writer) { fmt.Fprintf(w, text+"\n", done.Value.Email) })
}

type accountsChange struct {
	accountArg
	accountFlags
}

func (c *accountsChange) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.ChangeAccount(ctx, t.actor(), admin.ChangeAccount{Account: c.Account,
		Edit: admin.EditAccount(c.accountFlags)})
	return t.accountDone(done, noChange(err), "%s is changed")
}

type accountsList struct {
	After string `placeholder:"EMAIL" help:"List from after this address."`
	Limit int    `default:"100" help:"At most this many, up to 1000."`
}

func (c *accountsList) Validate() error { return misused(admin.CheckLimit(c.Limit)) }

func (c *accountsList) Run(ctx context.Context, t *tool, s *admin.Service) error {
	all, err := s.Accounts(ctx, t.actor(), admin.ListAccounts{After: c.After, Limit: c.Limit})
	if err != nil {
		return err
	}
	views := each(all, func(a broker.Account) admin.AccountView {
		return admin.ViewAccount(admin.AccountDetails{Account: a})
	})
	return t.print(views, func(w io.Writer) {
		row(w, "EMAIL", "NAME", "PASSWORD", "STATE", "CREATED", "ID")
		for _, a := range views {
			row(w, a.Email, or(a.Name, "-"), admin.YesNo(a.Password), a.State(), admin.Date(a.CreatedAt), a.ID)
		}
		if len(views) == c.Limit {
			fmt.Fprintf(w, "\nThere may be more: --after %s\n", views[len(views)-1].Email)
		}
	})
}

type accountsShow struct{ accountArg }

func (c *accountsShow) Run(ctx context.Context, t *tool, s *admin.Service) error {
	a, err := s.Account(ctx, t.actor(), c.Account)
	if err != nil {
		return err
	}
	return t.show(admin.ViewAccount(a))
}

type accountsPassword struct {
	accountArg
	PasswordFile string `default:"-" placeholder:"FILE" help:"File with the password, - for standard input."`
}

func (c *accountsPassword) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if _, err := s.Account(ctx, t.actor(), c.Account); err != nil { // before a person types a password
		return err
	}
	password, err := t.newPassword(ctx, c.PasswordFile)
	if err != nil {
		return err
	}
	done, err := s.SetPassword(ctx, t.actor(), admin.SetPassword{Account: c.Account, Password: password})
	return t.accountDone(done, err, "%s has a new password; every session and token has ended, and a mail tells the owner")
}

type accountsDisable struct{ accountArg }

func (c *accountsDisable) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.DisableAccount(ctx, t.actor(), admin.SwitchAccount{Account: c.Account})
	return t.accountDone(done, err, "%s is disabled")
}

type accountsEnable struct{ accountArg }

func (c *accountsEnable) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.EnableAccount(ctx, t.actor(), admin.SwitchAccount{Account: c.Account})
	return t.accountDone(done, err, "%s is enabled")
}

type accountsRestrict struct {
	accountArg
	Only     string `required:"" placeholder:"WAY" help:"microsoft (all live Entra ID and AD FS connections of now), or ids of connections, comma-separated."`
	Guests   bool   `help:"Accept guests of the directory too."`
	Personal bool   `help:"Accept personal Microsoft accounts too."`
}

func (c *accountsRestrict) Run(ctx context.Context, t *tool, s *admin.Service) error {
	in := admin.RestrictAccount{Account: c.Account, Only: c.Only, Guests: c.Guests, Personal: c.Personal}
	done, err := s.RestrictAccount(ctx, t.actor(), in)
	if err != nil {
		return err
	}
	a := done.Value
	v := admin.ViewAccount(admin.AccountDetails{Account: a.Account})
	return t.print(v, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\nevery session and token of the account has ended\n", a.Email, v.Restriction)
		if !a.Linked {
			fmt.Fprintln(w, "No identity of these connections is linked yet. "+
				"The next sign-in through one of them links it, with the password and an e-mailed code.")
		}
	})
}

type accountsUnrestrict struct{ accountArg }

func (c *accountsUnrestrict) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.UnrestrictAccount(ctx, t.actor(), admin.UnrestrictAccount{Account: c.Account})
	return t.accountDone(done, err, "%s may sign in every way again")
}

type accountsSignout struct{ accountArg }

func (c *accountsSignout) Run(ctx context.Context, t *tool, s *admin.Service) error {
	done, err := s.SignOutAccount(ctx, t.actor(), admin.SignOutAccount{Account: c.Account})
	return t.accountDone(done, err, "%s is signed out everywhere")
}

type accountsUnlink struct {
	accountArg
	Identity string `required:"" placeholder:"ID" help:"Id of the identity, see accounts show."`
	yesFlag
}

func (c *accountsUnlink) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if err := t.confirm(ctx, c.yesFlag, "Remove the identity "+c.Identity+" from "+c.Account+"?"); err != nil {
		return err
	}
	done, err := s.UnlinkIdentity(ctx, t.actor(), admin.UnlinkIdentity{Account: c.Account, Identity: c.Identity})
	if err != nil {
		return err
	}
	return t.show(admin.ViewAccount(done.Value))
}

type consentsList struct{ accountArg }

func (c *consentsList) Run(ctx context.Context, t *tool, s *admin.Service) error {
	all, err := s.Consents(ctx, t.actor(), c.Account)
	if err != nil {
		return err
	}
	views := each(all, func(c broker.Consent) admin.ConsentView {
		return admin.ConsentView{Client: c.ClientID, Scopes: c.Scopes, GrantedAt: c.GrantedAt}
	})
	return t.print(views, func(w io.Writer) {
		row(w, "CLIENT", "SCOPES", "GRANTED")
		for _, c := range views {
			row(w, c.Client, strings.Join(c.Scopes, " "), admin.Date(c.GrantedAt))
		}
	})
}

type consentsRemove struct {
	accountArg
	Client string `required:"" placeholder:"ID" help:"Id of the client."`
	yesFlag
}

func (c *consentsRemove) Run(ctx context.Context, t *tool, s *admin.Service) error {
	if err := t.confirm(ctx, c.yesFlag, "Remove what "+c.Account+" allowed "+c.Client+"? Its tokens end."); err != nil {
		return err
	}
	if _, err := s.RevokeConsent(ctx, t.actor(), admin.RevokeConsent{Account: c.Account, Client: c.Client}); err != nil {
		return err
	}
	return t.removed("client_id", c.Client)
}
