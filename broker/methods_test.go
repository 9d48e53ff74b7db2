package broker

import (
	"errors"
	"fmt"
	"testing"
)

// Every combination of password, identities, connections and lock is held against
// the rule said in other words: what is left must let the person in by the gate.
func TestC17_TheLastSignInMethodIsNotUnlinked(t *testing.T) {
	google, corp := Connection{ID: "google", State: Live}, Connection{ID: "corp", State: Live}
	off := func(c Connection) Connection { c.State = Disabled; return c }
	g, g2, c := Identity{ID: "g", Connection: "google"}, Identity{ID: "g2", Connection: "google"},
		Identity{ID: "c", Connection: "corp"}
	locks := map[string]*Restriction{"no lock": nil, "locked to corp": {Connections: []string{"corp"}},
		"locked to google": {Connections: []string{"google"}}}
	tried, allowed := 0, 0
	for name, lock := range locks {
		for _, have := range [][]Identity{{g}, {c}, {g, c}, {g, g2}, {g, g2, c}} {
			for _, connections := range [][]Connection{{google, corp}, {off(google), corp}, {google, off(corp)},
				{off(google), off(corp)}, {google}} {
				for _, hash := range []string{"", "$argon2id$"} {
					for _, passwords := range []bool{true, false} {
						a := Account{ID: "a", PasswordHash: hash, Restriction: lock}
						for _, gone := range have {
							err := MayUnlink(a, gone, SignInMethodsOf(a, have, connections, passwords))
							want := Code("")
							switch {
							case lock != nil && lock.Allows(gone.Connection):
								want = MethodRequired
							case !letsIn(a, have, gone, connections, passwords):
								want = LastMethod
							}
							tried++
							if want == "" {
								allowed++
							}
							if want == "" && err != nil || want != "" && !errors.Is(err, want) {
								t.Errorf("%s, %v of %v, %v, hash %q, passwords %v: %v, want %q", name, gone.ID, have, connections, hash,
									passwords, err, want)
							}
						}
					}
				}
			}
		}
	}
	if tried < 400 || allowed < 50 {
		t.Errorf("only %d cases, %d allowed", tried, allowed)
	}
}

// letsIn asks the gate about each thing that is left.
func letsIn(a Account, have []Identity, gone Identity, connections []Connection, passwords bool) bool {
	if a.HasPassword() && passwords && Admit(LoadedFacts(Facts{Account: &a, Authn: Authn{Method: ByPassword}})) == nil {
		return true
	}
	for _, i := range have {
		for _, c := range connections {
			if i.ID != gone.ID && i.Connection == c.ID &&
				Admit(LoadedFacts(Facts{Account: &a, Connection: &c, Authn: Authn{Method: ByUpstream, Connection: c.ID}})) == nil {
				return true
			}
		}
	}
	return false
}

func TestA4_ALoginWithoutAnAppEndsOnlyAtOurOwnPages(t *testing.T) {
	for _, p := range []Purpose{PurposeSignIn, PurposeLink, PurposeReauthenticate, "https://evil.test"} {
		if to := p.Ends(); to != AccountPath && to != MethodsPath {
			t.Errorf("%q ends at %q", p, to)
		}
	}
}

func TestAFreshProofNeedsNoPassword(t *testing.T) {
	now := noon
	a := Account{ID: "a", Email: "ana@example.com"}
	c := Connection{ID: "google", State: Live}
	f := Facts{Now: now, Account: &a, Connection: &c, Passwords: true, Authn: Authn{Method: ByUpstream,
		Connection: "google"}}
	l := Login{AccountID: "a", Fresh: true, CreatedAt: now, ExpiresAt: now.Add(LoginLife),
		Claims: &Claims{Connection: "google"}}
	for purpose, want := range map[Purpose]string{PurposeSignIn: "confirm <nil>",
		PurposeReauthenticate: "confirm <nil>"} {
		l.Purpose = purpose
		step, _, err := Next(l, LoadedFacts(f))
		if got := fmt.Sprintf("%s %v", step, err); got != want {
			t.Errorf("%q: %q, want %q", purpose, got, want)
		}
	}
	f.Authn.AuthTime = now
	if step, _, err := Next(l, LoadedFacts(f)); step != StepDone || err != nil {
		t.Errorf("%q %v", step, err)
	}
}

func TestC5_ALinkFromInsideWaitsOnlyForWhoAskedForIt(t *testing.T) {
	now := noon
	l := Login{Purpose: PurposeLink, For: "a", Connection: "google", ExpiresAt: now.Add(LoginLife)}
	for name, tc := range map[string]struct {
		acting *Account
		want   string
	}{
		"who asked":          {&Account{ID: "a"}, "depart <nil>"},
		"somebody else":      {&Account{ID: "b"}, " start_again"},
		"nobody, signed out": {nil, " start_again"},
	} {
		step, _, err := Next(l, LoadedFacts(Facts{Now: now, Acting: tc.acting}))
		if got := fmt.Sprintf("%s %v", step, err); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestC5_OnlyWhoAskedAndProvedItLatelyGetsTheLink(t *testing.T) {
	c := Connection{ID: "google", State: Live}
	l := Login{Purpose: PurposeLink, For: "a", Claims: &Claims{Connection: "google", Subject: "g"}}
	good := Facts{Now: noon, Connection: &c, Acting: &Account{ID: "a"}, ActingAs: Authn{Method: ByPassword,
		AuthTime: noon.Add(-LinkFresh)}}
	for name, tc := range map[string]struct {
		edit func(*Facts)
		want string
	}{
		"who asked, lately": {func(*Facts) {}, "link_here <nil>"},
		"at the last moment": {func(f *Facts) { f.ActingAs.AuthTime = noon.Add(-LinkFresh - UpstreamRequestLife) },
			"link_here <nil>"},
		"a moment too late": {func(f *Facts) { f.ActingAs.AuthTime = noon.Add(-LinkFresh - UpstreamRequestLife - 1) },
			" start_again"},
		"whose proof has no time":  {func(f *Facts) { f.ActingAs = Authn{Method: ByUpstream} }, " start_again"},
		"somebody else":            {func(f *Facts) { f.Acting = &Account{ID: "b"} }, " start_again"},
		"nobody":                   {func(f *Facts) { f.Acting = nil }, " start_again"},
		"an identity of another's": {func(f *Facts) { f.Linked = &Account{ID: "b"} }, " link_conflict"},
		"an identity of their own": {func(f *Facts) { f.Linked = &Account{ID: "a"} }, "already <nil>"},
		"under a lock": {func(f *Facts) {
			f.Acting = &Account{ID: "a", Restriction: &Restriction{Only: OnlyMicrosoft}}
		}, " microsoft_required"},
	} {
		f := good
		tc.edit(&f)
		v, err := Resolve(l, LoadedFacts(f))
		if got := fmt.Sprintf("%s %v", v.Outcome, err); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
