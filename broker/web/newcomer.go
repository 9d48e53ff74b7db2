package web

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"gatehouse/broker"
)

// What strangers may have us keep: a login or a posted request is a row that
// anybody can cause. A company of thousands behind one address, who all come on
// Monday morning without a cookie, stays below it (SECURITY.md H4).
const (
	maxNewcomers   = 3000
	newcomerWindow = 10 * time.Minute
)

// Newcomers counts, by address, what browsers that are new here have us keep. A
// browser that has a list of open logins is held by that list and not counted.
type Newcomers struct {
	In  broker.Fleeting
	Now func() time.Time
}

// Admit counts one more; RateLimited, with the moment to come again, for one too many.
func (n Newcomers) Admit(ctx context.Context, address string) error {
	now := n.Now()
	ends := now.Truncate(newcomerWindow).Add(newcomerWindow)
	count, err := n.In.Count(ctx, "newcomers", network(address)+" "+strconv.FormatInt(ends.Unix(), 36), ends)
	//defence:H4
	if err == nil && count > maxNewcomers {
		err = broker.Retry{Code: broker.RateLimited, After: int(ends.Sub(now)/time.Second) + 1}
	}
	return err
}

// network is what one subscriber holds: an IPv4 address, or an IPv6 /64, out of
// which anybody may take as many addresses as he likes.
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
