package main

import (
	"context"
	"flag"
	"io"
	"strconv"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

type logoutView struct {
	Client    string    `json:"client_id"`
	Session   string    `json:"session"`
	Account   string    `json:"account"`
	EndedAt   time.Time `json:"ended_at"`
	ExpiresAt time.Time `json:"given_up_at"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at"`
	LastError string    `json:"last_error,omitempty"`
}

// listLogouts shows the apps that do not know yet that a session ended. What became of
// the others is in the audit log: logout.delivered, logout.undelivered.
func listLogouts(fs *flag.FlagSet) action {
	limit := fs.Int("limit", 100, "at most so many, up to 1000")
	return func(ctx context.Context, t *tool, _ []string) error {
		if err := misused(admin.CheckLimit(*limit)); err != nil {
			return err
		}
		h, err := t.open(ctx)
		if err != nil {
			return err
		}
		all, err := h.store.Logouts(ctx, "", *limit)
		if err != nil {
			return err
		}
		views := make([]logoutView, 0, len(all))
		for _, l := range all {
			views = append(views, viewLogout(l))
		}
		return t.print(views, func(w io.Writer) {
			row(w, "CLIENT", "SESSION", "ACCOUNT", "ENDED", "ATTEMPTS", "NEXT", "GIVEN UP", "LAST ERROR")
			for _, v := range views {
				row(w, v.Client, v.Session, v.Account, date(v.EndedAt), strconv.Itoa(v.Attempts), date(v.NextAt), date(v.ExpiresAt), or(v.LastError, "-"))
			}
		})
	}
}

func viewLogout(l broker.Logout) logoutView {
	return logoutView{l.ClientID, l.SessionID, l.AccountID, l.CreatedAt, l.ExpiresAt, l.Attempts, l.NextAt, l.LastError}
}
