package access_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// memory holds one account, ana, that has a password and is linked at google.
type memory struct {
	accounts
	broker.Identities
	connections
	broker.Sessions
	broker.Grants
	account broker.Account
	fail    error
}

// Two ports have a method of their own name, so they are embedded under another one.
type (
	accounts    interface{ broker.Accounts }
	connections interface{ broker.Connections }
)

func newMemory() *memory {
	return &memory{account: broker.Account{ID: "ana", Email: "ana@acme.test", PasswordHash: "x", AuthEpoch: 3}}
}

func (m *memory) Account(_ context.Context, id string) (broker.Account, error) {
	if id != m.account.ID {
		return broker.Account{}, broker.NotFound
	}
	return m.account, m.fail
}

func (m *memory) AccountByEmail(_ context.Context, email string) (broker.Account, error) {
	if email != m.account.Email {
		return broker.Account{}, broker.NotFound
	}
	return m.account, m.fail
}

func (m *memory) Identity(_ context.Context, connection, _, subject string) (broker.Identity, broker.Account, error) {
	if connection != "google" || subject != "g1" {
		return broker.Identity{}, broker.Account{}, broker.NotFound
	}
	return broker.Identity{ID: "i", AccountID: "ana", Connection: connection}, m.account, m.fail
}

func (m *memory) IdentitiesOf(context.Context, string) ([]broker.Identity, error) {
	return []broker.Identity{{ID: "i", AccountID: "ana", Connection: "google"}}, m.fail
}

func (m *memory) Connection(_ context.Context, id string) (broker.Connection, error) {
	if id == "gone" {
		return broker.Connection{}, broker.NotFound
	}
	return broker.Connection{ID: id, State: broker.Live}, m.fail
}

func (m *memory) Connections(context.Context) ([]broker.Connection, error) { return nil, m.fail }

func (m *memory) Session(context.Context, []string) (broker.Session, broker.Account, error) {
	return broker.Session{ID: "s", AccountID: "ana", Authn: byPassword, ExpiresAt: noon.Add(time.Hour)}, m.account, m.fail
}

func (m *memory) Grant(context.Context, string) (broker.Grant, broker.Account, error) {
	return broker.Grant{ID: "g", AccountID: "ana", ClientID: "app", Authn: byPassword,
		ExpiresAt: noon.Add(time.Hour)}, m.account, m.fail
}

var byPassword = broker.Authn{Method: broker.ByPassword, Epoch: 3, AuthTime: noon}

// acme enforces its own connection on ana, and counts how often it is asked.
type acme struct{ asked []access.Question }

func (a *acme) Tenancy(_ context.Context, q access.Question) (broker.Tenancy, error) {
	a.asked = append(a.asked, q)
	return broker.Tenancy{Members: []broker.Member{{Tenant: broker.Tenant{ID: "acme", Name: "Acme",
		Enforcement: broker.Enforce, Enforced: []string{"acme-sso"}}}}}, nil
}

func gate(m *memory, t access.Tenancies) *access.Gate {
	return access.New(access.Options{Store: m, Tenancies: t, Registration: broker.RegisterForm, PasswordSignIn: true,
		Now: func() time.Time { return noon }})
}

func claims(subject string) broker.Claims {
	return broker.Claims{Connection: "google", Issuer: "https://google.test", Subject: subject,
		Email: "ana@acme.test", Level: broker.EmailVerified}
}

// questions are all that may be asked of a gate, each about ana, who came in by her
// password or by google.
var questions = map[string]func(ctx context.Context, g *access.Gate) error{
	"a session": func(ctx context.Context, g *access.Gate) error {
		_, _, err := g.Session(ctx, []string{"h"}, "app")
		return err
	},
	"a grant": func(ctx context.Context, g *access.Gate) error { _, _, err := g.Grant(ctx, "g"); return err },
	"a new grant": func(ctx context.Context, g *access.Gate) error {
		return g.NewGrant(ctx, broker.Grant{ID: "g", AccountID: "ana", ClientID: "app", Authn: byPassword}, true)
	},
	"a login by password": func(ctx context.Context, g *access.Gate) error {
		return no(g.Login(ctx, login().BoundTo("ana", byPassword), nil))
	},
	"a login by a linked identity": func(ctx context.Context, g *access.Gate) error {
		l := login().Returned(claims("g1"))
		d, err := g.Login(ctx, l, nil)
		if err != nil || d.Step != broker.StepBind {
			return errors.Join(err, errors.New("not bound"))
		}
		n := broker.Authn{Method: broker.ByUpstream, Connection: "google", Epoch: 3}
		return no(g.Bound(ctx, l.BoundTo("ana", n), d.Facts.Linked))
	},
	"a login by an identity of the same address": func(ctx context.Context, g *access.Gate) error {
		return no(g.Login(ctx, login().Returned(claims("new")), nil))
	},
	"a link": func(ctx context.Context, g *access.Gate) error {
		c := claims("new")
		c.Connection = "github"
		return g.MayLink(ctx, c, newMemory().account, "")
	},
	"a link to an account that was named": func(ctx context.Context, g *access.Gate) error {
		l := login().Returned(claims("new"))
		d, err := g.Login(ctx, l, nil)
		if err != nil {
			return err
		}
		return no(g.LinkProofs(ctx, l, d, newMemory().account))
	},
	"an explanation": func(ctx context.Context, g *access.Gate) error {
		return no(g.Explain(ctx, login().Returned(claims("g1")), nil))
	},
}

func login() broker.Login {
	return broker.Login{ID: "l", ClientID: "app", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
}

func no(d access.Decision, err error) error { return errors.Join(err, d.No) }

func TestD1_ATenantsRuleAnswersEveryQuestion(t *testing.T) {
	for name, ask := range questions {
		rules := &acme{}
		if err := ask(t.Context(), gate(newMemory(), rules)); !errors.Is(err, broker.SSORequired) {
			t.Errorf("%s: %v", name, err)
		}
		if len(rules.asked) == 0 {
			t.Errorf("%s: the tenant's rules were not read", name)
		}
		if err := ask(t.Context(), gate(newMemory(), nil)); err != nil {
			t.Errorf("%s, without tenants: %v", name, err)
		}
	}
}

func TestD5_A7_AnAccountThatChangedIsRefusedWhateverIsAsked(t *testing.T) {
	for name, change := range map[string]func(*broker.Account){
		"disabled":   func(a *broker.Account) { a.Disabled = true },
		"restricted": func(a *broker.Account) { a.Restriction = &broker.Restriction{Connections: []string{"entra"}} },
	} {
		for what, ask := range questions {
			if what == "a link" || what == "a link to an account that was named" || what == "a new grant" {
				continue // they are given the account, or the insert has asked the database
			}
			m := newMemory()
			change(&m.account)
			if err := ask(t.Context(), gate(m, nil)); !broker.Refused(err) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestAFailureOfStorageIsNoRefusal(t *testing.T) {
	for name, ask := range questions {
		m := newMemory()
		m.fail = broker.Unavailable
		if name == "a new grant" {
			continue // it reads nothing
		}
		if err := ask(t.Context(), gate(m, nil)); err == nil || broker.Refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestE16_AHeldSessionThatIsOverIsNone(t *testing.T) {
	m := newMemory()
	late := access.New(access.Options{Store: m, Now: func() time.Time { return noon.Add(time.Hour) }})
	if _, _, err := late.HeldSession(t.Context(), []string{"h"}); !errors.Is(err, broker.NotFound) {
		t.Errorf("expired: %v", err)
	}
	if _, _, err := gate(m, nil).HeldSession(t.Context(), nil); !errors.Is(err, broker.NotFound) {
		t.Errorf("without a cookie: %v", err)
	}
	m.account.Disabled = true
	if _, _, err := gate(m, nil).HeldSession(t.Context(), []string{"h"}); err != nil {
		t.Errorf("one that the gate refuses can not be ended: %v", err)
	}
}
