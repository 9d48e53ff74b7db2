package clients

import (
	"net/url"

	"gatehouse/broker"
	"gatehouse/broker/egress"
)

// Unreachable tells which URIs of a client we would never call, such as an address in
// a network that the configuration does not allow. It looks no name up and calls
// nobody (SECURITY.md A17, A20); a name is asked about when it is dialed.
func Unreachable(c broker.Client, out *egress.Client) (problems []Problem) {
	v := &validation{}
	for _, told := range [][2]string{{"backchannel_logout_uri", c.BackchannelLogoutURI}, {"jwks_uri", c.KeysURI}} {
		u, err := url.Parse(told[1])
		if told[1] == "" || err != nil {
			continue // Validate has the rest
		}
		if err := out.MaySend(u); err != nil {
			v.add(told[0], "%q is never called from here: %v; upstream_networks of the configuration names what else may be", told[1], err)
		}
	}
	return v.problems
}

// Check returns every reason against a client that is newly described: those of Validate
// and of Unreachable. A change that describes nothing, such as a new secret, needs
// Validate alone.
func Check(c broker.Client, out *egress.Client) []Problem {
	//defence:A17 A20
	return append(Validate(c), Unreachable(c, out)...)
}
