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
	broker.Ephemeral
	rows map[string]int
}

func (c *crowd) Count(ctx context.Context, store, key string, expires time.Time) (int64, error) {
	n, err := c.Ephemeral.Count(ctx, store, key, expires)
	return n * 1000, err
}

func (c *crowd) Put(ctx context.Context, store, key string, v []byte, expires time.Time) error {
	c.rows[store]++
	return c.Ephemeral.Put(ctx, store, key, v, expires)
}

func TestH4_PostsFromElsewhereLeaveNoRowsBeyondTheCap(t *testing.T) {
	rows := map[string]int{}
	h := newHarnessWith(t, ports{ephemeral: func(f broker.Ephemeral) broker.Ephemeral { return &crowd{f, rows} }})
	id := h.signIn().text("id_token")
	for i := range 10 {
		path, form := "/authorize", ask()
		if i%2 == 1 {
			path, form = "/end_session", ask("id_token_hint", id, "post_logout_redirect_uri", goodbye, "client_id", "app")
		}
		a := h.send(newRequest(http.MethodPost, path, form))
		if i < 3 && a.StatusCode != http.StatusSeeOther || i >= 3 && (a.StatusCode != http.StatusTooManyRequests ||
			a.Header.Get("Retry-After") == "") {
			t.Errorf("post %d: %d", i, a.StatusCode)
		}
	}
	if rows["post"] != 3 {
		t.Errorf("%d rows", rows["post"])
	}
}
