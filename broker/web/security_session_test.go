package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/broker"
)

func TestE14_APlantedCookieCountsAsNone(t *testing.T) {
	h := open(t)
	key := broker.NewToken()
	with := func(cookies ...string) *http.Request {
		r := get("/x")
		for _, c := range cookies {
			r.AddCookie(&http.Cookie{Name: h.cookieName(cookieBrowser), Value: c})
		}
		return r
	}
	if hashes, ok := h.Browser(with(key)); !ok || hashes[0] != h.EnsureBrowser(httptest.NewRecorder(), with(key)) {
		t.Fatal("its own key is not known again")
	}
	for name, r := range map[string]*http.Request{"none": with(), "two of one name": with(key, broker.NewToken()),
		"a short one": with("AAAA"), "strange letters": with(strings.Repeat("!", 52)), "an empty one": with("")} {
		if _, ok := h.Browser(r); ok {
			t.Errorf("%s is taken for a browser key", name)
		}
	}
	tossed := get("/x")
	tossed.AddCookie(&http.Cookie{Name: "gh_browser", Value: key})
	if _, ok := h.Browser(tossed); ok {
		t.Error("a cookie without the prefix is taken")
	}
}

func TestE13_ASessionIsNeverTheOneThatWasPlanted(t *testing.T) {
	h := open(t)
	planted, _ := h.NewSession([]byte(broker.NewToken()))
	r := get("/x")
	r.AddCookie(&http.Cookie{Name: h.cookieName(cookieSession), Value: planted})
	if _, _, err := h.Current(r, ""); broker.CodeOf(err) != broker.NotFound {
		t.Errorf("an unknown id: %v", err)
	}
	if fresh, hash := h.NewSession([]byte(broker.NewToken())); fresh == planted || strings.Contains(hash, fresh) {
		t.Error("the new session has the planted id, or is stored as it is")
	}
}

func TestE16_ASessionLivesOnlyAsLongAsEverythingItStandsOn(t *testing.T) {
	h := open(t)
	token, hash := h.NewSession([]byte(broker.NewToken()))
	r := get("/x")
	r.AddCookie(&http.Cookie{Name: h.cookieName(cookieSession), Value: token})
	live := broker.Session{ID: "s", AccountID: "ana", ExpiresAt: noon.Add(broker.SessionLife),
		Authn: broker.Authn{Method: broker.ByUpstream, Connection: "google", Epoch: 3}}
	google := broker.Connection{ID: "google", State: broker.Live}
	for name, tc := range map[string]struct {
		change func(*broker.Session, *broker.Account, map[string]broker.Connection)
		want   error
	}{
		"as it is": {func(*broker.Session, *broker.Account, map[string]broker.Connection) {}, nil},
		"ended": {func(s *broker.Session, _ *broker.Account, _ map[string]broker.Connection) { s.EndedAt = noon },
			broker.NotFound},
		"expired": {func(s *broker.Session, _ *broker.Account, _ map[string]broker.Connection) { s.ExpiresAt = noon },
			broker.NotFound},
		"disabled": {func(_ *broker.Session, a *broker.Account, _ map[string]broker.Connection) { a.Disabled = true },
			broker.AccountDisabled},
		"an older epoch": {func(_ *broker.Session, a *broker.Account, _ map[string]broker.Connection) {
			a.AuthEpoch = 4
		}, broker.StartAgain},
		"connection off": {func(_ *broker.Session, _ *broker.Account, c map[string]broker.Connection) {
			c["google"] = broker.Connection{ID: "google", State: broker.Disabled}
		}, broker.ConnectionDisabled},
		"connection gone": {func(_ *broker.Session, _ *broker.Account, c map[string]broker.Connection) {
			delete(c, "google")
		}, broker.ConnectionDisabled},
	} {
		s, a := live, broker.Account{ID: "ana", AuthEpoch: 3}
		h.store.connections = map[string]broker.Connection{"google": google}
		tc.change(&s, &a, h.store.connections)
		h.store.sessions, h.store.accounts = map[string]broker.Session{hash: s}, map[string]broker.Account{"ana": a}
		got, _, err := h.Current(r, "")
		if tc.want == nil && (err != nil || got.ID != "s") || tc.want != nil &&
			(broker.CodeOf(err) != tc.want || got.ID != "") {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
	h.store.fail = io.ErrUnexpectedEOF
	if _, _, err := h.Current(r, ""); broker.CodeOf(err) != broker.Internal {
		t.Errorf("storage fails: %v", err)
	}
}

func TestEndingASessionEndsItsGrantsAndIsRecorded(t *testing.T) {
	h := open(t)
	w := httptest.NewRecorder()
	if err := h.EndSession(w, get("/x"), broker.Session{ID: "s", AccountID: "ana"}); err != nil {
		t.Fatal(err)
	}
	if len(h.store.ended) != 1 || h.store.grants[0].Session != "s" || h.store.events[0].Verb != broker.EventSignedOut ||
		h.store.events[0].Session != "s" {
		t.Errorf("%v %v %v", h.store.ended, h.store.grants, h.store.events)
	}
	h.store.fail = io.ErrUnexpectedEOF
	w = httptest.NewRecorder()
	if err := h.EndSession(w, get("/x"), broker.Session{ID: "s"}); err == nil || len(w.Result().Cookies()) != 0 {
		t.Error("the cookie was taken back though the session still lives")
	}
}
