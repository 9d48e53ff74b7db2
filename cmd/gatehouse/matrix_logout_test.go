package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
)

// hearsOut posts a logout token to a connection's route at a replica.
func (q *cluster) hearsOut(replica int, connection, token string) int {
	q.t.Helper()
	r := httptest.NewRequest(http.MethodPost, q.file.Issuer+"/callback/"+connection+"/logout",
		strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	q.replicas[replica].ServeHTTP(rec, r)
	return rec.Code
}

// says is a logout token by the provider of one connection for the client of another.
func (q *cluster) says(t *testing.T, by string, c broker.Connection, i broker.Identity) string {
	t.Helper()
	now := q.clock.now()
	token, err := q.sims[by].Mint("logout+jwt", map[string]any{"iss": i.Issuer, "aud": c.ClientID, "sub": i.Subject,
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"jti": broker.NewID(), "events": map[string]any{
			"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// An upstream of any kind ends the sessions that it opened, on every replica, if its
// kind sends logout tokens, and no upstream ends the sessions of another.
func TestA18_A7_AnUpstreamEndsWhatItOpenedAndNoOtherDoes(t *testing.T) {
	q := newCluster(t)
	tells := []string{"club"}
	refused := func(status int) bool { return status == http.StatusBadRequest || status == http.StatusNotFound }
	for _, id := range []string{"google", "github", "facebook", "club", "entra", "adfs"} {
		t.Run(id, func(t *testing.T) {
			c := q.cell(t, "", false)
			c.links(id, "own")
			g := c.grows(id)
			all, err := q.h.store.IdentitiesOf(q.ctx, c.account.ID)
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			connection, err := q.h.store.Connection(q.ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			for by := range q.sims {
				if by == id {
					continue
				}
				token := q.says(t, by, connection, all[0])
				for at := range q.sims {
					if status := q.hearsOut(1, at, token); !refused(status) {
						t.Errorf("the word of %s at %s is answered %d", by, at, status)
					}
				}
			}
			own := q.says(t, id, connection, all[0])
			for at := range q.sims {
				if at != id && !refused(q.hearsOut(0, at, own)) {
					t.Errorf("its word is believed at %s", at)
				}
			}
			for c.replica = range q.replicas {
				if len(c.userinfo(g.access["code"])) != 2 {
					t.Fatal("nothing is left to end")
				}
			}
			hears := slices.Contains(tells, id)
			if status := q.hearsOut(1, id, own); (status == http.StatusOK) != hears || !hears && !refused(status) {
				t.Errorf("its word is answered %d", status)
			}
			for c.replica = range q.replicas {
				if alive := c.userinfo(g.access["code"]); (len(alive) == 0) != hears {
					t.Errorf("replica %d: %q", c.replica, alive)
				}
				if c.open(c.authorizeURL("app", "prompt", "none")); (c.newestOrNone() == "") != hears {
					t.Errorf("replica %d: the session lives %t", c.replica, hears)
				}
				_, doc := c.call("/token", "", "grant_type", "refresh_token", "refresh_token", g.refresh["code"])
				if (doc["access_token"] == nil) != hears {
					t.Errorf("replica %d: %v", c.replica, doc)
				}
			}
			if hears && q.hearsOut(0, id, own) != http.StatusBadRequest {
				t.Error("it is heard twice")
			}
		})
	}
}
