package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/storage"
)

// grown is all that a person and their app may hold.
type grown struct {
	code            string            // not redeemed yet
	asked           string            // a request that begins, pushed ahead where the app pushes
	device          string            // allowed, and not redeemed yet
	access, refresh map[string]string // by the grant that gave them
	machine         string            // the app's own access token
	question        *page             // stands open: may this device come in?
	consent         *page             // likewise: may this app? Of apps that must ask
}

// agrees allows on the consent page of an app that must ask.
func (c *cell) agrees() {
	c.t.Helper()
	if c.app.asks {
		c.press("Allow")
	}
}

func (c *cell) grows(method string) grown {
	c.t.Helper()
	c.signs(method)
	c.agrees()
	g := grown{access: map[string]string{}, refresh: map[string]string{}}
	c.keeps(&g, "code", "grant_type", "authorization_code", "code", c.newest(method), "redirect_uri", clusterApp,
		"code_verifier", verifier)
	c.keeps(&g, "refresh", "grant_type", "refresh_token", "refresh_token", g.refresh["code"])
	delete(g.refresh, "code") // consumed
	g.refresh["code"] = g.refresh["refresh"]
	delete(g.refresh, "refresh")
	c.keeps(&g, "device", "grant_type", grantDevice, "device_code", c.letsIn())
	if c.app.machine() {
		_, doc := c.call("/token", "", "grant_type", "client_credentials")
		c.fits("client_credentials", doc)
		g.machine = doc["access_token"].(string)
	}
	g.device = c.letsIn()
	_, user := c.calls()
	c.open(c.q.file.Issuer + "/device")
	c.press("Continue", "user_code", user)
	g.question = c.page
	if c.app.asks {
		c.open(c.authorizeURL(c.app.client, "prompt", "consent"))
		g.consent = c.page
	}
	c.open(c.authorizeURL(c.app.client))
	g.code = c.newest("from the session")
	g.asked = c.authorizeURL(c.app.client)
	return g
}

// keeps calls the token endpoint and keeps what it returned.
func (c *cell) keeps(g *grown, grant string, pairs ...string) {
	c.t.Helper()
	_, doc := c.call("/token", "", pairs...)
	c.fits(grant, doc)
	g.access[grant] = doc["access_token"].(string)
	if g.refresh[grant], _ = doc["refresh_token"].(string); g.refresh[grant] == "" {
		c.t.Fatalf("%s gives no refresh token: %v", grant, doc)
	}
}

// letsIn confirms a device of the app and returns its code, which is not redeemed yet.
func (c *cell) letsIn() string {
	c.t.Helper()
	device, user := c.calls()
	c.open(c.q.file.Issuer + "/device")
	c.press("Continue", "user_code", user)
	c.press("Allow device")
	return device
}

// works lists what is still accepted at this replica.
func (c *cell) works(g grown) (alive []string) {
	c.t.Helper()
	say := func(ok bool, what string) {
		if ok {
			alive = append(alive, what)
		}
	}
	for grant, token := range g.access {
		for _, method := range c.userinfo(token) {
			say(true, method+" userinfo of "+grant)
		}
		say(c.active(token), "introspect access of "+grant)
	}
	for grant, token := range g.refresh {
		if c.app.secret != "" || c.app.signs != nil { // of a public app's nobody may ask
			say(c.active(token), "introspect refresh of "+grant)
		}
		_, doc := c.call("/token", "", "grant_type", "refresh_token", "refresh_token", token)
		say(doc["access_token"] != nil, "refresh of "+grant)
	}
	_, doc := c.redeem(g.code)
	say(doc["access_token"] != nil, "code")
	_, doc = c.call("/token", "", "grant_type", grantDevice, "device_code", g.device)
	say(doc["access_token"] != nil, "device code")
	c.page = g.question
	c.may("Allow device")
	say(strings.Contains(textOf(c.page.root), "signed in on your device"), "question")
	if c.codes = nil; g.consent != nil {
		c.page = g.consent
		c.may("Allow")
		say(len(c.codes) > 0, "consent")
		c.codes = nil
	}
	c.open(g.asked)
	say(len(c.codes) > 0, "request")
	c.codes = nil
	for _, more := range [][]string{nil, {"prompt", "none"}, {"max_age", "0"}, {"connection", "google"},
		{"login_hint", c.account.Email}, {"acr_values", "pwd"}} {
		c.open(c.authorizeURL(c.app.client, more...))
		say(len(c.codes) > 0, "authorize "+strings.Join(more, "="))
		c.codes = nil
	}
	for _, path := range []string{broker.AccountPath, broker.MethodsPath} {
		c.open(c.q.file.Issuer + path)
		say(c.page.url.Path == path, path)
	}
	return alive
}

// ending is one event that ends a person's access.
type ending struct {
	name, method string
	do           func(c *cell, replica int)
	undo         func(c *cell) // of what other cells share
	midway       bool          // a sign-in that is under way ends too
}

func endings() []ending {
	state := func(s broker.ConnectionState) func(c *cell) {
		return func(c *cell) {
			c.t.Helper()
			google, err := c.q.h.store.Connection(c.q.ctx, "google")
			if err != nil {
				c.t.Fatal(err)
			}
			google.State = s
			if err := c.q.h.store.PutConnection(c.q.ctx, google); err != nil {
				c.t.Fatal(err)
			}
			c.q.advance(storage.CacheLife)
		}
	}
	lock := func(c *cell, replica int) { c.restriction(replica) }
	return []ending{
		{"disabled", "password", func(c *cell, replica int) {
			c.change(replica, func(a *broker.Account) { a.Disabled = true })
		}, nil, true},
		{"epoch raised", "google", func(c *cell, replica int) {
			c.change(replica, func(a *broker.Account) { a.AuthEpoch++ })
		}, nil, false},
		{"locked, by password", "password", lock, nil, true},
		{"locked, by Google", "google", lock, nil, true},
		{"locked by a hand that leaves the epoch", "password", func(c *cell, replica int) {
			c.change(replica, func(a *broker.Account) {
				a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"entra"}}
			})
		}, nil, true},
		{"connection off", "google", func(c *cell, _ int) { state(broker.Disabled)(c) }, state(broker.Live), true},
	}
}

// For every kind of app and request: what it got for a person is invalid on every
// replica once the person's access ends, and its own tokens stay valid. This includes JWTs,
// although an API that only verifies the signature accepts one until it expires.
func TestD1_D5_A7_WhatAnAppOfAnyKindGotEndsWithItsPerson(t *testing.T) {
	q := newCluster(t)
	for _, app := range q.variants() {
		for _, e := range endings() {
			for replica := range q.replicas {
				t.Run(fmt.Sprintf("%s, %s, replica %d", app.name, e.name, replica), func(t *testing.T) {
					q.ends(t, app, e, replica)
				})
			}
		}
	}
}

func (q *cluster) ends(t *testing.T, app clientVariant, e ending, replica int) {
	c := q.cell(t, "", false)
	if e.method != "password" {
		c.links(e.method, "own")
	}
	c.app = app
	g := c.grows(e.method)
	for c.replica = range q.replicas { // each has seen all of it
		for grant, token := range g.access {
			if len(c.userinfo(token)) != 2 || !c.active(token) {
				t.Fatalf("nothing to lose of %s at replica %d", grant, c.replica)
			}
		}
	}
	e.do(c, 1-replica)
	q.advance(storage.CacheLife)
	for _, c.replica = range []int{replica, 1 - replica} {
		if alive := c.works(g); len(alive) > 0 {
			t.Errorf("alive at replica %d: %q", c.replica, alive)
		}
		if app.machine() {
			if status, doc := c.call("/token", "", "grant_type", "client_credentials"); status != http.StatusOK ||
				!c.active(g.machine) {
				t.Errorf("the app itself, which is no person, is answered %d %v", status, doc)
			}
		}
	}
	if e.undo != nil {
		e.undo(c)
	}
}

// The same where no access ends: everything works, on every replica.
func TestD13_WhatAnAppOfAnyKindGotLivesUnderTheRestrictionThatItsPersonMet(t *testing.T) {
	q := newCluster(t)
	for _, app := range q.variants() {
		for replica := range q.replicas {
			t.Run(fmt.Sprintf("%s, replica %d", app.name, replica), func(t *testing.T) {
				c := q.cell(t, "", false)
				c.links("entra", "own")
				c.restriction(1)
				c.app = app
				g := c.grows("entra")
				q.advance(storage.CacheLife)
				c.replica = replica
				c.allWorks(g)
			})
		}
	}
}

// allWorks fails unless everything that the app of a cell got works here.
func (c *cell) allWorks(g grown) {
	c.t.Helper()
	app := c.app
	want := []string{"authorize", "authorize acr_values=pwd", "authorize login_hint=" + c.account.Email,
		"authorize prompt=none", "code", "device code", "question", "request", broker.AccountPath, broker.MethodsPath}
	if app.asks {
		want = append(want, "consent")
	}
	for grant := range g.access {
		want = append(want, "GET userinfo of "+grant, "POST userinfo of "+grant, "introspect access of "+grant)
	}
	for grant := range g.refresh {
		if want = append(want, "refresh of "+grant); app.secret != "" || app.signs != nil {
			want = append(want, "introspect refresh of "+grant)
		}
	}
	got := c.works(g)
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		c.t.Errorf("works %q\nwant  %q", got, want)
	}
}

// A sign-in that is under way when its person's access ends gets no code,
// whatever the app's request was.
func TestD15_ASignInThatAnyKindOfAppBeganEndsWithItsPerson(t *testing.T) {
	q := newCluster(t)
	for _, app := range q.variants() {
		for _, e := range endings() {
			for _, moves := range []bool{false, true} {
				if !e.midway {
					continue // a proof that is given after it is as good as ever
				}
				t.Run(fmt.Sprintf("%s, %s, moves %t", app.name, e.name, moves), func(t *testing.T) {
					c := q.cell(t, "", false)
					if e.method != "password" {
						c.links(e.method, "own")
					}
					c.app, c.codes = app, nil
					c.begin()
					var last func()
					if e.method == "password" {
						c.press("Continue", "email", c.account.Email)
						last = func() { c.press("Sign in", "password", matrixWord) }
					} else {
						callback := c.toward(e.method, "own")
						last = func() { c.open(callback) }
					}
					e.do(c, 1)
					q.advance(storage.CacheLife)
					if moves {
						c.replica = 1
					}
					last()
					c.may("Allow")
					if len(c.codes) > 0 || c.page.status >= http.StatusInternalServerError {
						t.Errorf("%d codes, at %s (%d):\n%s", len(c.codes), c.page.url, c.page.status, textOf(c.page.root))
					}
					if e.undo != nil {
						e.undo(c)
					}
				})
			}
		}
	}
}

// A disabled app of any kind has no valid token.
func TestD11_A7_AnAppOfAnyKindThatIsOffHasNothing(t *testing.T) {
	q := newCluster(t)
	for _, app := range q.variants() {
		t.Run(app.name, func(t *testing.T) {
			c := q.cell(t, "", false)
			c.app = app
			g := c.grows("password")
			client, err := q.h.store.Client(q.ctx, app.client)
			if err != nil {
				t.Fatal(err)
			}
			client.Disabled = true
			if err := q.h.store.PutClient(q.ctx, client); err != nil {
				t.Fatal(err)
			}
			q.advance(storage.CacheLife)
			for c.replica = range q.replicas {
				for grant, token := range g.access {
					if works := c.userinfo(token); len(works) > 0 {
						t.Errorf("%q of %s", works, grant)
					}
				}
				c.app = app
				for _, path := range []string{"/token", "/introspect", "/revoke", "/par", "/device_authorization"} {
					if status, doc := c.call(path, "", "grant_type", "refresh_token", "refresh_token", g.refresh["code"], "token",
						g.access["code"]); status != http.StatusUnauthorized || doc["error"] != "invalid_client" {
						t.Errorf("%s: %d %v", path, status, doc)
					}
				}
				c.open(g.asked)
				if c.newestOrNone() != "" {
					t.Error("its request gives a code")
				}
			}
			client.Disabled = false
			if err := q.h.store.PutClient(q.ctx, client); err != nil {
				t.Fatal(err)
			}
			q.advance(30 * time.Second)
		})
	}
}

// newestOrNone is the last code, if there is one.
func (c *cell) newestOrNone() (code string) {
	if len(c.codes) > 0 {
		code = c.codes[len(c.codes)-1]
	}
	c.codes = nil
	return code
}
