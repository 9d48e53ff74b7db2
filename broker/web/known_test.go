package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/broker"
)

// acquainted returns a request of a browser that has signed in to the accounts in this order.
func acquainted(h *harness, accounts ...broker.Account) *http.Request {
	r := get("/x")
	r.AddCookie(&http.Cookie{Name: h.cookieName(cookieBrowser), Value: broker.NewToken()})
	for _, a := range accounts {
		r = meets(h, r, a)
	}
	return r
}

// meets returns the same browser's next request after it signed in to an account.
func meets(h *harness, r *http.Request, a broker.Account) *http.Request {
	w := httptest.NewRecorder()
	h.SetKnown(w, r, a)
	next := get("/x")
	for _, c := range r.Cookies() {
		if c.Name != h.cookieName(cookieKnown) {
			next.AddCookie(c)
		}
	}
	for _, c := range w.Result().Cookies() {
		next.AddCookie(c)
	}
	return next
}

func TestE2_ABrowserIsKnownOnlyToTheAccountsThatItSignedInTo(t *testing.T) {
	h := open(t)
	a, b := broker.Account{ID: broker.NewID()}, broker.Account{ID: broker.NewID()}
	r := acquainted(h, a)
	if !h.Known(r, a) || h.Known(r, b) || h.Known(r, broker.Account{}) {
		t.Error("known to another account, or not to its own")
	}
	if stranger := acquainted(h); h.Known(stranger, a) {
		t.Error("a new browser is known")
	}
	if both := meets(h, r, b); !h.Known(both, a) || !h.Known(both, b) {
		t.Error("the second sign-in forgot the first")
	}
}

func TestE2_TheKnownCookieIsWorthNothingInAnotherBrowserOrAfterTheAccountChanged(t *testing.T) {
	h := open(t)
	a := broker.Account{ID: broker.NewID(), AuthEpoch: 3}
	r := acquainted(h, a)
	stolen := h.cookie(r, cookieKnown)
	if strings.Contains(stolen, a.ID) {
		t.Error("it names the account")
	}
	for name, other := range map[string]*http.Request{"another browser": acquainted(h), "no browser key": get("/x")} {
		other.AddCookie(&http.Cookie{Name: h.cookieName(cookieKnown), Value: stolen})
		if h.Known(other, a) {
			t.Errorf("taken from %s", name)
		}
	}
	changed := a
	changed.AuthEpoch++
	if h.Known(r, changed) {
		t.Error("still known after the account changed")
	}
	if again := meets(h, r, changed); !h.Known(again, changed) {
		t.Error("a new sign-in does not renew it")
	}
	for _, junk := range []string{"", "~", strings.Repeat("~", 900), stolen + "!", strings.Repeat(stolen+"~", 40),
		"k1." + strings.Repeat("A", 43), strings.ToUpper(stolen)} {
		other := get("/x")
		other.AddCookie(&http.Cookie{Name: h.cookieName(cookieBrowser), Value: h.cookie(r, cookieBrowser)})
		other.AddCookie(&http.Cookie{Name: h.cookieName(cookieKnown), Value: junk})
		if h.Known(other, a) {
			t.Errorf("%.60q is taken", junk)
		}
	}
}

func TestE2_ABrowserStaysKnownToTheLastEightAccountsAndThroughATurnOfTheKeyring(t *testing.T) {
	h := open(t)
	accounts := make([]broker.Account, maxKnown+1)
	for i := range accounts {
		accounts[i].ID = broker.NewID()
	}
	r := acquainted(h, accounts...)
	if h.Known(r, accounts[0]) {
		t.Error("a ninth account did not push the first out")
	}
	for _, a := range accounts[1:] {
		if !h.Known(r, a) {
			t.Error("one of the last eight is forgotten")
		}
	}
	if again := meets(h, r, accounts[5]); len(h.knownTo(again)) != maxKnown || !h.Known(again, accounts[1]) {
		t.Error("the same account again took a second place")
	}
	if err := h.Keyring.Rotate(h.Now()); err != nil {
		t.Fatal(err)
	}
	if !h.Known(r, accounts[3]) {
		t.Error("forgotten with the turn of the keyring")
	}
}

func TestE2_ASignOutKeepsTheBrowserKnown(t *testing.T) {
	h := open(t)
	w := httptest.NewRecorder()
	if err := h.EndSession(w, acquainted(h, broker.Account{ID: "ana"}), broker.Session{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Name == h.cookieName(cookieKnown) {
			t.Error(c.Raw)
		}
	}
}
