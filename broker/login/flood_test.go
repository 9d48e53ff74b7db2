package login_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/login"
)

// crowd lets every newcomer stand for a thousand, and counts the rows that are made.
type crowd struct {
	broker.Ephemeral
	rows map[string]int
}

func (c *crowd) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	n, err := c.Ephemeral.Count(ctx, store, key, expires)
	if store == "newcomers" {
		n *= 1000
	}
	return n, err
}

func (c *crowd) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	c.rows[store]++
	return c.Ephemeral.Put(ctx, store, key, v, expires)
}

// from starts a login as a stranger at an address, with the cookie it says it has.
func (g *fixture) from(address, cookie string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "https://id.example.test/authorize", nil)
	if r.RemoteAddr = address + ":4000"; strings.Contains(address, ":") {
		r.RemoteAddr = "[" + address + "]:4000"
	}
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-gh_browser", Value: cookie})
	}
	w := httptest.NewRecorder()
	g.mux.ServeHTTP(w, r)
	return w
}

func TestH4_StrangersOfOneAddressLeaveNoRowsBeyondTheCap(t *testing.T) {
	for name, cookie := range map[string]func() string{
		"without a cookie":                func() string { return "" },
		"with a cookie that they made up": broker.NewToken,
	} {
		t.Run(name, func(t *testing.T) {
			rows := map[string]int{}
			g := newFixture(t, func(o *login.Options) { o.Ephemeral = &crowd{o.Ephemeral, rows} })
			g.wait(4 * time.Minute)
			old := g.browser()
			old.begin()
			for range 2 {
				if w := g.from("203.0.113.7", cookie()); w.Code != http.StatusSeeOther {
					t.Fatalf("below the cap: %d", w.Code)
				}
			}
			logins, lists := rows["login"], rows["login.browser"]
			for range 20 {
				w := g.from("203.0.113.7", cookie())
				if after, _ := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != http.StatusTooManyRequests || after < 350 ||
					after > 361 {
					t.Fatalf("beyond the cap: %d, come again in %q", w.Code, w.Header().Get("Retry-After"))
				}
			}
			if rows["login"] != logins || rows["login.browser"] != lists {
				t.Errorf("rows are left: %v", rows)
			}
			if w := g.from("203.0.113.8", cookie()); w.Code != http.StatusSeeOther {
				t.Errorf("the neighbour: %d", w.Code)
			}
			g.wait(6 * time.Minute)
			if w := g.from("203.0.113.7", cookie()); w.Code != http.StatusSeeOther {
				t.Errorf("in the next window: %d", w.Code)
			}
		})
	}
}

func TestH4_ABrowserThatIsKnownGoesOnBeyondTheCap(t *testing.T) {
	g := newFixture(t, func(o *login.Options) { o.Ephemeral = &crowd{o.Ephemeral, map[string]int{}} })
	b := g.browser()
	b.begin() // gets the cookie
	b.begin() // has a list from now on
	for range 5 {
		g.from("203.0.113.7", "")
	}
	_, p := b.begin()
	p.has(t, http.StatusOK, "<h1>Sign in</h1>")
}

func TestH4_AnIPv6NetworkCountsAsOne(t *testing.T) {
	g := newFixture(t, func(o *login.Options) { o.Ephemeral = &crowd{o.Ephemeral, map[string]int{}} })
	for i := range 5 {
		w := g.from("2001:db8:1:2::"+strconv.Itoa(i+1), "")
		if limited := w.Code == http.StatusTooManyRequests; limited != (i >= 3) {
			t.Errorf("start %d: %d", i, w.Code)
		}
	}
	if w := g.from("2001:db8:1:3::1", ""); w.Code != http.StatusSeeOther {
		t.Errorf("the next network: %d", w.Code)
	}
}

func TestH4_TheSweeperRemovesWhatIsOver(t *testing.T) {
	g := newFixture(t)
	for range 5 {
		g.from("203.0.113.7", broker.NewToken())
	}
	g.wait(broker.LoginLife + 6*time.Minute) // and what a replica with a slow clock may need
	removed, _, err := g.db.Purge(t.Context(), g.time(), 100)
	must(t, err)
	if removed < 11 { // five logins, their lists and the counter
		t.Errorf("%d rows", removed)
	}
}
