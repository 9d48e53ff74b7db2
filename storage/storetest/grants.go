package storetest

import (
	"testing"
	"time"

	"gatehouse/broker"
)

func grantTests() []test {
	return append(rotateTests(), []test{
		{"a grant comes back with its account", func(t *testing.T, b Backend) {
			a := account(t, b)
			f := grantOf(t, b, newGrant(a))
			gotF, gotA, err := b.Grants.Grant(within(t), f.ID)
			ok(t, err)
			same(t, gotF, f)
			same(t, gotA, a)
		}},
		{"an unknown grant is NotFound", func(t *testing.T, b Backend) {
			_, _, err := b.Grants.Grant(within(t), "nothing")
			answers(t, err, broker.NotFound)
		}},
		{"A5: a second grant of one id is Conflict, also after the first ended or its account changed",
			func(t *testing.T, b Backend) {
				a := account(t, b)
				f := grantOf(t, b, newGrant(a))
				answers(t, b.Grants.CreateGrant(within(t), f, true), broker.Conflict)
				ok(t, b.Grants.RevokeGrant(within(t), f.ID, broker.CodeReused, moment()))
				answers(t, b.Grants.CreateGrant(within(t), f, true), broker.Conflict)
				a.AuthEpoch = 4
				ok(t, b.Accounts.ChangeAccount(within(t), a, 3))
				answers(t, b.Grants.CreateGrant(within(t), f, true), broker.Conflict)
			}},
		{"I5: no grant is created for a disabled, unknown or changed account", func(t *testing.T, b Backend) {
			a := account(t, b)
			f := newGrant(a)
			f.Authn.Epoch = 2
			answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
			f = newGrant(broker.Account{ID: "unknown", AuthEpoch: 3})
			answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
			f = newGrant(a)
			a.Disabled = true
			ok(t, b.Accounts.ChangeAccount(within(t), a, 3))
			answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
		}},
		{"D5: with unlocked, an account with a restriction gets no grant", func(t *testing.T, b Backend) {
			a := account(t, b)
			a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, SetAt: moment()}
			ok(t, b.Accounts.ChangeAccount(within(t), a, 3))
			answers(t, b.Grants.CreateGrant(within(t), newGrant(a), true), broker.StartAgain)
			ok(t, b.Grants.CreateGrant(within(t), newGrant(a), false))
		}},
		{"A7: no grant is created under a session that has ended, expired, or belongs to another account",
			func(t *testing.T, b Backend) {
				a, other := account(t, b), account(t, b)
				s, _ := session(t, b, a, authn(a))
				theirs, _ := session(t, b, other, authn(other))
				f := newGrant(a)
				f.SessionID = s.ID
				created, _, err := b.Grants.Grant(within(t), grantOf(t, b, f).ID)
				ok(t, err)
				same(t, created, f)
				late := newGrant(a)
				late.SessionID, late.CreatedAt = s.ID, s.ExpiresAt
				answers(t, b.Grants.CreateGrant(within(t), late, true), broker.StartAgain)
				for _, id := range []string{theirs.ID, "nothing"} {
					f = newGrant(a)
					f.SessionID = id
					answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
				}
				ok(t, b.Sessions.EndSession(within(t), s.ID, moment()))
				f = newGrant(a)
				f.SessionID = s.ID
				answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
			}},
		{"a grant ends once; the first reason stays", func(t *testing.T, b Backend) {
			f := grantOf(t, b, newGrant(account(t, b)))
			at := moment().Add(time.Minute)
			ok(t, b.Grants.RevokeGrant(within(t), f.ID, broker.TokenReused, at))
			ok(t, b.Grants.RevokeGrant(within(t), f.ID, broker.Revoked, at.Add(time.Minute)))
			ok(t, b.Grants.RevokeGrants(within(t), broker.GrantFilter{Account: f.AccountID}, broker.Revoked,
				at.Add(time.Minute)))
			ok(t, b.Grants.RevokeGrant(within(t), "nothing", broker.Revoked, at))
			f.EndedAt, f.EndedBy = at, broker.TokenReused
			ended, _, err := b.Grants.Grant(within(t), f.ID)
			ok(t, err)
			same(t, ended, f)
		}},
		{"grants end by account, client, session, and by all filters together", revokeGrants},
		{"an empty filter is refused", func(t *testing.T, b Backend) {
			f := grantOf(t, b, newGrant(account(t, b)))
			if b.Grants.RevokeGrants(within(t), broker.GrantFilter{}, broker.Revoked, moment()) == nil {
				t.Fatal("an empty filter was taken")
			}
			alive(t, b, f.ID, true)
		}},
	}...)
}

func rotateTests() []test {
	return []test{
		{"A6: rotating changes the refresh counter, once", func(t *testing.T, b Backend) {
			f := grantOf(t, b, newGrant(account(t, b)))
			at := moment().Add(time.Hour)
			ok(t, b.Grants.Rotate(within(t), f.ID, 0, 1, at))
			answers(t, b.Grants.Rotate(within(t), f.ID, 0, 1, at), broker.Conflict)
			answers(t, b.Grants.Rotate(within(t), f.ID, 2, 3, at), broker.Conflict)
			ok(t, b.Grants.Rotate(within(t), f.ID, 1, 3, at.Add(time.Hour)))
			f.RefreshCounter, f.RotatedAt = 3, at.Add(time.Hour)
			rotated, _, err := b.Grants.Grant(within(t), f.ID)
			ok(t, err)
			same(t, rotated, f)
		}},
		{"A6: an ended, expired or unknown grant does not rotate", func(t *testing.T, b Backend) {
			f := grantOf(t, b, newGrant(account(t, b)))
			answers(t, b.Grants.Rotate(within(t), f.ID, 0, 1, f.ExpiresAt), broker.Conflict)
			ok(t, b.Grants.RevokeGrant(within(t), f.ID, broker.TokenReused, moment()))
			answers(t, b.Grants.Rotate(within(t), f.ID, 0, 1, moment()), broker.Conflict)
			answers(t, b.Grants.Rotate(within(t), "nothing", 0, 1, moment()), broker.Conflict)
		}},
		{"I5: a grant of a disabled or changed account does not rotate", func(t *testing.T, b Backend) {
			for _, change := range []func(*broker.Account){
				func(a *broker.Account) { a.AuthEpoch++ },
				func(a *broker.Account) { a.Disabled = true },
			} {
				a := account(t, b)
				f := grantOf(t, b, newGrant(a))
				change(&a)
				ok(t, b.Accounts.ChangeAccount(within(t), a, 3))
				answers(t, b.Grants.Rotate(within(t), f.ID, 0, 1, moment()), broker.Conflict)
			}
		}},
	}
}

func revokeGrants(t *testing.T, b Backend) {
	a, other := account(t, b), account(t, b)
	s1, _ := session(t, b, a, authn(a))
	s2, _ := session(t, b, a, authn(a))
	theirs, _ := session(t, b, other, authn(other))
	make4 := func() (f [4]broker.Grant) {
		for i := range f {
			f[i] = newGrant(a)
			f[i].ClientID, f[i].SessionID = "app1", s1.ID
		}
		f[1].ClientID, f[2].SessionID = "app2", s2.ID
		f[3].AccountID, f[3].SessionID = other.ID, theirs.ID
		for i := range f {
			grantOf(t, b, f[i])
		}
		return f
	}
	for _, c := range []struct {
		filter broker.GrantFilter
		live   [4]bool
	}{
		{broker.GrantFilter{Account: a.ID}, [4]bool{false, false, false, true}},
		{broker.GrantFilter{Client: "app2"}, [4]bool{true, false, true, true}},
		{broker.GrantFilter{Session: s2.ID}, [4]bool{true, true, false, true}},
		{broker.GrantFilter{Account: a.ID, Client: "app1"}, [4]bool{false, true, false, true}},
		{broker.GrantFilter{Account: a.ID, Client: "app1", Session: s1.ID}, [4]bool{false, true, true, true}},
	} {
		f := make4()
		ok(t, b.Grants.RevokeGrants(within(t), c.filter, broker.Revoked, moment()))
		for i := range f {
			alive(t, b, f[i].ID, c.live[i])
		}
	}
}

func alive(t *testing.T, b Backend, id string, want bool) {
	t.Helper()
	f, _, err := b.Grants.Grant(within(t), id)
	ok(t, err)
	if f.EndedAt.IsZero() != want {
		t.Fatalf("grant %s alive: %v, want %v", id, !want, want)
	}
}
