package oidc

import (
	"net/http"
	"os"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/storage/storetest"
)

// shaky is a replica whose line to the database is cut at will, beside one whose
// line holds.
type shaky struct {
	*harness // that holds
	weak     *harness
	line     *storetest.Line
}

func newShaky(t *testing.T) shaky {
	t.Helper()
	at := storetest.Postgres(t, os.Getenv("GATEHOUSE_TEST_POSTGRES"))
	s := shaky{harness: newHarnessAt(t, at, "", ports{})}
	weak := *s.harness
	s.line, weak.url = storetest.NewLine(t, at)
	s.weak = weak.replica(ports{})
	return s
}

// sweep runs do once for each message that it sends to the database, with the
// line cut there, until it is done before the cut.
func (s shaky) sweep(prepare func() (do func() answer, check func(a answer))) {
	s.t.Helper()
	cuts := 0
	for n := int64(1); ; n++ {
		undisturbed := 0
		for _, after := range []bool{false, true} {
			do, check := prepare()
			for s.weak.db.Ping(s.ctx()) != nil { // until the pool has a line again
			}
			s.line.Cut(n, after)
			a := do()
			if s.line.Mend() {
				cuts++
			} else {
				undisturbed++
			}
			if a.StatusCode != http.StatusOK && a.StatusCode < 500 {
				s.t.Fatalf("cut at message %d (after: %v): %d %s", n, after, a.StatusCode, a.body)
			}
			check(a)
			if s.t.Failed() {
				s.t.Fatalf("cut at message %d (after: %v): %d %s", n, after, a.StatusCode, a.body)
			}
		}
		if undisturbed == 2 {
			break
		}
	}
	if cuts < 6 {
		s.t.Errorf("only %d cuts", cuts)
	}
}

func TestH6_ACutAtAnyStatementOfACodesRedemptionNeverGivesTwoGrants(t *testing.T) {
	s := newShaky(t)
	grants := 0
	s.sweep(func() (func() answer, func(answer)) {
		code := s.browser().code(ask())
		return func() answer { return s.weak.redeem(code) }, func(first answer) {
			again := s.redeem(code)
			switch {
			case first.StatusCode == http.StatusOK:
				s.wants(again, http.StatusBadRequest, "invalid_grant")
				grants++
				if s.active(first.text("access_token")) {
					t.Error("a code was spent twice and its tokens live")
				}
			case again.StatusCode == http.StatusOK: // nothing had been written
				grants++
				if !s.active(again.text("access_token")) {
					t.Error("what was given at last is dead")
				}
			default: // written without a response: the code is consumed and its grant over
				grants++
				s.wants(again, http.StatusBadRequest, "invalid_grant")
			}
			if n := len(s.events(broker.EventFilter{Verb: broker.EventTokenIssued})); n != grants {
				t.Errorf("%d grants are recorded, want %d", n, grants)
			}
			s.wants(s.redeem(s.browser().code(ask())), http.StatusOK, "") // the person starts again
			grants++
		}
	})
}

func TestH6_ACutAtAnyStatementOfARefreshLeavesOneSuccessor(t *testing.T) {
	s := newShaky(t)
	s.sweep(func() (func() answer, func(answer)) {
		token := s.signIn().text("refresh_token")
		return func() answer { return s.weak.refresh(token) }, func(first answer) {
			again := s.wants(s.refresh(token), http.StatusOK, "").text("refresh_token")
			if first.StatusCode == http.StatusOK && first.text("refresh_token") != again {
				t.Error("two successors")
			}
			f, _, err := s.db.Grant(s.ctx(), mustOpen(t, s.harness, token).grant)
			s.must(err)
			if f.RefreshCounter != 2 || !f.EndedAt.IsZero() {
				t.Errorf("refresh counter %d, ended %v", f.RefreshCounter, f.EndedAt)
			}
			s.wants(s.refresh(again), http.StatusOK, "")
		}
	})
}

func TestH6_ACutAtAnyStatementOfARevocationIsNeverAnsweredAsDone(t *testing.T) {
	s := newShaky(t)
	secret := s.client(broker.Client{ID: "machine", Name: "Machine", AuthMethods: []string{"client_secret_post"}})
	for name, made := range map[string]func() (string, []string){
		"access":  func() (string, []string) { return s.signIn().text("access_token"), nil },
		"refresh": func() (string, []string) { return s.signIn().text("refresh_token"), nil },
		"machine": func() (string, []string) {
			auth := []string{"client_id", "machine", "client_secret", secret}
			return s.token(append(auth, "grant_type", clients.GrantClient)...).text("access_token"), auth
		},
	} {
		s.sweep(func() (func() answer, func(answer)) {
			token, auth := made()
			form := append([]string{"token", token}, auth...)
			live := func() bool { return s.call("/introspect", form...).json["active"] == true }
			if !live() {
				t.Fatalf("%s: nothing to revoke", name)
			}
			return func() answer { return s.weak.call("/revoke", form...) }, func(first answer) {
				if first.StatusCode == http.StatusOK && live() {
					t.Errorf("%s: revoked, and alive", name)
				}
				s.wants(s.call("/revoke", form...), http.StatusOK, "")
				if live() {
					t.Errorf("%s: revoked at last, and alive", name)
				}
			}
		})
	}
}
