package main

import (
	"net/http"
	"testing"
	"time"

	"gatehouse/broker"
)

const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// calls has the app's device start a request, and returns its two codes.
func (c *cell) calls() (device, user string) {
	c.t.Helper()
	status, doc := c.call("/device_authorization", "", "scope", "openid email offline_access")
	if status != http.StatusOK {
		c.t.Fatalf("%d %v", status, doc)
	}
	return doc["device_code"].(string), doc["user_code"].(string)
}

// polls requests the device's tokens at both replicas, as the device does; tokens
// of a device count as a code does.
func (c *cell) polls(device string) {
	c.t.Helper()
	for range c.q.replicas {
		c.replica = 1 - c.replica
		if _, doc := c.call("/token", "", "grant_type", grantDevice, "device_code", device); doc["access_token"] != nil {
			c.fits("device", doc)
			c.codes = append(c.codes, doc["access_token"].(string))
		}
	}
}

// deviceRoutes are the routes by which a device gets tokens.
func deviceRoutes() []way {
	typed := func(c *cell, user string) {
		c.open(c.q.file.Issuer + "/device")
		c.press("Continue", "user_code", user)
	}
	return []way{
		{name: "the code is typed and the password given", drive: func(c *cell) {
			device, user := c.calls()
			typed(c, user)
			c.press("Continue", "email", c.account.Email)
			c.last()
			c.press("Sign in", "password", matrixWord)
			c.may("Allow device")
			c.polls(device)
		}},
		{name: "the question is answered from a session of before", setup: byPassword, drive: func(c *cell) {
			device, user := c.calls()
			typed(c, user)
			c.last()
			c.may("Allow device")
			c.polls(device)
		}, rests: true},
		{name: "allowed before, redeemed after", setup: byPassword, drive: func(c *cell) {
			device, user := c.calls()
			typed(c, user)
			c.may("Allow device")
			c.last()
			c.polls(device)
		}, rests: true},
		{name: "allowed through Microsoft", setup: linked("entra"), drive: func(c *cell) {
			device, user := c.calls()
			typed(c, user)
			c.comes("entra", "own")
			c.may("Allow device")
			c.polls(device)
		}, green: true},
		{name: "allowed through Google", setup: linked("google"), drive: func(c *cell) {
			device, user := c.calls()
			typed(c, user)
			c.comes("google", "own")
			c.may("Allow device")
			c.polls(device)
		}},
	}
}

func TestD1_D5_ADeviceComesInAsItsPersonMay(t *testing.T) {
	q := newCluster(t)
	apps := q.variants()
	for _, w := range deviceRoutes() {
		for i, p := range []policy{open, restricted, midway} {
			for j, moves := range []bool{false, true} {
				for _, app := range []clientVariant{apps[0], apps[1+(2*i+j)%(len(apps)-1)]} {
					t.Run(cellName(w, p, moves, app), func(t *testing.T) { q.letsIn(t, w, p, moves, app) })
				}
			}
		}
	}
}

func (q *cluster) letsIn(t *testing.T, w way, p policy, moves bool, app clientVariant) {
	c := q.cell(t, p, moves)
	if w.setup != nil {
		w.setup(c)
	}
	c.app = app
	q.advance(time.Minute)
	if p == restricted {
		c.restriction(1)
		q.advance(5 * time.Second)
	}
	w.drive(c)
	if got, want := len(c.codes) > 0, p == open || w.green; got != want {
		t.Fatalf("tokens %t, want %t, at %s (%d):\n%s", got, want, c.page.url, c.page.status, textOf(c.page.root))
	}
	if c.page.status >= http.StatusInternalServerError {
		t.Errorf("%d %s", c.page.status, textOf(c.page.root))
	}
}

// A disabled account gets no tokens through a device that it allowed before.
func TestD2_ADeviceOfADisabledAccountGetsNothing(t *testing.T) {
	q := newCluster(t)
	c := q.cell(t, open, false)
	c.signs("password")
	had, user := c.calls()
	c.open(c.q.file.Issuer + "/device")
	c.press("Continue", "user_code", user)
	c.press("Allow device")
	_, doc := c.call("/token", "", "grant_type", grantDevice, "device_code", had)
	waiting, user := c.calls()
	c.open(c.q.file.Issuer + "/device")
	c.press("Continue", "user_code", user)
	c.press("Allow device")
	asked, user := c.calls()
	c.open(c.q.file.Issuer + "/device")
	c.press("Continue", "user_code", user)
	c.change(1, func(a *broker.Account) { a.Disabled = true })
	q.advance(5 * time.Second)
	c.may("Allow device")
	c.codes = nil
	c.polls(waiting)
	c.polls(asked)
	if len(c.codes) > 0 {
		t.Errorf("%d tokens", len(c.codes))
	}
	for replica := range q.replicas {
		c.replica = replica
		if status, _ := c.call("/userinfo", doc["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("userinfo: %d", status)
		}
		if _, again := c.call("/token", "", "grant_type", "refresh_token", "refresh_token",
			doc["refresh_token"].(string)); again["access_token"] != nil {
			t.Error("it refreshes")
		}
	}
}
