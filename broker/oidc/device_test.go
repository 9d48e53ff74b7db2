package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// tv registers a television: a public client of another company, which has the
// device grant alone.
func (h *harness) tv(id string, edit ...func(*broker.Client)) {
	h.t.Helper()
	c := broker.Client{ID: id, Name: "Big TV", AuthMethods: []string{"none"}, RedirectURIs: []string{},
		PostLogoutRedirectURIs: []string{},
		GrantTypes:             []string{clients.GrantDevice, clients.GrantRefresh}, Audience: []string{"api"}}
	for _, e := range edit {
		e(&c)
	}
	h.client(c)
}

// calling is a device that waits.
type calling struct {
	h      *harness
	client string
	answer
}

func (h *harness) deviceCalls(client string, pairs ...string) calling {
	h.t.Helper()
	form := append([]string{"client_id", client, "scope", "openid profile offline_access"}, pairs...)
	return calling{h, client, h.wants(h.call(pathDeviceAuthorization, form...), http.StatusOK, "")}
}

// poll asks for the tokens at any replica.
func (c calling) poll(at *harness) answer {
	c.h.t.Helper()
	return at.token("grant_type", clients.GrantDevice, "client_id", c.client, "device_code", c.text("device_code"))
}

// question types the code and goes on to the question, signing in where that is asked.
func (b *browser) question(typed string) (path string, page answer) {
	b.h.t.Helper()
	if b.cookies["__Host-gh_browser"] == "" {
		b.get(pathDevice)
	}
	a := b.post(pathDevice, url.Values{"user_code": {typed}})
	path = a.location().Path
	if found := regexp.MustCompile(`content="0;url=(/device/[^"]+)"`).FindStringSubmatch(a.body); found != nil {
		path = found[1]
	}
	if path == "" {
		b.h.t.Fatalf("%q leads to no question: %d %s", typed, a.StatusCode, a.body)
	}
	page = b.get(path)
	if id, ok := strings.CutPrefix(page.location().Path, "/login/"); ok {
		a := b.get("/authorize?login=" + id)
		if a.StatusCode != http.StatusSeeOther || a.location().Path != path {
			b.h.t.Fatalf("the login does not come back: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
		page = b.do(english(path))
	}
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `value="allow"`) {
		b.h.t.Fatalf("no question: %d %s", page.StatusCode, page.body)
	}
	return path, page
}

func (b *browser) decides(path, decision string) answer {
	b.h.t.Helper()
	a := b.post(path, url.Values{"decision": {decision}})
	if a.StatusCode != http.StatusSeeOther || a.location().Path != path {
		b.h.t.Fatalf("%s: %d %s", decision, a.StatusCode, a.body)
	}
	return b.do(english(path))
}

// allows performs all steps of the person.
func (b *browser) allows(c calling) {
	b.h.t.Helper()
	path, _ := b.question(c.text("user_code"))
	if done := b.decides(path, "allow"); !strings.Contains(done.body, "You’re signed in on your device") {
		b.h.t.Fatalf("%d %s", done.StatusCode, done.body)
	}
}

func TestADeviceIsLetInByThePersonWhoTypesItsCode(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	tv := h.deviceCalls("tv")
	code := tv.text("user_code")
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(code) ||
		len(tv.text("device_code")) != 52 ||
		tv.json["expires_in"] != 600.0 || tv.json["interval"] != 5.0 || tv.text("verification_uri") != issuer+"/device" ||
		tv.text("verification_uri_complete") != issuer+"/device?user_code="+code ||
		tv.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s", tv.body)
	}
	h.wants(tv.poll(h), http.StatusBadRequest, "authorization_pending")
	b := h.browser()
	path, page := b.question(strings.ToLower(code[:4] + " " + code[5:]))
	for _, text := range []string{"Big TV wants to use your Gatehouse account on a device", "<code>" + code + "</code>",
		"Confirm who you are", "See your name and language",
		`data-shape="clock">09:00 UTC</time> from the address 192.0.2.1`, "Nobody from Gatehouse will ever send you a code",
		"ana@example.com", ">Allow device<", ">Deny<"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the question lacks %q", text)
		}
	}
	h.clock.add(deviceInterval)
	h.wants(tv.poll(h), http.StatusBadRequest, "authorization_pending") // the question is no answer
	b.decides(path, "allow")
	got := h.wants(tv.poll(h), http.StatusOK, "")
	if got.text("token_type") != "Bearer" || got.json["expires_in"] != 600.0 ||
		got.text("scope") != "openid profile offline_access" {
		t.Errorf("%s", got.body)
	}
	header, claims := h.claims(got.text("id_token"))
	if header["alg"] != "RS256" || claims["sub"] != "ana" || claims["aud"] != "tv" || claims["sid"] != nil ||
		claims["at_hash"] == nil {
		t.Errorf("claims %v", claims)
	}
	h.wants(h.userinfo(got.text("access_token")), http.StatusOK, "")
	h.wants(h.refresh(got.text("refresh_token"), "client_id", "tv"), http.StatusOK, "")
	if e := h.events(broker.EventFilter{Verb: broker.EventConsentGranted}); len(e) != 1 || e[0].Client != "tv" ||
		e[0].Account != "ana" || e[0].Detail["device"] != "192.0.2.1" {
		t.Errorf("events %+v", e)
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventTokenRefused}); len(e) != 0 {
		t.Errorf("waiting is written down as a refusal: %+v", e)
	}
}

func TestADeviceGetsNoMoreThanItsScopesSay(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	for scope, has := range map[string][2]bool{"": {}, "openid": {true, false}, "photos offline_access": {false, true}} {
		tv := h.deviceCalls("tv", "scope", scope)
		h.browser().allows(tv)
		got := h.wants(tv.poll(h), http.StatusOK, "")
		if has != [2]bool{got.text("id_token") != "", got.text("refresh_token") != ""} {
			t.Errorf("%q: %s", scope, got.body)
		}
	}
}

func TestADeviceThatAsksTooOftenSlowsDown(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	tv := h.deviceCalls("tv")
	for _, step := range []struct {
		wait time.Duration
		want string
	}{{0, "authorization_pending"}, {time.Second, "slow_down"}, {5 * time.Second, "slow_down"},
		{15 * time.Second, "authorization_pending"},
		{10 * time.Second, "slow_down"}, {20 * time.Second, "authorization_pending"}} {
		h.clock.add(step.wait)
		h.wants(tv.poll(h), http.StatusBadRequest, step.want)
	}
	h.browser().allows(tv)
	h.wants(tv.poll(h), http.StatusOK, "") // a decision is returned immediately
}

func TestDenyIsReportedToTheDeviceAndIsFinal(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	tv := h.deviceCalls("tv")
	b := h.browser()
	path, _ := b.question(tv.text("user_code"))
	if a := b.post(path, url.Values{"decision": {"perhaps"}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("no decision: %d", a.StatusCode)
	}
	if done := b.decides(path, "deny"); !strings.Contains(done.body, "The device was not let in") {
		t.Errorf("%s", done.body)
	}
	b.decides(path, "allow")
	for range 2 {
		h.wants(tv.poll(h), http.StatusBadRequest, "access_denied")
	}
	if e := h.events(broker.EventFilter{Verb: broker.EventConsentDenied}); len(e) != 1 {
		t.Errorf("events %+v", e)
	}
	if a := b.post(pathDevice,
		url.Values{"user_code": {tv.text("user_code")}}); a.StatusCode != broker.CodeReused.Meaning().Status ||
		!strings.Contains(a.body, "already been used") {
		t.Errorf("a code that was answered: %d", a.StatusCode)
	}
}

func TestADeviceCodeIsOverAfterTenMinutes(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	tv, late := h.deviceCalls("tv"), h.deviceCalls("tv")
	b := h.browser()
	path, _ := b.question(tv.text("user_code"))
	h.browser().allows(late)
	h.clock.add(deviceLife)
	if a := b.post(path, url.Values{"decision": {"allow"}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", a.StatusCode)
	}
	if a := b.do(english(path)); !strings.Contains(a.body, "has expired") {
		t.Errorf("%s", a.body)
	}
	if a := b.post(pathDevice, url.Values{"user_code": {tv.text("user_code")}}); !strings.Contains(a.body, "has expired") {
		t.Errorf("%s", a.body)
	}
	h.wants(tv.poll(h), http.StatusBadRequest, "expired_token")
	h.wants(late.poll(h), http.StatusBadRequest, "expired_token")
	h.clock.add(deviceKept)
	h.wants(tv.poll(h), http.StatusBadRequest, "invalid_grant")
}

func TestUserCodesAreReadAsPeopleTypeThem(t *testing.T) {
	for typed, want := range map[string]string{"bcdf ghjk": "BCDFGHJK", " BCDF-GHJK ": "BCDFGHJK",
		"b c d f g h j k": "BCDFGHJK", "BCDF–GHJK": "BCDFGHJK",
		"": "", "BCDFGHJ": "", "BCDFGHJKL": "", "ABCDEFGH": "", "BCDFGHJ1": "", "ＢＣＤＦＧＨＪＫ": "", strings.Repeat("B", 1000): "",
		"BCDF\x00GHJK": ""} {
		if got := tidyUserCode(typed); got != want {
			t.Errorf("%q is %q, want %q", typed, got, want)
		}
	}
	seen := map[string]bool{}
	for range 1000 {
		code := newUserCode()
		if tidyUserCode(code) != code || seen[code] {
			t.Fatalf("%q", code)
		}
		seen[code] = true
	}
}

// full is an ephemeral store on which every user code stands already, for the first tries.
type full struct {
	broker.Ephemeral
	tries int
}

func (f *full) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	if store == "device.code" && f.tries > 0 {
		f.tries--
		return broker.Conflict
	}
	return f.Ephemeral.Put(ctx, store, key, v, expires)
}

func TestAUserCodeThatAnotherDeviceHasIsNotGivenTwice(t *testing.T) {
	for tries, status := range map[int]int{4: http.StatusOK, 5: http.StatusServiceUnavailable} {
		h := newHarnessWith(t, ports{ephemeral: func(f broker.Ephemeral) broker.Ephemeral { return &full{f, tries} }})
		h.tv("tv")
		if a := h.call(pathDeviceAuthorization, "client_id", "tv"); a.StatusCode != status {
			t.Errorf("after %d: %d %s", tries, a.StatusCode, a.body)
		}
	}
}

func TestALoginThatWasGivenUpLeadsBackToTheCode(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	b := h.browser()
	b.get(pathDevice)
	a := b.post(pathDevice, url.Values{"user_code": {h.deviceCalls("tv").text("user_code")}})
	path := regexp.MustCompile(`/device/[A-Za-z0-9_-]+`).FindString(a.body)
	id := strings.TrimPrefix(b.get(path).location().Path, "/login/")
	if l := h.logins.pending[id]; l.ClientID != "tv" || l.Request.Has("client_id") {
		t.Errorf("parked %+v", l)
	}
	a = b.get("/authorize?login=" + id + "&error=" + string(broker.AccountDisabled))
	if a.StatusCode != http.StatusSeeOther || a.location().String() != pathDevice {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	h.logins.err = errors.New("none")
}

func TestSwitchAccountLeadsBackToTheQuestion(t *testing.T) {
	h := newHarness(t)
	h.tv("tv")
	b := h.browser()
	path, _ := b.question(h.deviceCalls("tv").text("user_code"))
	id := strings.TrimPrefix(b.get(path+"?switch=1").location().Path, "/login/")
	if !h.logins.pending[id].Pick {
		t.Error("the chooser is not asked for")
	}
	if a := b.get("/authorize?login=" + id); a.location().Path != path {
		t.Errorf("%s", a.Header.Get("Location"))
	}
}

// ephemeralStores records what is put.
type ephemeralStores struct {
	broker.Ephemeral
	put []string
}

func (s *ephemeralStores) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	s.put = append(s.put, store+" "+key+" "+string(v))
	return s.Ephemeral.Put(ctx, store, key, v, expires)
}
