package oidc

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/broker"
)

func TestAnAppThatNamesItselfWithoutAHintGetsThePersonBackAfterOneQuestion(t *testing.T) {
	h, b, _ := signedIn(t)
	path := leave("client_id", "app", "post_logout_redirect_uri", goodbye, "state", "x")
	if a := b.get(path); a.StatusCode != http.StatusOK || !sealed.MatchString(a.body) || !b.alive() {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	a := b.leaves(path)
	if to := hrefOf(t, a, goodbye); to.String() != goodbye+"?state=x" || b.alive() {
		t.Errorf("%d %s", a.StatusCode, to)
	}
	if a := b.get(path); a.backAt() != goodbye+"?state=x" {
		t.Errorf("signed out already: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.signedOut(b)
}

func TestA4_WithoutAHintOnlyARegisteredAddressOfTheNamedAppIsFollowed(t *testing.T) {
	h, b, got := signedIn(t)
	h.client(broker.Client{ID: "other", Name: "Other", AuthMethods: []string{"client_secret_basic"},
		PostLogoutRedirectURIs: []string{"https://other.example.com/"}})
	id := got.text("id_token")
	for name, path := range map[string]string{
		"another app's address":   leave("client_id", "other", "post_logout_redirect_uri", goodbye),
		"an unknown app":          leave("client_id", "nobody", "post_logout_redirect_uri", goodbye),
		"no app":                  leave("post_logout_redirect_uri", goodbye),
		"an unregistered address": leave("client_id", "app", "post_logout_redirect_uri", goodbye+"?x=1"),
		"a forged hint": leave("client_id", "app", "id_token_hint", id[:len(id)-6]+"AAAAAA", "post_logout_redirect_uri",
			goodbye),
		"the hint of another app":  leave("client_id", "other", "id_token_hint", id, "post_logout_redirect_uri", goodbye),
		"an address of two of its": leave("client_id", "app", "post_logout_redirect_uri", goodbye+" "+goodbye),
	} {
		a := b.leaves(path)
		if strings.Contains(a.body, goodbye) || strings.HasPrefix(a.Header.Get("Location"), goodbye) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		if a := h.browser().get(path); a.StatusCode != http.StatusOK || strings.Contains(a.body, `href="`+goodbye) {
			t.Errorf("%s, signed out: %d %s", name, a.StatusCode, a.Header.Get("Location"))
		}
		b.code(ask())
	}
}

func TestAHintThatTheAppsServerSendsEndsTheSessionItNames(t *testing.T) {
	h, b, got := signedIn(t)
	other := h.browser()
	other.code(ask())
	server := h.browser() // without cookies
	for range 2 {
		a := server.get(leave("id_token_hint", got.text("id_token")))
		if a.StatusCode != http.StatusOK || b.alive() || !other.alive() {
			t.Fatalf("%d, the session lives: %v, the other one: %v", a.StatusCode, b.alive(), other.alive())
		}
	}
	h.wants(h.refresh(got.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
	e := h.events(broker.EventFilter{Verb: broker.EventSignedOut})
	if len(e) != 1 || e[0].Client != "app" || e[0].Account != "ana" {
		t.Errorf("events %+v", e)
	}
}

func TestA16_OnlyAHintThatWeSignedAndNoSessionOfItsOwnEndsAnotherBrowsersSession(t *testing.T) {
	h, b, got := signedIn(t)
	id := got.text("id_token")
	stranger, victim := h.browser(), h.browser()
	h.logins.account = "bob"
	bob := ana(h.clock.Now())
	bob.ID, bob.Email = "bob", "bob@example.com"
	h.must(h.db.CreateAccount(h.ctx(), bob))
	victim.code(ask())
	for name, send := range map[string]func() answer{
		"a forged hint":             func() answer { return stranger.get(leave("id_token_hint", id[:len(id)-6]+"AAAAAA")) },
		"client_id of another app":  func() answer { return stranger.get(leave("id_token_hint", id, "client_id", "x")) },
		"in a browser with its own": func() answer { return victim.get(leave("id_token_hint", id)) },
		"no hint":                   func() answer { return stranger.get(leave("client_id", "app", "sid", "x")) },
	} {
		if a := send(); a.StatusCode != http.StatusOK || !b.alive() || !victim.alive() {
			t.Errorf("%s: %d, alive: %v, the victim's: %v", name, a.StatusCode, b.alive(), victim.alive())
		}
	}
}

func TestAnUnregisteredReturnAddressIsReportedToPersonAndDeveloper(t *testing.T) {
	const sent = goodbye + "/typo"
	for name, walk := range map[string]func(b *browser, got answer) answer{
		"with a hint": func(b *browser, got answer) answer {
			return b.get(leave("id_token_hint", got.text("id_token"), "post_logout_redirect_uri", sent))
		},
		"after the question": func(b *browser, _ answer) answer {
			return b.leaves(leave("client_id", "app", "post_logout_redirect_uri", sent))
		},
		"signed out already": func(b *browser, _ answer) answer {
			clear(b.cookies)
			return b.get(leave("client_id", "app", "post_logout_redirect_uri", sent))
		},
	} {
		h, b, got := signedIn(t)
		a := walk(b, got)
		if a.StatusCode != http.StatusOK || strings.Contains(a.body, sent) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		events := h.events(broker.EventFilter{Verb: broker.EventRequestRefused})
		if len(events) != 1 {
			t.Fatalf("%s: events %+v", name, events)
		}
		e := events[0]
		if e.Client != "app" || e.Code != broker.RedirectURIMismatch || e.Detail["sent"] != sent ||
			e.Detail["registered"] != goodbye || !strings.Contains(e.Detail["setting"], "clients change app --post-logout") {
			t.Errorf("%s: %+v", name, e)
		}
		if !strings.Contains(a.body, "<bdi>The App</bdi>") && !strings.Contains(a.body, "The App sent an address") ||
			!strings.Contains(a.body, e.Reference) {
			t.Errorf("%s: the page does not say so: %s", name, a.body)
		}
	}
}
