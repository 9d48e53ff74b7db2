package login_test

import (
	"fmt"
	"net/url"
	"testing"

	"gatehouse/broker"
)

// work is what an answer cost: messages to the database, what was counted (one for
// each hash and each code), and mails.
type work struct {
	Messages int64
	Counted  map[string]int
	Mails    int
}

// TestE1_C7_AC8_EverySortOfAddressCostsTheSameWork goes where an address is typed or
// asserted, with one of every sort. credential counts the hashes of one try.
func TestE1_C7_AC8_EverySortOfAddressCostsTheSameWork(t *testing.T) {
	g, line, _ := newShakyFixture(t)
	g.connection("facebook", 1, func(*broker.Connection) {})
	g.account("password@example.com", password)
	g.account("linked@example.com", "")
	g.linked(g.account("disabled@example.com", password), "google", "g-disabled")
	g.linked(g.account("locked@example.com", password), "google", "g-locked")
	for _, email := range []string{"disabled@example.com", "locked@example.com"} {
		a, err := g.db.AccountByEmail(t.Context(), email)
		must(t, err)
		if a.Disabled = email == "disabled@example.com"; !a.Disabled {
			a.Restriction = &broker.Restriction{Only: "google", SetBy: "operator", SetAt: g.time()}
		}
		must(t, g.db.ChangeAccount(t.Context(), a, a.AuthEpoch))
	}

	var cost work
	g.fleet.count = func(store string, _ int64) { cost.Counted[store]++ }
	g.fleet.swap = func(store string) error { cost.Counted[store]++; return nil }
	g.fleet.put = func(store string) { cost.Counted[store]++ }
	measured := func(do func() page, status int) (string, page) {
		t.Helper()
		cost = work{Counted: map[string]int{}}
		line.Mend()
		p := do()
		cost.Messages = line.Passed()
		cost.Mails = len(g.mails())
		p.has(t, status)
		return fmt.Sprintf("%+v", cost), p
	}
	walk := func(email string) (steps []string) {
		step := func(name string, status int, do func() page) (p page) {
			c, p := measured(do, status)
			steps = append(steps, name+" "+c)
			return p
		}
		b := g.browser()
		path, _ := b.begin()
		step("identifier", 200, func() page { return b.post(path+"/email", "email", email) })
		step("wrong password", 422, func() page {
			return b.post(path+"/password", "email", email, "password", "wrong password wrong")
		})

		b = g.browser()
		path, _ = b.begin()
		b.post(path+"/wish", "wish", "new")
		step("registration", 200, func() page { return b.post(path+"/email", "email", email) })
		step("wrong code", 422, func() page { return b.post(path+"/code", "code", "000000") })

		g.claims(email, broker.Claims{Subject: email, Email: email, Level: broker.EmailAsserted})
		b = g.browser()
		path, _ = b.begin()
		back := b.callback(path, "facebook", email)
		step("asserted address", 200, func() page { return b.get(back) })
		g.wait(broker.MailedLife) // or it is too soon for another code
		path, _ = b.begin()
		b.through(path, "facebook", email)
		step("code to it", 200, func() page { return b.post(path+"/wish", "wish", "new") })

		g.claims(email, broker.Claims{Subject: email + "2", Email: "eve@example.net", Level: broker.EmailAsserted})
		b = g.browser()
		path, _ = b.begin()
		b.through(path, "facebook", email)
		own := b.post(path+"/wish", "wish", "own")
		step("own, wrong password", 422, func() page {
			return b.post(path+"/own", "confirmation", own.hidden("confirmation"), "email", email, "password",
				"wrong password wrong")
		})
		g.wait(broker.MailedLife)
		return steps
	}

	walk("warm@example.com") // statements are prepared once
	want := walk("nobody@example.com")
	for _, s := range want {
		t.Log(s)
	}
	for _, email := range []string{"password@example.com", "linked@example.com", "disabled@example.com",
		"locked@example.com"} {
		for i, have := range walk(email) {
			if have != want[i] {
				t.Errorf("%s: %s\nfor nobody: %s", email, have, want[i])
			}
		}
	}
}

func TestASignInOfALinkedPersonReadsStorageAsLittleAsPossible(t *testing.T) {
	g, line, _ := newShakyFixture(t)
	g.linked(g.account(ana, ""), "google", "g1")
	g.claims("code", verified("g1", ana))
	g.start.Connection = "google"
	var there, back int64
	for range 3 { // the first ones have statements prepared
		b := g.browser()
		line.Mend()
		u, err := url.Parse(b.request("GET", "/authorize", nil).header.Get("Location"))
		must(t, err)
		there = line.Passed()
		line.Mend()
		b.request("GET", "/callback/google?"+url.Values{"state": {u.Query().Get("state")}, "code": {"code"}}.Encode(),
			nil).atApp(t, ana)
		back = line.Passed()
	}
	// The newcomer, the login, the connection, the upstream request.
	if there != 4 {
		t.Errorf("%d messages on the way out", there)
	}
	// The upstream request, the login, the state consumed, the connection three times
	// (which the cache answers), the identity with its account; the session with its event;
	// the login consumed.
	if back != 9 {
		t.Errorf("%d messages on the way back", back)
	}
}
