package login_test

import (
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"gatehouse/broker"
)

// captured is an app with Ana signed in by google in two browsers, whose upstream
// sessions are s1 and s2, and by facebook in a third.
func captured(t *testing.T) (g *fixture, sids [3]string) {
	g = newFixture(t)
	a := g.account(ana, "")
	g.linked(a, "google", "g1")
	g.linked(a, "facebook", "g1") // the same subject at another upstream
	for i, from := range []struct{ connection, sid string }{{"google", "s1"}, {"google", "s2"}, {"facebook", "s1"}} {
		c := verified("g1", ana)
		c.SID = from.sid
		g.claims("code", c)
		b := g.browser()
		path, _ := b.begin()
		p := b.through(path, from.connection, "code")
		p.atApp(t, ana)
		sids[i] = p.sid()
	}
	return g, sids
}

func (g *fixture) lives(session string) bool {
	g.t.Helper()
	return g.session(session).EndedAt.IsZero()
}

// session returns the stored session, of any account.
func (g *fixture) session(id string) broker.Session {
	g.t.Helper()
	accounts, err := g.db.Accounts(g.t.Context(), "", 100)
	must(g.t, err)
	for _, a := range accounts {
		sessions, err := g.db.SessionsOf(g.t.Context(), a.ID)
		must(g.t, err)
		if i := slices.IndexFunc(sessions, func(s broker.Session) bool { return s.ID == id }); i >= 0 {
			return sessions[i]
		}
	}
	g.t.Fatalf("no session %s", id)
	return broker.Session{}
}

func (g *fixture) tell(n broker.Notice) page {
	g.ups.notice = func(kind broker.NoticeKind, _ url.Values) (broker.Notice, error) {
		n.Kind, n.Issuer, n.Expires = kind, "https://google.test", g.time().Add(time.Minute)
		return n, nil
	}
	return g.browser().request("POST", "/callback/google/logout", url.Values{"logout_token": {"x"}})
}

func TestA18_ALogoutEndsWhatItsOwnConnectionBroughtAndNothingElse(t *testing.T) {
	for name, row := range map[string]struct {
		notice broker.Notice
		live   [3]bool
	}{
		"a session of it":        {broker.Notice{SID: "s1", ID: "j"}, [3]bool{false, true, true}},
		"a person":               {broker.Notice{Subject: "g1", ID: "j"}, [3]bool{false, false, true}},
		"a person's session":     {broker.Notice{Subject: "g1", SID: "s2", ID: "j"}, [3]bool{true, false, true}},
		"a session of nobody":    {broker.Notice{SID: "s3", ID: "j"}, [3]bool{true, true, true}},
		"nobody":                 {broker.Notice{Subject: "g2", ID: "j"}, [3]bool{true, true, true}},
		"nobody, with a session": {broker.Notice{Subject: "g2", SID: "s1", ID: "j"}, [3]bool{true, true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			g, sids := captured(t)
			g.tell(row.notice).has(t, 200)
			ended := 0
			for i, sid := range sids {
				if g.lives(sid) != row.live[i] {
					t.Errorf("session %d lives: %v", i, g.lives(sid))
				}
				if !row.live[i] {
					ended++
				}
			}
			if n := len(g.events(broker.EventUpstreamLogout)); n != ended {
				t.Errorf("%d events of %d ended sessions", n, ended)
			}
		})
	}
}

func TestA18_ALogoutIsLoggedOnce(t *testing.T) {
	g, sids := captured(t)
	g.tell(broker.Notice{Subject: "g1", SID: "s1", ID: "j"}).has(t, 200)
	g.tell(broker.Notice{Subject: "g1", ID: "j"}).has(t, 400)
	if g.lives(sids[0]) || !g.lives(sids[1]) {
		t.Error("the same logout did something again, or nothing at first")
	}
	g.tell(broker.Notice{Subject: "g1", ID: "j2"}).has(t, 200)
	if g.lives(sids[1]) {
		t.Error("the next logout was not heard")
	}
}

func TestA18_AFrontChannelLogoutEndsTheSessionThatItNames(t *testing.T) {
	g, sids := captured(t)
	g.ups.notice = func(kind broker.NoticeKind, form url.Values) (broker.Notice, error) {
		if kind != broker.NoticeFrontLogout {
			t.Errorf("a GET is taken for %q", kind)
		}
		return broker.Notice{Kind: kind, SID: form.Get("sid")}, nil
	}
	for range 2 { // a frame may load twice
		g.browser().request("GET", "/callback/google/logout?sid=s1&iss=x", nil).has(t, 200)
	}
	if got := [3]bool{g.lives(sids[0]), g.lives(sids[1]), g.lives(sids[2])}; got != [3]bool{false, true, true} {
		t.Errorf("living sessions %v", got)
	}
}

func TestAnAdministratorIsLedToTheApprovalAndBack(t *testing.T) {
	g := newFixture(t)
	g.ups.approval = "https://google.test/adminconsent"
	g.refuses("no", broker.AdminApproval.Because(errors.New("AADSTS90094")))
	b := g.browser()
	path, _ := b.begin()
	b.get(b.callback(path, "google", "no")).has(t, 403, "https://google.test/adminconsent", "approve for my organisation")
	// What comes back proves nothing; its tenant parameter is anybody's to change.
	if p := b.request("GET", "/callback/google?admin_consent=True&tenant=x", nil); p.header.Get("Location") != "/login" {
		t.Errorf("%d %v", p.status, p.header)
	}
}
