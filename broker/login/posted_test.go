package login_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/login"
)

// ledger counts the values that were stored, by store, and makes each counted event count for more.
type ledger struct {
	broker.Ephemeral
	rows   map[string]int
	weight map[string]int64
	room   error
}

func (l *ledger) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	err := l.Ephemeral.Put(ctx, store, key, v, expires)
	if err == nil {
		l.rows[store]++
	}
	return err
}

func (l *ledger) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	n, err := l.Ephemeral.Count(ctx, store, key, expires)
	return n * max(1, l.weight[store]), err
}

func (l *ledger) Room(context.Context) error { return l.room }

func withLedger(t *testing.T) (*fixture, *ledger) {
	t.Helper()
	in := &ledger{rows: map[string]int{}, weight: map[string]int64{}}
	g := newFixture(t, func(o *login.Options) { in.Ephemeral = o.Ephemeral; o.Ephemeral = in })
	g.linked(g.account(ana, ""), "google", "g1")
	g.claims("code", verified("g1", ana))
	return g, in
}

// response splits a callback URL into the path and the fields that an upstream posts.
func response(t *testing.T, back string) (path string, fields []string) {
	t.Helper()
	path, query, _ := strings.Cut(back, "?")
	q, err := url.ParseQuery(query)
	must(t, err)
	return path, []string{"state", q.Get("state"), "code", q.Get("code")}
}

func TestH4_AThousandPostsOfOneStateStoreOneResponseAndAnsweredOnesNone(t *testing.T) {
	g, in := withLedger(t)
	b, stranger := g.browser(), g.browser()
	path, _ := b.begin()
	at, fields := response(t, b.callback(path, "google", "code"))
	first := b.request(http.MethodPost, at, pairsOf(fields))
	if first.status != http.StatusSeeOther {
		t.Fatalf("%d %s", first.status, first.body)
	}
	flood := func() {
		t.Helper()
		for range 1000 {
			p := stranger.request(http.MethodPost, at,
				pairsOf(append(fields[:2:2], "code", "bad", "pad", strings.Repeat("x", 7000))))
			if p.status != http.StatusSeeOther {
				t.Fatalf("a repeated post: %d", p.status)
			}
		}
		if in.rows["login.posted"] != 1 {
			t.Fatalf("%d responses are stored", in.rows["login.posted"])
		}
	}
	flood()
	b.get(first.header.Get("Location")).atApp(t, ana)
	flood()
	g.wait(2 * time.Minute) // the first one has expired
	flood()
	if g.ups.asked != 1 {
		t.Errorf("the upstream was asked %d times", g.ups.asked)
	}
	b.get(b.request(http.MethodPost, at, pairsOf(fields)).header.Get("Location")).atApp(t, ana) // a reload
}

func TestH4_APostForAnUpstreamRequestThatHasExpiredStoresNothing(t *testing.T) {
	g, in := withLedger(t)
	b := g.browser()
	path, _ := b.begin()
	at, fields := response(t, b.callback(path, "google", "code"))
	g.wait(broker.UpstreamRequestLife + time.Second)
	p := b.post(at, fields...)
	p.has(t, 400, "That took a little too long")
	if in.rows["login.posted"] != 0 {
		t.Error("stored")
	}
}

func TestH4_APostedResponseIsBoundedInBytesAndSoIsANetwork(t *testing.T) {
	g, in := withLedger(t)
	in.weight["posters"] = 1000
	b := g.browser()
	path, _ := b.begin()
	post := func(size int, status int) {
		t.Helper()
		at, fields := response(t, b.callback(path, "google", "code"))
		p := b.request(http.MethodPost, at, pairsOf(append(fields, "pad", strings.Repeat("x", size))))
		p.has(t, status)
	}
	post(8<<10, http.StatusRequestEntityTooLarge)
	if in.rows["login.posted"] != 0 {
		t.Error("an oversized response is stored")
	}
	post(7<<10, http.StatusSeeOther) // counts as two
	post(100, http.StatusSeeOther)
	post(100, http.StatusTooManyRequests)
	if in.rows["login.posted"] != 2 {
		t.Errorf("%d responses are stored", in.rows["login.posted"])
	}
	g.wait(11 * time.Minute)
	post(100, http.StatusSeeOther)
}

func TestH4_AnUpstreamSaysHowMuchItsResponseMayPost(t *testing.T) {
	g, _ := withLedger(t)
	g.ups.maxPost = 20 << 10
	b := g.browser()
	path, _ := b.begin()
	at, fields := response(t, b.callback(path, "google", "code"))
	b.post(at, append(fields, "pad", strings.Repeat("x", 19<<10))...).atApp(t, ana)
}

func TestH4_OneBrowserBeginsAHundredUpstreamRequestsAnHour(t *testing.T) {
	for name, connection := range map[string]string{"from the page": "", "from the app": "google"} {
		t.Run(name, func(t *testing.T) {
			g, in := withLedger(t)
			b := g.browser()
			b.begin() // gets the cookie
			path, _ := b.begin()
			g.start.Connection = connection
			leave := func() page { return b.get(path + "/to/google") }
			if connection != "" {
				leave = func() page { return b.get("/authorize") }
			}
			for range 100 {
				leave()
			}
			stored := in.rows["upstream"]
			for range 20 {
				leave().has(t, http.StatusTooManyRequests, "<h1>Sign in</h1>")
			}
			if stored != 100 || in.rows["upstream"] != stored {
				t.Errorf("%d, then %d upstream requests are stored", stored, in.rows["upstream"])
			}
			g.wait(time.Hour)
			if connection == "" {
				path, _ = b.begin()
			}
			if p := leave(); p.status != http.StatusSeeOther {
				t.Errorf("an hour later: %d", p.status)
			}
		})
	}
}

func TestH4_ALargeRequestOfAnAppCountsForEveryBrowser(t *testing.T) {
	g, in := withLedger(t)
	in.weight["newcomers"] = 500
	b := g.browser()
	b.begin()
	b.begin() // has a list from now on
	g.start.Request = url.Values{"client_id": {"shop"}, "state": {strings.Repeat("s", 17<<10)}}
	b.get("/authorize").has(t, http.StatusTooManyRequests)
	g.start.Request = url.Values{"client_id": {"shop"}, "state": {"short"}}
	b.get("/authorize").has(t, http.StatusOK)
}

func TestH4_AFullStoreRefusesNewcomersAndLetsTheOthersFinish(t *testing.T) {
	g, in := withLedger(t)
	b := g.browser()
	b.begin()
	path, _ := b.begin()
	in.room = broker.Retry{Code: broker.Busy, After: 60}
	if p := g.browser().get("/authorize"); p.status != http.StatusServiceUnavailable ||
		p.header.Get("Retry-After") != "60" {
		t.Errorf("a newcomer: %d, %q", p.status, p.header.Get("Retry-After"))
	}
	b.get(path + "/to/google")
	b.through(path, "google", "code").atApp(t, ana)
	path, p := b.begin()
	p.has(t, http.StatusOK, "<h1>Sign in</h1>")
	b.through(path, "google", "code").atApp(t, ana)
}

func TestG17_NothingInTheStoreCompletesAnUpstreamRequest(t *testing.T) {
	g, in := withLedger(t)
	seen := &strings.Builder{}
	in.Ephemeral = copying{in.Ephemeral, seen}
	b := g.browser()
	path, _ := b.begin()
	at, fields := response(t, b.callback(path, "google", "code"))
	b.post(at, append(fields, "id_token", "the-token")...)
	for name, secret := range map[string]string{"state": fields[1], "nonce": g.ups.last().Nonce,
		"verifier": g.ups.last().Verifier, "ID token": "the-token"} {
		if secret == "" || strings.Contains(seen.String(), secret) {
			t.Errorf("the %s is in the store in plain", name)
		}
	}
}

// copying copies what is stored, with the texts inside base64 readable.
type copying struct {
	broker.Ephemeral
	seen *strings.Builder
}

func (c copying) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	c.seen.WriteString(key + string(v))
	var inner struct {
		V []byte `json:"v"`
	}
	if json.Unmarshal(v, &inner) == nil {
		c.seen.Write(inner.V)
	}
	return c.Ephemeral.Put(ctx, store, key, v, expires)
}
