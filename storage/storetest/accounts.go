package storetest

import (
	"fmt"
	"testing"

	"gatehouse/broker"
)

func accountTests() []test {
	return append(append(accountChangeTests(), unverifiedTests()...), []test{
		{"an account comes back as it was created", func(t *testing.T, b Backend) {
			a := account(t, b)
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), a)
			same(t, got(b.Accounts.AccountByEmail(within(t), a.Email))(t), a)
		}},
		{"an account of empty fields comes back empty", func(t *testing.T, b Backend) {
			a := broker.Account{ID: broker.NewID(), Email: broker.NewID()}
			ok(t, b.Accounts.CreateAccount(within(t), a))
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), a)
		}},
		{"an unknown account is NotFound", func(t *testing.T, b Backend) {
			_, err := b.Accounts.Account(within(t), "unknown")
			answers(t, err, broker.NotFound)
			_, err = b.Accounts.AccountByEmail(within(t), "unknown@example.com")
			answers(t, err, broker.NotFound)
		}},
		{"invalid text is NotFound to look up and RequestInvalid to write", func(t *testing.T, b Backend) {
			for _, bad := range []string{"a\x00b", "a\xffb"} {
				_, err := b.Accounts.Account(within(t), bad)
				answers(t, err, broker.NotFound)
				answers(t, b.Accounts.CreateAccount(within(t),
					broker.Account{ID: broker.NewID(), Email: broker.NewID(), Name: bad}), broker.RequestInvalid)
			}
		}},
		{"a taken address or id is Conflict", func(t *testing.T, b Backend) {
			a := account(t, b)
			answers(t, b.Accounts.CreateAccount(within(t), broker.Account{ID: broker.NewID(), Email: a.Email}), broker.Conflict)
			answers(t, b.Accounts.CreateAccount(within(t), broker.Account{ID: a.ID, Email: broker.NewID()}), broker.Conflict)
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), a)
		}},
		{"accounts are listed by address, after a given one, up to a limit", listAccounts},
	}...)
}

func accountChangeTests() []test {
	return []test{
		{"a change writes every field but id and creation", func(t *testing.T, b Backend) {
			a := account(t, b)
			c := broker.Account{
				ID: a.ID, Email: "new." + a.Email, Name: "N", GivenName: "G", FamilyName: "F", Locale: "en", PasswordHash: "",
				Disabled: true, AuthEpoch: 4,
				Restriction: &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"entra", "fs"}, Guests: true,
					SetBy: "operator", SetAt: moment()}, CreatedAt: moment().AddDate(1, 0, 0), UpdatedAt: moment().AddDate(0, 0, 1),
			}
			ok(t, b.Accounts.ChangeAccount(within(t), c, a.AuthEpoch))
			c.CreatedAt = a.CreatedAt
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), c)
		}},
		{"a change with an old epoch is Conflict and changes nothing", func(t *testing.T, b Backend) {
			a := account(t, b)
			later := a
			later.AuthEpoch, later.Name = 4, "later"
			ok(t, b.Accounts.ChangeAccount(within(t), later, 3))
			answers(t, b.Accounts.ChangeAccount(within(t), a, 3), broker.Conflict)
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), later)
		}},
		{"an epoch never falls", func(t *testing.T, b Backend) {
			a := account(t, b)
			a.AuthEpoch = 2
			if b.Accounts.ChangeAccount(within(t), a, 3) == nil {
				t.Fatal("the epoch fell")
			}
		}},
		{"a change of an unknown account, or to a taken address, is Conflict", func(t *testing.T, b Backend) {
			a, other := account(t, b), account(t, b)
			answers(t, b.Accounts.ChangeAccount(within(t), broker.Account{ID: "unknown"}, 0), broker.Conflict)
			a.Email = other.Email
			answers(t, b.Accounts.ChangeAccount(within(t), a, 3), broker.Conflict)
		}},
	}
}

func listAccounts(t *testing.T, b Backend) {
	prefix := broker.NewID()
	for i := range 5 {
		ok(t, b.Accounts.CreateAccount(within(t), broker.Account{ID: broker.NewID(),
			Email: fmt.Sprintf("%s-%d@example.com", prefix, i)}))
	}
	list := got(b.Accounts.Accounts(within(t), prefix+"-1@example.com", 2))(t)
	if len(list) != 2 || list[0].Email != prefix+"-2@example.com" || list[1].Email != prefix+"-3@example.com" {
		t.Fatalf("listed %+v", list)
	}
	if list := got(b.Accounts.Accounts(within(t), "~", 2))(t); len(list) != 0 {
		t.Fatalf("after the last one there is %+v", list)
	}
	if list := got(b.Accounts.Accounts(within(t), "", 0))(t); len(list) != 0 {
		t.Fatalf("at most none is %+v", list)
	}
}

func unverifiedTests() []test {
	unverified := func(t *testing.T, b Backend, email string) broker.Account {
		t.Helper()
		a := broker.Account{ID: broker.NewID(), Email: email, Name: "M", PasswordHash: "$argon2id$…", Unverified: true,
			AuthEpoch: 1}
		ok(t, b.Accounts.CreateAccount(within(t), a))
		return a
	}
	return []test{
		{"C9: an unverified address blocks no other account, and its accounts are deleted when it is verified",
			func(t *testing.T, b Backend) {
				email := "claimed." + broker.NewID() + "@example.com"
				one, two := unverified(t, b, email), unverified(t, b, email)
				same(t, got(b.Accounts.Account(within(t), one.ID))(t), one)
				_, err := b.Accounts.AccountByEmail(within(t), email)
				answers(t, err, broker.NotFound)
				owner := broker.Account{ID: broker.NewID(), Email: email, AuthEpoch: 1}
				ok(t, b.Accounts.CreateAccount(within(t), owner))
				same(t, got(b.Accounts.AccountByEmail(within(t), email))(t), owner)
				for _, a := range []broker.Account{one, two} {
					_, err := b.Accounts.Account(within(t), a.ID)
					answers(t, err, broker.NotFound)
				}
			}},
		{"C9: an unverified account opens no session, and no change verifies it", func(t *testing.T, b Backend) {
			a := unverified(t, b, "claimed."+broker.NewID()+"@example.com")
			s := broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: broker.Authn{Method: broker.ByPassword, Epoch: 1}}
			answers(t, b.Sessions.CreateSession(within(t), broker.NewID(), s), broker.StartAgain)
			f := broker.Grant{ID: broker.NewID(), AccountID: a.ID, Authn: s.Authn}
			answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
			verified := a
			verified.Unverified = false
			answers(t, b.Accounts.ChangeAccount(within(t), verified, 1), broker.Conflict)
			a.Name = "N"
			ok(t, b.Accounts.ChangeAccount(within(t), a, 1))
			same(t, got(b.Accounts.Account(within(t), a.ID))(t), a)
		}},
		{"C11: an unverified account gets no identity", func(t *testing.T, b Backend) {
			a, c := unverified(t, b, "claimed."+broker.NewID()+"@example.com"), connection(t, b)
			i := broker.Identity{ID: broker.NewID(), AccountID: a.ID, Connection: c.ID, Issuer: c.Issuer,
				Subject: broker.NewID()}
			answers(t, b.Identities.Link(within(t), i), broker.NotFound)
		}},
	}
}
