package oidc

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/storage"
)

// held is what an app and a browser have in their hands when something happens.
type held struct {
	*harness
	browser  *browser
	got      answer // tokens of the browser's session
	code     string // likewise, not redeemed yet
	usedCode string
	usedRT   string
}

func (h held) account(change func(a *broker.Account)) {
	a, err := h.db.Account(h.ctx(), "ana")
	h.must(err)
	seen := a.AuthEpoch
	change(&a)
	h.must(h.db.ChangeAccount(h.ctx(), a, seen))
}

func (h held) client(change func(c *broker.Client)) {
	c, err := h.db.Client(h.ctx(), "app")
	h.must(err)
	change(&c)
	h.must(h.db.PutClient(h.ctx(), c))
}

// cause is one reason why a grant ends.
type cause struct {
	name string
	do   func(h held)
	// code tells that a code which was not redeemed yet gives nothing either.
	code bool
	// session tells that the browser's session gives nothing either.
	session bool
	refresh string // the error at a refresh; invalid_grant where empty
}

func causesOfRevocation() []cause {
	return []cause{
		{"the account is disabled", func(h held) { h.account(func(a *broker.Account) { a.Disabled = true }) }, true, true,
			""},
		{"the password is changed", func(h held) {
			h.account(func(a *broker.Account) { a.PasswordHash, a.AuthEpoch = "another", a.AuthEpoch+1 })
		}, true, true, ""},
		{"signed out everywhere", func(h held) { h.account(func(a *broker.Account) { a.AuthEpoch++ }) }, true, true, ""},
		{"the account is locked to another connection", func(h held) {
			h.account(func(a *broker.Account) {
				a.Restriction = &broker.Restriction{Only: "entra", Connections: []string{"entra"}, SetBy: "operator",
					SetAt: h.clock.Now()}
				a.AuthEpoch++
			})
		}, true, true, ""},
		{"the identity is unlinked", func(h held) { h.must(h.db.Unlink(h.ctx(), "identity", h.clock.Now())) }, true, true,
			""},
		{"the connection is disabled", func(h held) {
			c, err := h.db.Connection(h.ctx(), "google")
			h.must(err)
			c.State = broker.Disabled
			h.must(h.db.PutConnection(h.ctx(), c))
		}, true, true, ""},
		{"the connection is removed", func(h held) {
			h.must(h.db.Unlink(h.ctx(), "identity", h.clock.Now())) // it stays while identities hang on it
			h.must(h.db.DeleteConnection(h.ctx(), "google"))
		}, true, true, ""},
		{"the consent is removed", func(h held) {
			h.must(h.db.PutConsent(h.ctx(), broker.Consent{AccountID: "ana", ClientID: "app", GrantedAt: h.clock.Now()}))
			h.must(h.db.RemoveConsent(h.ctx(), "ana", "app", h.clock.Now()))
		}, false, false, ""},
		{"the client is disabled", func(h held) { h.client(func(c *broker.Client) { c.Disabled = true }) }, true, false,
			"invalid_client"},
		{"the client is removed", func(h held) { h.must(h.db.DeleteClient(h.ctx(), "app")) }, true, false, "invalid_client"},
		{"the person signs out", func(h held) {
			a := h.browser.get("/end_session?id_token_hint=" + url.QueryEscape(h.got.text("id_token")))
			if a.StatusCode != http.StatusOK {
				h.t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}, true, true, ""},
		{"the code comes again", func(h held) { h.redeem(h.usedCode) }, false, false, ""},
		{"an old refresh token comes again", func(h held) { h.refresh(h.usedRT) }, false, false, ""},
		{"the access token is revoked", func(h held) {
			h.wants(h.call("/revoke", "token", h.got.text("access_token")), 200, "")
		}, false, false, ""},
		{"the refresh token is revoked", func(h held) {
			h.wants(h.call("/revoke", "token", h.got.text("refresh_token")), 200, "")
		}, false, false, ""},
	}
}

// holding is an app where Ana came through Google and has everything that there is.
func holding(t *testing.T) held { return holdingAs(t, kinds()[0]) }

func holdingAs(t *testing.T, k kind) held { return holdingIn(newHarness(t).as(k)) }

func holdingIn(in *harness) held {
	h := held{harness: in}
	now := h.clock.Now()
	h.must(h.db.PutConnection(h.ctx(), broker.Connection{ID: "google", Kind: "google", Name: "Google", State: broker.Live,
		Issuer: "https://accounts.google.com", CreatedAt: now, UpdatedAt: now}))
	h.must(h.db.Link(h.ctx(), broker.Identity{ID: "identity", AccountID: "ana", Connection: "google",
		Issuer: "https://accounts.google.com", Subject: "1", LinkedAt: now, SeenAt: now}))
	h.logins.authn = broker.Authn{Method: broker.ByUpstream, Connection: "google", Identity: "identity", AuthTime: now}
	h.client(func(c *broker.Client) { c.Audience = []string{"api"} })
	h.browser = h.harness.browser()
	h.usedCode = h.browser.code(ask())
	first := h.wants(h.redeem(h.usedCode), http.StatusOK, "")
	h.usedRT = first.text("refresh_token")
	h.got = h.wants(h.refresh(h.usedRT), http.StatusOK, "")
	h.clock.add(broker.RefreshGrace)
	h.code = h.browser.code(ask())
	return h
}

func TestA7_EveryCauseOfRevocationEndsEverything(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) { everyCauseEnds(t, k) })
	}
}

func everyCauseEnds(t *testing.T, k kind) {
	for _, c := range causesOfRevocation() {
		t.Run(c.name, func(t *testing.T) {
			h := holdingAs(t, k)
			api := h.harness.client(broker.Client{ID: "api", Name: "API", AuthMethods: []string{"client_secret_post"}})
			tokens := []string{h.got.text("access_token"), h.got.text("refresh_token")}
			seen := func(at *harness, token string) bool {
				return at.call("/introspect", "token", token, "client_id", "api", "client_secret", api).json["active"] == true
			}
			other := h.replica(ports{memory: true})
			if a := other.userinfo(tokens[0]); a.StatusCode != http.StatusOK || !seen(other, tokens[0]) || !h.active(tokens[1]) {
				t.Fatalf("nothing to lose: %d", a.StatusCode)
			}
			c.do(h)
			h.clock.add(storage.CacheLife) // what another replica may take to hear of it
			for _, at := range []*harness{h.harness, other} {
				want, status := c.refresh, http.StatusUnauthorized
				if want == "" {
					want, status = "invalid_grant", http.StatusBadRequest
				}
				at.wants(at.refresh(tokens[1]), status, want)
				at.wants(at.userinfo(tokens[0]), http.StatusUnauthorized, "invalid_token")
				if seen(at, tokens[0]) || c.refresh == "" && (at.active(tokens[0]) || at.active(tokens[1])) {
					t.Error("introspection says that it is active")
				}
				if c.session {
					at.appHears((&browser{at, h.browser.cookies}).get("/authorize?"+ask("prompt", "none").Encode()), "login_required")
				}
				if c.code {
					at.wants(at.redeem(h.code), status, want)
				}
			}
			if !c.code { // the rest of the session was not touched
				h.wants(h.redeem(h.code), http.StatusOK, "")
			}
		})
	}
}

func TestA7_AClientThatLostItsGrantRefreshesNoMore(t *testing.T) {
	h := holding(t)
	h.client(func(c *broker.Client) { c.GrantTypes, c.Scopes = []string{clients.GrantCode}, []string{"openid"} })
	h.wants(h.refresh(h.got.text("refresh_token")), http.StatusBadRequest, "unauthorized_client")
}

func TestA7_ACodeOfAConsentThatWasTakenBackGivesNothing(t *testing.T) {
	h, b, secret := third(t)
	allow := func() string {
		path := b.get("/authorize?" + thirdAsks("prompt", "consent").Encode()).Header.Get("Location")
		b.post(path, url.Values{"decision": {"allow"}})
		return b.get("/authorize?consent=" + path[len("/consent/"):]).location().Query().Get("code")
	}
	code := allow()
	h.clock.add(time.Second)
	h.must(h.db.RemoveConsent(h.ctx(), "ana", "third", h.clock.Now()))
	h.wants(h.redeem(code, "client_id", "third", "client_secret", secret), http.StatusBadRequest, "invalid_grant")
	h.wants(h.redeem(allow(), "client_id", "third", "client_secret", secret), http.StatusOK, "")
}

// Of a used code nobody hears before the row of its grant is tried, so whoever else
// says no must not come first.
func TestA5_AUsedCodeEndsItsGrantThoughTheGateIsClosed(t *testing.T) {
	fleet(t, func(t *testing.T, one, _ *harness) {
		h := holdingIn(one)
		google, err := h.db.Connection(h.ctx(), "google")
		h.must(err)
		google.State = broker.Disabled
		h.must(h.db.PutConnection(h.ctx(), google))
		knows := h.replica(ports{memory: true})
		if knows.active(h.got.text("access_token")) { // from here on without a question to the database
			t.Fatal("the gate is open")
		}
		h.wants(knows.redeem(h.usedCode), http.StatusBadRequest, "invalid_grant")
		google.State = broker.Live
		h.must(h.db.PutConnection(h.ctx(), google))
		if h.active(h.got.text("access_token")) {
			t.Error("the family lives")
		}
		if e := h.events(broker.EventFilter{Verb: broker.EventGrantRevoked}); len(e) != 1 || e[0].Code != broker.CodeReused {
			t.Errorf("events %+v", e)
		}
	})
}

// A hand in the database changes a lock and leaves the epoch.
func TestD1_D5_ACodeOfARestrictedAccountIsCheckedAgainstTheRestriction(t *testing.T) {
	h := holding(t)
	lock := func(connection string) {
		h.account(func(a *broker.Account) {
			a.Restriction = &broker.Restriction{Connections: []string{connection}, SetBy: "operator", SetAt: h.clock.Now()}
		})
	}
	lock("google")
	good, bad := h.browser.code(ask()), h.browser.code(ask())
	h.wants(h.redeem(good), http.StatusOK, "")
	lock("entra")
	h.wants(h.redeem(bad), http.StatusBadRequest, "invalid_grant")
}
