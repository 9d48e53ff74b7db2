package web

import (
	"cmp"
	"context"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
)

// Anyone can cause rows for logins and posted requests. The limit still admits a company of thousands behind one
// address, who all arrive in one morning without a cookie (SECURITY.md H4).
const (
	maxNewcomers   = 3000
	newcomerWindow = 10 * time.Minute
)

// RowSize is how many bytes one row may have. A longer row counts as several.
const RowSize = 4 << 10

// Newcomers counts, by network, the rows caused by new browsers. A browser with a list of open logins is limited
// by that list and not counted here.
type Newcomers struct {
	Name string // of the counters; "newcomers" if empty
	In   broker.Ephemeral
	Now  func() time.Time
}

// Allow counts one more row of so many bytes. It returns RateLimited, with the time of the next window, when there
// are too many, and Busy while the store is nearly full.
func (n Newcomers) Allow(ctx context.Context, address string, size int) error {
	//defence:H4
	if err := n.In.Room(ctx); err != nil {
		return err
	}
	w := limit.Window{Name: cmp.Or(n.Name, "newcomers"), Width: newcomerWindow, Most: maxNewcomers, In: n.In, Now: n.Now}
	//defence:H4
	for range 1 + size/RowSize {
		if err := w.Allow(ctx, limit.Network(address)); err != nil {
			return err
		}
	}
	return nil
}
