package oidc

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/storage"
)

func TestA5_ADeviceCodeIsConsumedOnceByAFleet(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		one.tv("tv")
		for round := range 10 {
			tv := one.deviceCalls("tv")
			one.browser().allows(tv)
			won, said := onBoth(50, one, two, func(at *harness) answer { return tv.poll(at) })
			if len(won) != 1 || said["400invalid_grant"] != 49 {
				t.Fatalf("round %d: %v", round, said)
			}
			for _, h := range []*harness{one, two} {
				h.wants(h.refresh(won[0].text("refresh_token"), "client_id", "tv"), http.StatusBadRequest, "invalid_grant")
				h.wants(h.userinfo(won[0].text("access_token")), http.StatusUnauthorized, "invalid_token")
			}
		}
	})
}

func TestA5_ADeviceGetsOneGrantFromReplicas(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		one.tv("tv")
		for range 5 {
			tv := one.deviceCalls("tv")
			type side struct {
				b              *browser
				path, decision string
			}
			sides := make(chan side, 12)
			for i := range 12 {
				b := []*harness{one, two}[i%2].browser()
				path, _ := b.question(tv.text("user_code"))
				sides <- side{b, path, []string{"allow", "deny"}[i/6]}
			}
			var mu sync.Mutex
			said := map[string]int{}
			race(12, func() {
				s := <-sides
				a := s.b.decides(s.path, s.decision)
				mu.Lock()
				defer mu.Unlock()
				for _, text := range []string{"signed in on your device", "was not let in", "already been used"} {
					if strings.Contains(a.body, text) {
						said[text]++
					}
				}
			})
			if said["signed in on your device"]+said["was not let in"] != 1 || said["already been used"] != 11 {
				t.Fatalf("%v", said)
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusBadRequest}[said["signed in on your device"] == 1]
			if a := tv.poll(two); a.StatusCode != want {
				t.Errorf("%v, and the device hears %s", said, a.body)
			}
		}
	})
}

func TestA1_A9_ADeviceCodeIsForItsClientAlone(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	h.tv("other")
	var secret string
	h.tv("box", func(c *broker.Client) { c.AuthMethods = []string{"client_secret_post"} })
	c, err := h.db.Client(h.ctx(), "box")
	h.must(err)
	s, hash := clients.NewSecret(h.keyring, "box")
	secret, c.SecretHashes = s.Reveal(), []string{hash}
	h.must(h.db.PutClient(h.ctx(), c))
	h.browser().allows(h.deviceCalls("other")) // so that a consent is no hindrance
	tv := h.deviceCalls("tv")
	h.browser().allows(tv)
	code := tv.text("device_code")
	for name, a := range map[string]answer{
		"another client": h.token("grant_type", clients.GrantDevice, "client_id", "other", "device_code", code),
		"edited":         h.token("grant_type", clients.GrantDevice, "client_id", "tv", "device_code", edited(code)),
		"the user code":  h.token("grant_type", clients.GrantDevice, "client_id", "tv", "device_code", tv.text("user_code")),
		"endless": h.token("grant_type", clients.GrantDevice, "client_id", "tv", "device_code", strings.Repeat("A",
			2000)),
		"as a code": h.token("grant_type", clients.GrantDevice, "client_id", "tv", "device_code",
			h.browser().code(ask())),
		"with a secret": h.token("grant_type", clients.GrantDevice, "client_id", "box", "client_secret", secret,
			"device_code",
			code),
	} {
		if a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	h.wants(h.token("grant_type", clients.GrantDevice, "client_id", "tv"), http.StatusBadRequest, "invalid_request")
	h.wants(h.token("grant_type", clients.GrantDevice, "device_code", code), http.StatusBadRequest, "unauthorized_client")
	h.wants(h.token("grant_type", clients.GrantDevice, "client_id", "box", "device_code", code), http.StatusUnauthorized,
		"invalid_client")
	h.wants(h.token("grant_type", clients.GrantCode, "client_id", "tv", "code", code), http.StatusBadRequest,
		"unauthorized_client")
	h.wants(h.call(pathDeviceAuthorization), http.StatusBadRequest, "unauthorized_client")
	h.wants(h.call(pathDeviceAuthorization, "client_id", "box"), http.StatusUnauthorized, "invalid_client")
	h.wants(h.call(pathDeviceAuthorization, "client_id", "nobody"), http.StatusUnauthorized, "invalid_client")
	h.wants(h.call(pathDeviceAuthorization, "client_id", "tv", "scope", "openid videos"), http.StatusBadRequest,
		"invalid_scope")
	h.wants(h.call(pathDeviceAuthorization+"?scope=openid", "client_id", "tv"), http.StatusBadRequest, "invalid_request")
	h.wants(tv.poll(h), http.StatusOK, "")
}

// A television is not signed out with the browser that let it in; everything that
// the person or an operator means for the account ends it.
func TestA7_WhatEndsADevice(t *testing.T) {
	for _, c := range causesOfRevocation() {
		if strings.Contains(c.name, "comes again") || strings.HasSuffix(c.name, "token is revoked") {
			continue // these are about one grant, and the device has its own
		}
		t.Run(c.name, func(t *testing.T) {
			h := holding(t)
			h.tv("tv")
			c := c
			switch c.name {
			case "the consent is removed":
				c.do = func(h held) { h.must(h.db.RemoveConsent(h.ctx(), "ana", "tv", h.clock.Now())) }
			case "the client is disabled":
				c.do = func(h held) {
					tv, err := h.db.Client(h.ctx(), "tv")
					h.must(err)
					tv.Disabled = true
					h.must(h.db.PutClient(h.ctx(), tv))
				}
			case "the client is removed":
				c.do = func(h held) { h.must(h.db.DeleteClient(h.ctx(), "tv")) }
			}
			redeemed, waiting := h.deviceCalls("tv"), h.deviceCalls("tv")
			h.browser.allows(redeemed)
			h.browser.allows(waiting)
			got := h.wants(redeemed.poll(h.harness), http.StatusOK, "")
			c.do(h)
			h.clock.add(storage.CacheLife)
			if c.name == "the person signs out" {
				h.wants(h.userinfo(got.text("access_token")), http.StatusOK, "")
				h.wants(h.refresh(got.text("refresh_token"), "client_id", "tv"), http.StatusOK, "")
				h.wants(waiting.poll(h.harness), http.StatusOK, "")
				return
			}
			for _, at := range []*harness{h.harness, h.replica(ports{memory: true})} {
				want, status := c.refresh, http.StatusUnauthorized
				if want == "" {
					want, status = "invalid_grant", http.StatusBadRequest
				}
				at.wants(at.refresh(got.text("refresh_token"), "client_id", "tv"), status, want)
				at.wants(at.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
				at.wants(waiting.poll(at), status, want)
			}
		})
	}
}

func TestA7_ADeviceOfOurOwnEndsWithItsConsentToo(t *testing.T) {
	h := newHarness(t)
	h.tv("ours", func(c *broker.Client) { c.FirstParty = true })
	one, two := h.deviceCalls("ours"), h.deviceCalls("ours")
	b := h.browser()
	b.allows(one)
	b.allows(two)
	got := h.wants(one.poll(h), http.StatusOK, "")
	h.must(h.db.RemoveConsent(h.ctx(), "ana", "ours", h.clock.Now()))
	h.wants(h.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
	h.wants(two.poll(h), http.StatusBadRequest, "invalid_grant")
}

func TestA14_NoLinkAndNoOtherBrowserDecidesForAPerson(t *testing.T) {
	h := newHarness(t)
	h.tv("ours", func(c *broker.Client) { c.FirstParty = true })
	tv := h.deviceCalls("ours")
	b := h.browser()
	b.code(ask()) // signed in
	b.allows(h.deviceCalls("ours"))
	complete := strings.TrimPrefix(tv.text("verification_uri_complete"), issuer)
	page := b.get(complete)
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `value="`+tv.text("user_code")+`"`) ||
		strings.Contains(page.body, `value="allow"`) {
		t.Errorf("the link does more than fill in the code: %d %s", page.StatusCode, page.body)
	}
	for _, tail := range []string{"&decision=allow", "&user_code=x", "&confirm=1"} {
		b.get(complete + tail)
	}
	path, _ := b.question(tv.text("user_code")) // asked again, consent or not
	b.get(path + "?decision=allow")
	cross := newRequest(http.MethodPost, path, url.Values{"decision": {"allow"}})
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(cross); a.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", a.StatusCode)
	}
	typed := newRequest(http.MethodPost, pathDevice, url.Values{"user_code": {tv.text("user_code")}})
	typed.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(typed); a.StatusCode != http.StatusForbidden {
		t.Errorf("typed from another site: %d", a.StatusCode)
	}
	eve := h.browser()
	eve.get(pathDevice)
	eve.code(ask())
	h.page(eve.get(path), broker.LoginElsewhere)
	h.page(eve.post(path, url.Values{"decision": {"allow"}}), broker.LoginElsewhere)
	h.page(eve.get(pathDevice+"/nothing"), broker.LoginUnknown)
	// Another person signs in to the browser between the question and the answer.
	a := ana(h.clock.Now())
	a.ID, a.Email = "bea", "bea@example.com"
	h.must(h.db.CreateAccount(h.ctx(), a))
	h.logins.account = "bea"
	delete(b.cookies, "__Host-gh_session")
	b.code(ask())
	if a := b.post(path, url.Values{"decision": {"allow"}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", a.StatusCode)
	}
	h.wants(tv.poll(h), http.StatusBadRequest, "authorization_pending")
	if page := b.do(english(path)); !strings.Contains(page.body, "bea@example.com") {
		t.Errorf("bea is not asked: %s", page.body)
	}
}

func TestE2_UserCodesAreNotGuessed(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		one.tv("tv")
		tv := one.deviceCalls("tv")
		wrong := func(at *harness, b *browser, from string) int {
			r := newRequest(http.MethodPost, pathDevice, url.Values{"user_code": {newUserCode()}})
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.RemoteAddr = from + ":4000"
			return (&browser{at, b.cookies}).do(r).StatusCode
		}
		b := one.browser()
		b.get(pathDevice)
		said := map[int]int{}
		for i := range 14 {
			said[wrong([]*harness{one, two}[i%2], b, fmt.Sprintf("198.51.100.%d", i))]++
		}
		if said[http.StatusUnprocessableEntity] != 10 || said[http.StatusTooManyRequests] != 4 {
			t.Errorf("one browser: %v", said)
		}
		a := b.post(pathDevice, url.Values{"user_code": {tv.text("user_code")}})
		if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || a.Header.Get("Location") != "" {
			t.Errorf("the right code of a browser that guessed: %d", a.StatusCode)
		}
		said = map[int]int{}
		for i := range 110 {
			b := one.browser()
			b.get(pathDevice)
			said[wrong([]*harness{one, two}[i%2], b, "203.0.113.9")]++
		}
		if said[http.StatusUnprocessableEntity] != 100 || said[http.StatusTooManyRequests] != 10 {
			t.Errorf("one address: %v", said)
		}
		said = map[int]int{}
		for i := range 14 { // one account, from everywhere
			b := one.browser()
			b.code(ask())
			b.get(pathDevice)
			said[wrong([]*harness{one, two}[i%2], b, fmt.Sprintf("198.51.101.%d", i))]++
		}
		if said[http.StatusUnprocessableEntity] != 10 || said[http.StatusTooManyRequests] != 4 {
			t.Errorf("one account: %v", said)
		}
		one.clock.add(15 * time.Minute)
		if got := wrong(two, b, "203.0.113.9"); got != http.StatusUnprocessableEntity {
			t.Errorf("a quarter of an hour later: %d", got)
		}
		bare := newRequest(http.MethodPost, pathDevice, url.Values{"user_code": {newUserCode()}})
		bare.Header.Set("Sec-Fetch-Site", "same-origin")
		one.page(one.browser().do(bare), broker.CookiesBlocked)
	})
}

func TestH4_UnknownDevicesDoNotFillTheEphemeralStore(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	said := map[int]int{}
	for range 3010 {
		said[h.call(pathDeviceAuthorization, "client_id", "tv").StatusCode]++
	}
	if said[http.StatusOK] != 3000 || said[http.StatusTooManyRequests] != 10 {
		t.Errorf("%v", said)
	}
}

// The ephemeral stores of a device hold no code that could be used (FOSITE.md P6).
func TestTheShelvesHoldNoDeviceCode(t *testing.T) {
	kept := &ephemeralStores{}
	h := newHarnessWith(t, ports{ephemeral: func(f broker.Ephemeral) broker.Ephemeral { kept.Ephemeral = f; return kept }})
	h.tv("tv")
	tv := h.deviceCalls("tv")
	plain := strings.ReplaceAll(tv.text("user_code"), "-", "")
	h.browser().question(tv.text("user_code"))
	for _, stored := range kept.put {
		if strings.Contains(stored, tv.text("device_code")) || strings.Contains(stored, plain) || strings.Contains(stored,
			tv.text("user_code")) {
			t.Errorf("stored %s", stored)
		}
	}
	if len(kept.put) < 3 {
		t.Errorf("%d things were stored", len(kept.put))
	}
}
