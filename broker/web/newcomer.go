package web

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"gatehouse/broker"
)

// Anyone can cause rows for logins and posted requests. The limit still admits a company of thousands behind one
// address, who all arrive in one morning without a cookie (SECURITY.md H4).
const (
	maxNewcomers   = 3000
	newcomerWindow = 10 * time.Minute
)

// Newcomers counts, by address, the rows caused by new browsers. A browser with a list of open logins is limited
// by that list and not counted here.
type Newcomers struct {
	In  broker.Ephemeral
	Now func() time.Time
}

// Allow counts one more row. It returns RateLimited, with the time of the next window, when there are too many.
func (n Newcomers) Allow(ctx context.Context, address string) error {
	now := n.Now()
	ends := now.Truncate(newcomerWindow).Add(newcomerWindow)
	count, err := n.In.Count(ctx, "newcomers", network(address)+" "+strconv.FormatInt(ends.Unix(), 36), ends)
	//defence:H4
	if err == nil && count > maxNewcomers {
		err = broker.Retry{Code: broker.RateLimited, After: int(ends.Sub(now)/time.Second) + 1}
	}
	return err
}

// network returns what one subscriber holds: an IPv4 address, or an IPv6 /64, which has plenty of addresses.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	//defence:H4
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	return a.String()
}
