package login_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/login"
)

// codeRoutes are the ways to have a code mailed to an address that a stranger chooses.
var codeRoutes = map[string]struct {
	mode broker.Registration
	ask  func(g *fixture, b *browser, email string) page
}{
	"registration": {broker.RegisterForm, func(_ *fixture, b *browser, email string) page {
		path, _ := b.begin()
		b.post(path+"/wish", "wish", "new")
		return b.post(path+"/email", "email", email)
	}},
	"an upstream without an address": {broker.RegisterForm, func(g *fixture, b *browser, email string) page {
		g.claims(email, broker.Claims{Subject: email})
		path, _ := b.begin()
		b.through(path, "facebook", email)
		return b.post(path+"/email", "email", email)
	}},
	"an unverified address": {broker.RegisterForm, askAsserted},
	"an unverified address of somebody with an account, by invitation only": {broker.RegisterInvite, askAsserted},
}

func askAsserted(g *fixture, b *browser, email string) page {
	g.claims(email, broker.Claims{Subject: email, Email: email, Level: broker.EmailAsserted})
	path, _ := b.begin()
	b.through(path, "facebook", email)
	return b.post(path+"/wish", "wish", "new")
}

func TestE2_C7_StrangersHaveTwentyCodesMailedAnHourWhateverTheRoute(t *testing.T) {
	for name, route := range codeRoutes {
		for who, browser := range map[string]func(g *fixture, one *browser, i int) *browser{
			"one browser in many networks": func(_ *fixture, one *browser, i int) *browser {
				one.at = fmt.Sprintf("198.51.%d.%d", 100+i/200, 1+i%200)
				return one
			},
			"50 addresses of one network": func(g *fixture, _ *browser, i int) *browser {
				b := g.browser()
				b.at = "[2001:db8:1:2::" + strconv.Itoa(i%50+1) + "]"
				return b
			},
		} {
			t.Run(name+", "+who, func(t *testing.T) {
				g := newFixture(t, registration(route.mode), func(o *login.Options) {
					o.Ephemeral = &ledger{Ephemeral: o.Ephemeral, rows: map[string]int{}}
				})
				one, sent := g.browser(), 0
				for i := range 60 {
					email := fmt.Sprintf("p%d@example.com", i)
					if route.mode == broker.RegisterInvite {
						g.account(email, "")
					}
					p := route.ask(g, browser(g, one, i), email)
					if p.status == http.StatusOK {
						sent++
						continue
					}
					p.has(t, http.StatusTooManyRequests, "Too many attempts. Try again in 60 minutes.")
					if p.header.Get("Retry-After") != "3600" {
						t.Errorf("Retry-After %q", p.header.Get("Retry-After"))
					}
				}
				if n := len(g.mails()); n != 20 || sent != 20 {
					t.Errorf("%d mails, %d pages that say so", n, sent)
				}
			})
		}
	}
}

func TestE1_C7_ByInvitationOnlyAnAddressWithoutAnAccountGetsNoMailAndTheSamePage(t *testing.T) {
	g, line, _ := newShakyFixture(t, registration(broker.RegisterInvite))
	cost := map[string]int{}
	g.fleet.count = func(store string, _ int64) { cost[store]++ }
	g.fleet.put = func(store string) { cost[store]++ }
	g.fleet.swap = func(store string) error { cost[store]++; return nil }
	g.connection("facebook", 1, func(*broker.Connection) {})
	g.account("known@example.com", "")
	pages, work := map[string]string{}, map[string]string{}
	for _, email := range []string{"warmup@example.com", "known@example.com", "other@example.com"} {
		b := g.browser()
		g.claims(email, broker.Claims{Subject: email, Email: email, Level: broker.EmailAsserted})
		path, _ := b.begin()
		b.through(path, "facebook", email)
		clear(cost)
		line.Mend()
		p := b.post(path+"/wish", "wish", "new")
		work[email] = fmt.Sprint(cost, line.Passed())
		p.has(t, http.StatusOK, "Check your email", "has an account here")
		pages[email] = anonymous(strings.NewReplacer(path, "", email, "").Replace(p.body))
		want := 0
		if email == "known@example.com" {
			want = 1
		}
		if n := len(g.mails()); n != want {
			t.Errorf("%s got %d mails", email, n)
		}
		wrong := b.post(path+"/code", "code", "000000")
		wrong.has(t, http.StatusUnprocessableEntity)
		pages[email] += anonymous(strings.NewReplacer(path, "", email, "").Replace(wrong.body))
	}
	if pages["known@example.com"] != pages["other@example.com"] {
		t.Error("the pages differ")
	}
	if work["known@example.com"] != work["other@example.com"] {
		t.Errorf("the work differs: %v", work)
	}
}
