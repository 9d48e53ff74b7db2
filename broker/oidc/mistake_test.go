package oidc

import (
	"bytes"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// logLines is what the handler and its toolkit log from now on.
func (h *harness) logLines() *bytes.Buffer {
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil))
	h.handler.log, h.toolkit.Log = log, log
	return &b
}

// told fails unless each of the three places names every part.
func (h *harness) told(name string, page, log string, e broker.Event, parts ...string) {
	h.t.Helper()
	var detail strings.Builder
	for _, v := range e.Detail {
		detail.WriteString(v + "\n")
	}
	for _, part := range parts {
		for place, text := range map[string]string{"page": html.UnescapeString(page), "log": log,
			"audit": detail.String() + e.Client} {
			if !strings.Contains(text, part) {
				h.t.Errorf("%s: the %s does not name %q: %s", name, place, part, text)
			}
		}
	}
}

func TestARefusalBeforeTheRedirectNamesTheAppWhatItSentWhatIsRegisteredAndTheSetting(t *testing.T) {
	const typo = "https://app.example.com/calback"
	for name, c := range map[string]struct {
		form  url.Values
		code  broker.Code
		parts []string
	}{
		"another redirect URI": {ask("redirect_uri", typo), broker.RedirectURIMismatch,
			[]string{"app", typo, callback, "gatehouse clients change app --redirect-uri"}},
		"no redirect URI": {ask("redirect_uri", "-"), broker.RedirectURIMismatch, []string{"app", callback}},
		"an unknown app": {ask("client_id", "nosuchapp"), broker.ClientUnknown,
			[]string{"nosuchapp", "gatehouse clients list"}},
		"a repeated parameter": {url.Values{"client_id": {"app", "other"}, "redirect_uri": {callback}},
			broker.RequestInvalid, []string{"client_id", "app other"}},
		"a long request": {ask("state", strings.Repeat("x", maxRequest)), broker.RequestInvalid, []string{"state", "xxx..."}},
	} {
		h := newHarness(t)
		log := h.logLines()
		a := h.browser().get("/authorize?" + c.form.Encode())
		h.page(a, c.code)
		events := h.events(broker.EventFilter{Verb: broker.EventRequestRefused})
		if len(events) != 1 {
			t.Fatalf("%s: %d events", name, len(events))
		}
		h.told(name, a.body, log.String(), events[0], c.parts...)
	}
}

func TestADisabledAppIsNamedInTheLogOnly(t *testing.T) {
	h := newHarness(t)
	h.change("app", func(c *broker.Client) { c.Disabled = true })
	log := h.logLines()
	a := h.browser().get("/authorize?" + ask().Encode())
	h.page(a, broker.ClientUnknown)
	if strings.Contains(a.body, "disabled") || !strings.Contains(log.String(), "clients enable") {
		t.Errorf("page %s\nlog %s", a.body, log)
	}
}

func TestA23_WhatAStrangerSendsIsShownShortAndInASCII(t *testing.T) {
	h := newHarness(t)
	log := h.logLines()
	a := h.browser().get("/authorize?" + ask("redirect_uri", "https://x/\u202e\n<b>"+strings.Repeat("y", 1500)).Encode())
	h.page(a, broker.RedirectURIMismatch)
	e := h.events(broker.EventFilter{Verb: broker.EventRequestRefused})[0]
	_, details, _ := strings.Cut(a.body, `<dl id="details">`)
	details, _, _ = strings.Cut(details, "</dl>")
	for place, text := range map[string]string{"page": details, "log": log.String(), "audit": e.Detail["sent"]} {
		if strings.Contains(text, "\u202e") || strings.Contains(text, strings.Repeat("y", 400)) ||
			place == "page" && strings.Contains(text, "<b>") {
			t.Errorf("%s: %s", place, text)
		}
	}
}

func TestAnErrorOfTheTokenEndpointNamesTheAppWhatItSentAndTheSetting(t *testing.T) {
	for name, c := range map[string]struct {
		form  url.Values
		basic [2]string
		error string
		parts []string
		never string
	}{
		"an unknown app": {url.Values{"client_id": {"nosuchapp"}, "client_secret": {"open-sesame"}}, [2]string{},
			"invalid_client", []string{"nosuchapp", "gatehouse clients list"}, "open-sesame"},
		"a wrong secret": {url.Values{}, [2]string{"app", "open-sesame"}, "invalid_client",
			[]string{"app", "gatehouse clients secret app"}, "open-sesame"},
		"another method": {url.Values{"client_id": {"app"}}, [2]string{}, "invalid_client",
			[]string{"app", "none", "client_secret_basic", "gatehouse clients change app --auth-method"}, ""},
		"an unregistered grant": {url.Values{"grant_type": {clients.GrantDevice}}, [2]string{"app", ""},
			"unauthorized_client", []string{"app", clients.GrantDevice, "gatehouse clients change app --grant"}, ""},
		"an unregistered scope": {url.Values{"grant_type": {clients.GrantClient}, "scope": {"films"}}, [2]string{"app", ""},
			"invalid_scope", []string{"app", "films", "photos", "gatehouse clients change app --scope"}, ""},
	} {
		h := newHarness(t)
		log := h.logLines()
		if !c.form.Has("grant_type") {
			c.form.Set("grant_type", clients.GrantCode)
		}
		r := newRequest(http.MethodPost, "/token", c.form)
		if c.basic[0] != "" {
			secret := c.basic[1]
			if secret == "" {
				secret = h.secret
			}
			r.SetBasicAuth(c.basic[0], secret)
		}
		a := h.send(r)
		if a.text("error") != c.error {
			t.Errorf("%s: %s", name, a.body)
		}
		events := h.events(broker.EventFilter{Verb: broker.EventTokenRefused})
		if len(events) != 1 {
			t.Fatalf("%s: %d events", name, len(events))
		}
		h.told(name, log.String(), log.String(), events[0], c.parts...)
		if c.error != "invalid_client" && !strings.Contains(a.text("error_description"), c.parts[len(c.parts)-1]) {
			t.Errorf("%s: the app does not read the setting: %s", name, a.body)
		}
		if c.never != "" && (strings.Contains(log.String(), c.never) || strings.Contains(a.body, c.never)) {
			t.Errorf("%s: the secret is shown: %s %s", name, log, a.body)
		}
	}
}

func TestH4_ErrorsOfStrangersAreRecordedOnceAMinute(t *testing.T) {
	h := newHarness(t)
	send := func() int {
		for range 5 {
			h.wants(h.token("grant_type", clients.GrantCode, "client_id", broker.NewID()), http.StatusUnauthorized,
				"invalid_client")
		}
		return len(h.events(broker.EventFilter{Verb: broker.EventTokenRefused}))
	}
	if n := send(); n != 1 {
		t.Errorf("%d events", n)
	}
	h.clock.add(time.Minute)
	if n := send(); n != 2 {
		t.Errorf("a minute later: %d events", n)
	}
}
