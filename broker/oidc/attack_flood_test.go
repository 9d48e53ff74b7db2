package oidc

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gatehouse/broker"
)

// crowd lets every newcomer stand for a thousand, and counts the rows that are made.
type crowd struct {
	broker.Fleeting
	rows map[string]int
}

func (c *crowd) Count(ctx context.Context, shelf, key string, expires time.Time) (int64, error) {
	n, err := c.Fleeting.Count(ctx, shelf, key, expires)
	return n * 1000, err
}

func (c *crowd) Put(ctx context.Context, shelf, key string, v []byte, expires time.Time) error {
	c.rows[shelf]++
	return c.Fleeting.Put(ctx, shelf, key, v, expires)
}

func TestH4_PostsFromElsewhereLeaveNoRowsBeyondTheCap(t *testing.T) {
	rows := map[string]int{}
	h := newHouseWith(t, ports{fleeting: func(f broker.Fleeting) broker.Fleeting { return &crowd{f, rows} }})
	id := h.signIn().text("id_token")
	for i := range 10 {
		path, form := "/authorize", ask()
		if i%2 == 1 {
			path, form = "/end_session", ask("id_token_hint", id, "post_logout_redirect_uri", goodbye, "client_id", "app")
		}
		a := h.send(newRequest(http.MethodPost, path, form))
		if i < 3 && a.StatusCode != http.StatusSeeOther || i >= 3 && (a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "") {
			t.Errorf("post %d: %d", i, a.StatusCode)
		}
	}
	if rows["post"] != 3 {
		t.Errorf("%d rows", rows["post"])
	}
}
