package web

import (
	"context"
	"net/netip"
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

// Newcomers counts, by address, the rows caused by new browsers. A browser with a list of open logins is limited
// by that list and not counted here.
type Newcomers struct {
	In  broker.Ephemeral
	Now func() time.Time
}

// Allow counts one more row. It returns RateLimited, with the time of the next window, when there are too many.
func (n Newcomers) Allow(ctx context.Context, address string) error {
	w := limit.Window{Name: "newcomers", Width: newcomerWindow, Most: maxNewcomers, In: n.In, Now: n.Now}
	return w.Allow(ctx, network(address))
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
