package main

import (
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// calmly does something before the cell's policy sets the restriction.
func (c *cell) calmly(do func()) {
	p, m := c.policy, c.moves
	c.policy, c.moves = "", false
	do()
	c.policy, c.moves = p, m
}

// code is the newest code that was mailed to the person.
func (c *cell) code() string {
	c.t.Helper()
	c.mails++
	return c.q.nthCode(c.account.Email, c.mails)
}

func withoutPassword(c *cell) { c.change(0, func(a *broker.Account) { a.PasswordHash = "" }) }

// byPassword leaves the person signed in by the password.
func byPassword(c *cell) {
	c.calmly(func() { c.signs("password") })
	c.codes = nil
}

// moreRoutes are those that take several pages or start from a session.
func moreRoutes() []way {
	return []way{
		{name: "D1 registration of an address that has an account", drive: func(c *cell) {
			c.begin()
			c.press("New here? Create an account")
			c.press("Send a code", "email", c.account.Email)
			c.press("Continue", "code", c.code())
			c.last()
			c.press("Sign in", "password", matrixWord)
		}, dies: ms},
		{name: "D4 neutral page, then a code", drive: func(c *cell) {
			c.begin()
			c.toFacebook()
			c.press("I’m new")
			code := c.code()
			c.last()
			c.press("Continue", "code", code)
			c.may("Link and sign in", "password", matrixWord)
		}, dies: ms},
		{name: "D4 link by a mailed code", setup: withoutPassword, drive: func(c *cell) {
			c.begin()
			c.calmly(func() { c.comes("google", "own") })
			if !c.may("Email me a code") {
				return // refused before anything was asked
			}
			code := c.code()
			c.last()
			c.may("Link and sign in", "code", code)
		}, dies: ms},
		{name: "D4 link by another identity", setup: func(c *cell) {
			c.links("google", "own")
			withoutPassword(c)
		}, drive: func(c *cell) {
			c.begin()
			c.calmly(func() { c.comes("club", "own") })
			if !c.offers("/to/google") {
				return
			}
			c.click("Continue with Google")
			callback := c.stopBefore("Person own", "/callback/")
			c.last()
			c.open(callback)
		}, dies: ms},
		{name: "D13 the account chooser goes on with a session of before", setup: byPassword, drive: func(c *cell) {
			c.open(c.authorizeURL(c.app.client, "prompt", "select_account"))
			c.last()
			c.may("Vic " + c.account.Email)
		}, rests: true},
		{name: "D1 a fresh proof by the password, where the provider proves none", setup: linked("facebook"),
			drive: func(c *cell) {
				c.open(c.authorizeURL(c.app.client, "max_age", "0"))
				c.calmly(func() { c.comes("facebook", "own") })
				c.last()
				c.may("Continue", "password", matrixWord)
			}, dies: []broker.Code{broker.MicrosoftRequired, broker.StartAgain}},
		{name: "D13 D14 hints of the app", setup: linked("google"), drive: func(c *cell) {
			c.last()
			c.open(c.authorizeURL(c.app.client, "connection", "google", "login_hint", c.account.Email, "acr_values", "pwd",
				"prompt", "login"))
			c.open(c.stopBefore("Person own", "/callback/"))
		}, dies: ms},
		{name: "D18 without a password nothing binds", setup: withoutPassword, drive: func(c *cell) {
			c.begin()
			c.last()
			c.calmly(func() { c.comes("entra", "own") })
			if c.may("Email me a code") {
				c.may("Link and sign in", "code", c.code())
			}
		}, dies: []broker.Code{broker.BindRefused}},
	}
}

// offers reports whether the page has a link with this in its address.
func (c *cell) offers(part string) bool {
	for _, a := range elements(c.page.root, "a") {
		if strings.Contains(attr(a, "href"), part) {
			return true
		}
	}
	return false
}

func TestD4_B17_ABoundAccountWhoseConnectionIsOffComesInByNoOtherWay(t *testing.T) {
	q := newCluster(t)
	c := q.cell(t, open, false)
	c.links("entra", "own")
	c.restriction(0)
	entra, err := q.h.store.Connection(q.ctx, "entra")
	if err != nil {
		t.Fatal(err)
	}
	c.begin()
	callback := c.toward("entra", "own")
	entra.State = broker.Disabled
	if err := q.h.store.PutConnection(q.ctx, entra); err != nil {
		t.Fatal(err)
	}
	q.advance(6 * time.Second)
	c.open(callback)
	if c.gets() {
		t.Error("a connection that is off signs in")
	}
	c.begin()
	c.press("Continue", "email", c.account.Email)
	c.press("Sign in", "password", matrixWord)
	if c.gets() {
		t.Error("the password opens what Microsoft cannot")
	}
}
