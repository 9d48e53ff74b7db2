package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

// change is an operation that changes something; it returns the events of its Result.
type change func(ctx context.Context, by admin.Actor, dryRun bool) ([]broker.Event, error)

func events[T any](r admin.Result[T], err error) ([]broker.Event, error) { return r.Events, err }

// changes has one call for each operation that changes something, in an order in which
// all of them can succeed over the same fixture.
func changes(f *fixture) (names []string, all map[string]change) {
	all = map[string]change{}
	add := func(name string, do change) { names, all[name] = append(names, name), do }
	add("AddAccount", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.AddAccount(ctx, by, admin.AddAccount{Email: "new@example.test",
			Edit:     admin.EditAccount{Name: new("New")},
			Password: "nine larks by the mill", DryRun: dry}))
	})
	add("SetPassword", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.SetPassword(ctx, by, admin.SetPassword{Account: "ana@example.test",
			Password: "nine larks by the mill", DryRun: dry}))
	})
	add("DisableAccount", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.DisableAccount(ctx, by, admin.SwitchAccount{Account: "ana@example.test", DryRun: dry}))
	})
	add("EnableAccount", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.EnableAccount(ctx, by, admin.SwitchAccount{Account: "ana@example.test", DryRun: dry}))
	})
	add("SignOutAccount", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.SignOutAccount(ctx, by, admin.SignOutAccount{Account: "ana@example.test", DryRun: dry}))
	})
	add("RestrictAccount", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RestrictAccount(ctx, by, admin.RestrictAccount{Account: "ana@example.test", Only: "hub",
			DryRun: dry}))
	})
	add("UnrestrictAccount", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.UnrestrictAccount(ctx, by, admin.UnrestrictAccount{Account: "ana@example.test", DryRun: dry}))
	})
	add("UnlinkIdentity", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.UnlinkIdentity(ctx, by, admin.UnlinkIdentity{Account: "ana@example.test", Identity: "one",
			DryRun: dry}))
	})
	add("RevokeConsent", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RevokeConsent(ctx, by, admin.RevokeConsent{Account: "ana@example.test", Client: "wiki", DryRun: dry}))
	})
	connectionChanges(f, add)
	clientChanges(f, add)
	add("RotateKeyring", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RotateKeyring(ctx, by, admin.RotateKeyring{DryRun: dry}))
	})
	return names, all
}

func connectionChanges(f *fixture, add func(string, change)) {
	name := "Other"
	add("AddConnection", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.AddConnection(ctx, by, admin.AddConnection{ID: "new", Kind: "github", ClientID: "c", Secret: "s",
			Edit: admin.EditConnection{Name: &name}, DryRun: dry}))
	})
	add("ChangeConnection", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.ChangeConnection(ctx, by, admin.ChangeConnection{Connection: "hub",
			Edit: admin.EditConnection{Name: &name}, DryRun: dry}))
	})
	add("RotateConnectionSecret", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RotateConnectionSecret(ctx, by, admin.RotateConnectionSecret{Connection: "hub", Secret: "another",
			DryRun: dry}))
	})
	add("DisableConnection", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.DisableConnection(ctx, by, admin.SwitchConnection{Connection: "hub", DryRun: dry}))
	})
	add("EnableConnection", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.EnableConnection(ctx, by, admin.SwitchConnection{Connection: "hub", DryRun: dry}))
	})
	add("DeclareConnection", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.DeclareConnection(ctx, by, admin.DeclareConnection{ID: "file", Kind: "github", Name: "File",
			ClientID: "c", Secret: "s", DryRun: dry}))
	})
	add("RemoveConnection", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RemoveConnection(ctx, by, admin.RemoveConnection{Connection: "hub", DryRun: dry}))
	})
}

func clientChanges(f *fixture, add func(string, change)) {
	name, other := "Wiki", "Other"
	edit := admin.EditClient{Name: &name, RedirectURIs: []string{"https://wiki.example.test/"}}
	add("AddClient", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.AddClient(ctx, by, admin.AddClient{ID: "wiki", Edit: edit, DryRun: dry}))
	})
	add("ChangeClient", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.ChangeClient(ctx, by, admin.ChangeClient{Client: "wiki", Edit: admin.EditClient{Name: &other},
			DryRun: dry}))
	})
	add("RotateClientSecret", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RotateClientSecret(ctx, by, admin.RotateClientSecret{Client: "wiki", DryRun: dry}))
	})
	add("EndOldClientSecret", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.EndOldClientSecret(ctx, by, admin.EndOldClientSecret{Client: "wiki", DryRun: dry}))
	})
	add("DisableClient", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.DisableClient(ctx, by, admin.SwitchClient{Client: "wiki", DryRun: dry}))
	})
	add("EnableClient", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.EnableClient(ctx, by, admin.SwitchClient{Client: "wiki", DryRun: dry}))
	})
	add("CreateRegistrationToken", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.CreateRegistrationToken(ctx, by, admin.CreateRegistrationToken{Life: time.Hour, Uses: 1,
			DryRun: dry}))
	})
	add("DeclareClient", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		c := broker.Client{ID: "file", Name: "File", AuthMethods: []string{"none"}, IDTokenAlg: "RS256",
			RedirectURIs: edit.RedirectURIs,
			GrantTypes:   []string{"authorization_code"}, Scopes: []string{"openid"}}
		return events(f.DeclareClient(ctx, by, admin.DeclareClient{Client: c, DryRun: dry}))
	})
	add("RemoveClient", func(ctx context.Context, by admin.Actor, dry bool) ([]broker.Event, error) {
		return events(f.RemoveClient(ctx, by, admin.RemoveClient{Client: "wiki", DryRun: dry}))
	})
}

// everything is what the operations can change, as one text.
func (f *fixture) everything() string {
	f.t.Helper()
	ctx := f.t.Context()
	accounts, err := f.store.Accounts(ctx, "", admin.MaxList)
	connections, err2 := f.store.Connections(ctx)
	clients, err3 := f.store.Clients(ctx)
	mails, err4 := f.store.DueMail(ctx, noon(), noon(), 100)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		f.t.Fatal(err)
	}
	all := []any{accounts, connections, clients, len(mails), f.events(), f.Keyring.IDs()}
	for _, a := range accounts {
		identities, err := f.store.IdentitiesOf(ctx, a.ID)
		consents, err2 := f.store.ConsentsOf(ctx, a.ID)
		if err := errors.Join(err, err2); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, identities, consents)
	}
	text, err := json.Marshal(all)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

func TestEveryChangeRecordsItsActorAndADryRunChangesNothing(t *testing.T) {
	f := newFixture(t)
	a := f.account("ana@example.test")
	f.connection("hub")
	f.link(a, "hub", "one")
	err := f.store.PutConsent(t.Context(), broker.Consent{AccountID: a.ID, ClientID: "wiki", Version: "1",
		Scopes: []string{"openid"}, GrantedAt: noon()})
	if err != nil {
		t.Fatal(err)
	}
	names, all := changes(f)
	for _, name := range names {
		before, recorded := f.everything(), len(f.events())
		foreseen, err := all[name](t.Context(), helper(), true)
		if err != nil {
			t.Fatalf("%s, dry run: %v", name, err)
		}
		if after := f.everything(); after != before {
			t.Errorf("%s: a dry run changed something:\n%s\n%s", name, before, after)
		}
		done, err := all[name](t.Context(), helper(), false)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name != "RotateKeyring" && !slices.EqualFunc(foreseen, done, sameEvent) {
			t.Errorf("%s: the dry run foresaw %+v, done was %+v", name, foreseen, done)
		}
		log := f.events()
		if len(log) != recorded+1 || len(done) != 1 {
			t.Fatalf("%s: %d new events, %d returned", name, len(log)-recorded, len(done))
		}
		n := slices.IndexFunc(log, func(e broker.Event) bool { return e.ID == done[0].ID })
		if n < 0 || log[n].Actor != helper().ID || !sameEvent(log[n], done[0]) {
			t.Errorf("%s: recorded %+v", name, log)
		}
	}
}

// sameEvent compares but for the id, and the account, whose id is drawn for a new one.
func sameEvent(a, b broker.Event) bool {
	return a.Verb == b.Verb && a.Actor == b.Actor && a.Connection == b.Connection && a.Client == b.Client &&
		fmt.Sprint(a.Detail) == fmt.Sprint(b.Detail)
}

func TestARefusalHasACodeAndNamesItsField(t *testing.T) {
	f := newFixture(t)
	f.account("ana@example.test")
	f.connection("hub")
	bob, err := f.AddAccount(t.Context(), helper(), admin.AddAccount{Email: "bob@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	f.link(bob.Value, "hub", "last")
	for name, tc := range map[string]struct {
		do    func(context.Context) error
		code  broker.Code
		field string
	}{
		"an address that is taken": {func(ctx context.Context) error {
			_, err := f.AddAccount(ctx, helper(), admin.AddAccount{Email: "ANA@example.test"})
			return err
		}, broker.Conflict, "email"},
		"a name of two lines": {func(ctx context.Context) error {
			_, err := f.AddAccount(ctx, helper(), admin.AddAccount{Email: "x@example.test",
				Edit: admin.EditAccount{Name: new("a\nb")}})
			return err
		}, broker.RequestInvalid, "name"},
		"an unknown account": {func(ctx context.Context) error {
			_, err := f.Account(ctx, helper(), "nobody@example.test")
			return err
		}, broker.NotFound, "account"},
		"an unknown identity": {func(ctx context.Context) error {
			_, err := f.UnlinkIdentity(ctx, helper(), admin.UnlinkIdentity{Account: "ana@example.test", Identity: "none"})
			return err
		}, broker.NotFound, "identity"},
		"the last way in": {func(ctx context.Context) error {
			_, err := f.UnlinkIdentity(ctx, helper(), admin.UnlinkIdentity{Account: bob.Value.ID, Identity: "last"})
			return err
		}, broker.LastMethod, "identity"},
		"a restriction to an unknown connection": {func(ctx context.Context) error {
			_, err := f.RestrictAccount(ctx, helper(), admin.RestrictAccount{Account: "ana@example.test", Only: "hub,none"})
			return err
		}, broker.NotFound, "only"},
		"a list without a limit": {func(ctx context.Context) error {
			_, err := f.Accounts(ctx, helper(), admin.ListAccounts{})
			return err
		}, broker.RequestInvalid, "limit"},
		"a connection that is taken": {func(ctx context.Context) error {
			_, err := f.AddConnection(ctx, helper(), admin.AddConnection{ID: "hub"})
			return err
		}, broker.Conflict, "id"},
		"a connection in use": {func(ctx context.Context) error {
			_, err := f.RemoveConnection(ctx, helper(), admin.RemoveConnection{Connection: "hub"})
			return err
		}, broker.Conflict, "connection"},
		"an unknown client": {func(ctx context.Context) error {
			_, err := f.RemoveClient(ctx, helper(), admin.RemoveClient{Client: "none"})
			return err
		}, broker.NotFound, "client"},
		"a weak secret": {func(ctx context.Context) error {
			_, err := f.AddClient(ctx, helper(), admin.AddClient{Secret: "short"})
			return err
		}, broker.RequestInvalid, "secret-file"},
		"the primary key": {func(ctx context.Context) error {
			_, err := f.RetireKey(ctx, helper(), admin.RetireKey{Key: f.Keyring.Primary()})
			return err
		}, broker.Conflict, "key"},
	} {
		before := f.everything()
		err := tc.do(t.Context())
		p, ok := errors.AsType[admin.Problem](err)
		if !ok || !errors.Is(err, tc.code) || p.Field != tc.field || p.Text == "" {
			t.Errorf("%s: %#v", name, err)
		}
		if after := f.everything(); after != before {
			t.Errorf("%s changed something", name)
		}
	}
}

func TestWhatIsSoAlreadyChangesNothingAndRecordsNothing(t *testing.T) {
	f := newFixture(t)
	a := f.account("ana@example.test")
	f.connection("hub")
	before := f.everything()
	for name, do := range map[string]func(context.Context) ([]broker.Event, error){
		"EnableAccount": func(ctx context.Context) ([]broker.Event, error) {
			return events(f.EnableAccount(ctx, helper(), admin.SwitchAccount{Account: a.ID}))
		},
		"UnrestrictAccount": func(ctx context.Context) ([]broker.Event, error) {
			return events(f.UnrestrictAccount(ctx, helper(), admin.UnrestrictAccount{Account: a.ID}))
		},
		"EnableConnection": func(ctx context.Context) ([]broker.Event, error) {
			return events(f.EnableConnection(ctx, helper(), admin.SwitchConnection{Connection: "hub"}))
		},
	} {
		if recorded, err := do(t.Context()); err != nil || len(recorded) > 0 || f.everything() != before {
			t.Errorf("%s: %v, %v", name, recorded, err)
		}
	}
}

func TestASecretIsShownOnceAndNeverInADryRun(t *testing.T) {
	f := newFixture(t)
	name := "Wiki"
	in := admin.AddClient{ID: "wiki", Edit: admin.EditClient{Name: &name,
		RedirectURIs: []string{"https://wiki.example.test/"}}, DryRun: true}
	if r, err := f.AddClient(t.Context(), helper(), in); err != nil || r.Value.Secret != "" {
		t.Errorf("dry run: %v, %v", r.Value.Secret.Reveal(), err)
	}
	in.DryRun = false
	r, err := f.AddClient(t.Context(), helper(), in)
	if err != nil || len(r.Value.Secret) < 43 || len(r.Value.SecretHashes) != 1 {
		t.Fatalf("added: %+v, %v", r.Value, err)
	}
	public := admin.ChangeClient{Client: "wiki", Edit: admin.EditClient{AuthMethods: []string{"none"}}}
	if r, err := f.ChangeClient(t.Context(), helper(), public); err != nil || r.Value.Secret != "" ||
		len(r.Value.SecretHashes) != 0 {
		t.Errorf("without a secret: %+v, %v", r.Value, err)
	}
	if _, err := f.ChangeClient(t.Context(), helper(), public); !errors.Is(err, admin.ErrNoChange) {
		t.Errorf("the same again: %v", err)
	}
}

func TestAnOwnerIsMailedAboutAPasswordAndARestrictionNamesItsActor(t *testing.T) {
	f := newFixture(t)
	a := f.account("ana@example.test")
	f.connection("hub")
	if _, err := f.SetPassword(t.Context(), helper(), admin.SetPassword{Account: a.ID,
		Password: "nine larks by the mill"}); err != nil {
		t.Fatal(err)
	}
	mails, err := f.store.DueMail(t.Context(), noon(), noon().Add(time.Hour), 10)
	if err != nil || len(mails) != 1 || mails[0].To != a.Email || !strings.Contains(mails[0].Subject, "password") {
		t.Errorf("mails: %+v, %v", mails, err)
	}
	r, err := f.RestrictAccount(t.Context(), helper(), admin.RestrictAccount{Account: a.ID, Only: "hub"})
	if err != nil || r.Value.Restriction.SetBy != helper().ID || r.Value.Linked || r.Value.AuthEpoch != a.AuthEpoch+2 {
		t.Errorf("restricted: %+v, %v", r.Value, err)
	}
}

func TestADryRunOfASigningRotationMakesNoKey(t *testing.T) {
	f := newFixture(t)
	r, err := f.RotateSigning(t.Context(), helper(), admin.RotateSigning{Emergency: true, DryRun: true})
	if err != nil || len(r.Events) != 1 || r.Events[0].Actor != helper().ID ||
		r.Events[0].Detail["signing"] != "emergency" {
		t.Errorf("events %+v, %v", r.Events, err)
	}
	if keys, err := f.Keys(t.Context(), helper()); err != nil || len(keys.Signing) > 0 || len(keys.Keyring) != 1 ||
		len(f.events()) > 0 {
		t.Errorf("keys %+v, %v", keys, err)
	}
}
