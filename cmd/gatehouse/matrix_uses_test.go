package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// call sends a request of the app's server.
func (c *cell) call(path, bearer string, pairs ...string) (int, map[string]any) {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, c.q.file.Issuer+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if bearer != "" {
		c.shows(req, bearer)
	} else {
		c.authenticates(req, form)
	}
	if path == "/token" {
		c.withProof(req, map[string]any{})
	}
	body := form.Encode()
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	res, err := c.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var doc map[string]any
	_ = json.NewDecoder(res.Body).Decode(&doc) // of an empty body
	return res.StatusCode, doc
}

func (c *cell) redeem(code string) (int, map[string]any) {
	c.t.Helper()
	return c.call("/token", "", "grant_type", "authorization_code", "code", code, "redirect_uri", clusterApp,
		"code_verifier", verifier)
}

// newest is the code that came last.
func (c *cell) newest(what string) string {
	c.t.Helper()
	if len(c.codes) == 0 {
		c.t.Fatalf("%s: no code, at %s:\n%s", what, c.page.url, textOf(c.page.root))
	}
	code := c.codes[len(c.codes)-1]
	c.codes = nil
	return code
}

// signs signs in by a method: the password, or a linked connection.
func (c *cell) signs(method string) {
	c.t.Helper()
	c.begin()
	if method == "password" {
		c.press("Continue", "email", c.account.Email)
		c.press("Sign in", "password", matrixWord)
		return
	}
	c.comes(method, "own")
}

func TestD5_D13_D14_WhatWasCreatedBeforeTheRestrictionIsDeadOnEveryReplica(t *testing.T) {
	q := newCluster(t)
	for _, method := range []string{"password", "google", "entra"} {
		for replica := range q.replicas {
			t.Run(fmt.Sprintf("%s, replica %d", method, replica), func(t *testing.T) {
				c := q.cell(t, "", false)
				if method != "password" {
					c.links(method, "own")
				}
				g := c.grows(method)
				c.open(c.authorizeURL("third")) // stands at the consent page
				consent := c.page
				c.replica = replica
				if len(c.userinfo(g.access["code"])) != 2 {
					t.Fatal("nothing to lose")
				}
				c.restriction(1 - replica)
				q.advance(5 * time.Second)
				c.page = consent
				if c.press("Allow"); len(c.codes) > 0 {
					t.Error("a consent page of before gives a code")
				}
				if alive := c.works(g); len(alive) > 0 {
					t.Errorf("alive after the lock: %q", alive)
				}
				if status, _ := c.call("/token", "", "grant_type", "client_credentials"); status != http.StatusOK {
					t.Errorf("the app itself, which is no person, is answered %d", status)
				}
			})
		}
	}
}

// What is created under the restriction is valid; otherwise a broker that refuses everything would pass.
func TestD13_WhatMicrosoftOpenedLivesAndAnotherMethodsSessionIsNoHelp(t *testing.T) {
	q := newCluster(t)
	c := q.cell(t, "", false)
	c.links("entra", "own")
	c.restriction(1)
	g := c.grows("entra")
	c.replica = 1
	for what, more := range map[string][]string{"plain": nil, "none": {"prompt", "none"}, "hint": {"login_hint",
		c.account.Email}} {
		c.open(c.authorizeURL(c.app.client, more...))
		if len(c.codes) != 1 {
			t.Errorf("%s: %d codes, at %s", what, len(c.codes), c.page.url)
		}
		c.codes = nil
	}
	if _, doc := c.call("/token", "", "grant_type", "refresh_token", "refresh_token",
		g.refresh["code"]); doc["access_token"] == nil {
		t.Errorf("the refresh of after the lock: %v", doc)
	}
	// A restriction without a new epoch, as an edit of the database would set it: the gate compares the method.
	d := q.cell(t, "", false)
	had := d.grows("password")
	d.change(1, func(a *broker.Account) {
		a.Restriction = &broker.Restriction{Only: broker.OnlyMicrosoft, Connections: []string{"entra"}}
	})
	q.advance(5 * time.Second)
	if alive := d.works(had); len(alive) > 0 {
		t.Errorf("of the password's session lives %q", alive)
	}
}

func TestD18_TheFirstBindTakesPasswordAndMailedCodeTogether(t *testing.T) {
	q := newCluster(t)
	for _, moves := range []bool{false, true} {
		c := q.cell(t, "", moves)
		c.restriction(1)
		c.begin()
		c.comes("adfs", "own") // its addresses are only asserted
		c.press("I have an account")
		c.press("Link and sign in", "email", c.account.Email, "password", matrixWord)
		if len(c.sessions()) > 0 || len(c.codes) > 0 {
			t.Fatal("the password alone binds")
		}
		c.press("Email me a code")
		code := q.mailedCode(c.account.Email)
		c.press("Link and sign in", "code", code, "password", "not the password")
		if len(c.sessions()) > 0 || len(c.codes) > 0 {
			t.Fatal("the code alone binds")
		}
		c.press("Link and sign in", "code", code, "password", matrixWord)
		if len(c.codes) != 1 || len(c.sessions()) != 1 || c.sessions()[0].Authn.Connection != "adfs" {
			t.Errorf("both do not bind: %+v at %s:\n%s", c.sessions(), c.page.url, textOf(c.page.root))
		}
	}
}

// A code mailed in a login that the restriction refuses is worth nothing.
func TestD4_ACodeMailedToAnotherProvidersPersonOpensNothing(t *testing.T) {
	q := newCluster(t)
	c := q.cell(t, "", false)
	c.change(0, func(a *broker.Account) { a.PasswordHash = "" })
	c.begin()
	c.comes("google", "own")
	c.press("Email me a code")
	code := q.mailedCode(c.account.Email)
	c.restriction(1)
	c.replica = 1
	c.may("Link and sign in", "code", code)
	at := c.page
	if c.gets() {
		t.Fatalf("a code opens it, at %s", at.url)
	}
	c.page = at
	c.explained(broker.MicrosoftRequired)
}

func TestD9_TwoConcurrentFirstBindsMakeOneIdentity(t *testing.T) {
	q := newCluster(t)
	a := q.cell(t, "", false)
	b := &cell{browser: newBrowser(t), q: q, app: plain(), account: a.account, address: "10.9.9.9", replica: 1,
		old: map[string]bool{}}
	b.client.Transport = b
	a.restriction(0)
	b.account = a.account
	var ready []func()
	for i, c := range []*cell{a, b} {
		c.begin()
		c.comes("entra", []string{"own", "other"}[i])
		q.advance(time.Minute) // so that the newest mail is known
		c.press("Email me a code")
		code := q.nthCode(c.account.Email, i+1)
		req := c.form("Link and sign in", "code", code, "password", matrixWord)
		ready = append(ready, func() { c.follow(req) })
	}
	var wg sync.WaitGroup
	for _, do := range ready {
		wg.Go(do)
	}
	wg.Wait()
	all, err := q.h.store.IdentitiesOf(q.ctx, a.account.ID)
	if err != nil || len(all) != 1 || len(a.sessions()) != 1 {
		t.Errorf("%d identities, %d sessions, %v:\n%s\n%s", len(all), len(a.sessions()), err, textOf(a.page.root),
			textOf(b.page.root))
	}
}

func TestD19_WhereMicrosoftIsDownNothingElseOpens(t *testing.T) {
	q := newCluster(t)
	c := q.cell(t, "", false)
	c.links("entra", "own")
	c.restriction(1)
	q.sims["entra"].Misbehave(func(f *fakeidp.Fault) { f.Down(fakeidp.AtToken) })
	c.begin()
	c.comes("entra", "own")
	at := c.page
	if c.gets() {
		t.Fatal("an outage opens it")
	}
	c.page = at
	c.explained(broker.ConnectionUnavailable, broker.UpstreamRejected)
	c.signs("password")
	if c.gets() {
		t.Error("the password opens it while Microsoft is down")
	}
	q.sims["entra"].Misbehave(func(f *fakeidp.Fault) { f.Breaks = nil })
	c.signs("entra")
	if !c.gets() {
		t.Error("Microsoft opens nothing when it is back")
	}
}

// Twenty logins are under way while the restriction is set: after that none creates a session.
func TestD15_AfterTheRestrictionNoPendingLoginGetsASession(t *testing.T) {
	q := newCluster(t)
	first := q.cell(t, "", false)
	var handlers []*cell
	var posts []*http.Request
	for i := range 20 {
		c := &cell{browser: newBrowser(t), q: q, app: plain(), account: first.account, address: fmt.Sprintf("10.8.0.%d", i),
			replica: i % 2, old: map[string]bool{}}
		c.client.Transport = c
		c.begin()
		c.press("Continue", "email", c.account.Email)
		handlers, posts = append(handlers, c), append(posts, c.form("Sign in", "password", matrixWord))
	}
	var wg sync.WaitGroup
	wg.Go(func() { first.restriction(1) })
	for i, c := range handlers {
		wg.Go(func() { c.follow(posts[i]) })
	}
	wg.Wait()
	for _, s := range first.sessions() {
		if s.Authn.Epoch >= first.account.AuthEpoch {
			t.Errorf("born after the lock: %+v", s)
		}
	}
	q.advance(5 * time.Second)
	for _, c := range handlers {
		if c.open(c.q.file.Issuer + broker.AccountPath); c.page.url.Path == broker.AccountPath {
			t.Error("a session outlives the lock")
		}
	}
}

// nthCode waits until n mails went to an address, and returns the newest code.
func (q *cluster) nthCode(to string, n int) string {
	q.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(q.h.cfg.Mail.Folder, "*.eml"))
		if err != nil {
			q.t.Fatal(err)
		}
		if len(files) >= n {
			return q.mailedCode(to)
		}
	}
	q.t.Fatalf("no %d mails to %s", n, to)
	return ""
}
