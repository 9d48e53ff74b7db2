package storetest

import (
	"testing"
	"time"

	"gatehouse/broker"
)

func identityTests() []test {
	return append(linkedTests(), []test{
		{"an identity comes back with its account", func(t *testing.T, b Backend) {
			a := account(t, b)
			i := identity(t, b, a)
			gotI, gotA, err := b.Identities.Identity(within(t), i.Connection, i.Issuer, i.Subject)
			ok(t, err)
			same(t, gotI, i)
			same(t, gotA, a)
		}},
		{"an unknown identity is NotFound, whichever part differs", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			for _, key := range [][3]string{{"x", i.Issuer, i.Subject}, {i.Connection, "x", i.Subject},
				{i.Connection, i.Issuer, "x"}} {
				_, _, err := b.Identities.Identity(within(t), key[0], key[1], key[2])
				answers(t, err, broker.NotFound)
			}
		}},
		{"subjects are compared byte for byte", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			lower := i
			lower.ID, lower.Subject = broker.NewID(), "SUB"+i.Subject[3:]
			ok(t, b.Identities.Link(within(t), lower))
		}},
		{"C16: an identity that is linked already is Conflict", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			theirs := i
			theirs.ID, theirs.AccountID = broker.NewID(), account(t, b).ID
			answers(t, b.Identities.Link(within(t), theirs), broker.Conflict)
		}},
		{"a link to no account or of no connection is NotFound", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			i.ID, i.Subject = broker.NewID(), broker.NewID()
			lost := i
			lost.AccountID = "unknown"
			answers(t, b.Identities.Link(within(t), lost), broker.NotFound)
			lost = i
			lost.Connection = "nowhere"
			answers(t, b.Identities.Link(within(t), lost), broker.NotFound)
		}},
	}...)
}

func linkedTests() []test {
	return []test{
		{"the identities of an account are its own", func(t *testing.T, b Backend) {
			a := account(t, b)
			first, second := identity(t, b, a), identity(t, b, a)
			identity(t, b, account(t, b))
			list := got(b.Identities.IdentitiesOf(within(t), a.ID))(t)
			if len(list) != 2 || list[0].ID == list[1].ID {
				t.Fatalf("listed %+v, want %s and %s", list, first.ID, second.ID)
			}
		}},
		{"seeing an identity keeps address and moment", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			ok(t, b.Identities.SeeIdentity(within(t), i.ID, "other@example.com", moment().Add(time.Hour)))
			seen, _, err := b.Identities.Identity(within(t), i.Connection, i.Issuer, i.Subject)
			ok(t, err)
			i.Email, i.SeenAt = "other@example.com", moment().Add(time.Hour)
			same(t, seen, i)
		}},
		{"unlinking ends what was created with the identity and nothing else", unlinkEnds},
		{"unlinking what is not linked is NotFound", func(t *testing.T, b Backend) {
			answers(t, b.Identities.Unlink(within(t), "nothing", moment()), broker.NotFound)
		}},
		{"nothing is created with an identity that is not linked, or linked to another account",
			func(t *testing.T, b Backend) {
				a, other := account(t, b), account(t, b)
				i := identity(t, b, other)
				for _, id := range []string{i.ID, "nothing"} {
					f := newGrant(a)
					f.Authn.Identity = id
					answers(t, b.Grants.CreateGrant(within(t), f, true), broker.StartAgain)
					s := broker.Session{ID: broker.NewID(), AccountID: a.ID, Authn: f.Authn}
					answers(t, b.Sessions.CreateSession(within(t), broker.NewID(), s), broker.StartAgain)
				}
			}},
	}
}

func unlinkEnds(t *testing.T, b Backend) {
	a := account(t, b)
	i := identity(t, b, a)
	created := broker.Authn{Method: broker.ByUpstream, Connection: i.Connection, Identity: i.ID, AuthTime: moment(),
		Epoch: a.AuthEpoch}
	s, _ := session(t, b, a, created)
	f := newGrant(a)
	f.Authn = created
	grantOf(t, b, f)
	otherS, _ := session(t, b, a, authn(a))
	otherF := grantOf(t, b, newGrant(a))

	at := moment().Add(time.Minute)
	ok(t, b.Identities.Unlink(within(t), i.ID, at))

	if _, _, err := b.Identities.Identity(within(t), i.Connection, i.Issuer, i.Subject); err == nil {
		t.Fatal("the identity is still there")
	}
	same(t, sessionOf(t, b, s).EndedAt, at)
	f, _, err := b.Grants.Grant(within(t), f.ID)
	ok(t, err)
	same(t, f.EndedAt, at)
	if f.EndedBy == "" {
		t.Fatal("the grant ended for no reason")
	}
	same(t, sessionOf(t, b, otherS), otherS)
	otherNow, _, err := b.Grants.Grant(within(t), otherF.ID)
	ok(t, err)
	same(t, otherNow, otherF)
}
