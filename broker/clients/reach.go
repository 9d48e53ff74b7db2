package clients

import (
	"net/url"

	"gatehouse/broker"
	"gatehouse/broker/egress"
)

// Unreachable reports the URIs of a client that egress would refuse, such as an address in a network that the
// configuration does not allow. It resolves no names and sends nothing (SECURITY.md A17, A20); a name is checked
// when it is dialled.
func Unreachable(c broker.Client, out *egress.Client) (problems []Problem) {
	v := &validation{}
	for _, told := range [][2]string{{"backchannel_logout_uri", c.BackchannelLogoutURI}, {"jwks_uri", c.KeysURI}} {
		u, err := url.Parse(told[1])
		if told[1] == "" || err != nil {
			continue // Validate reports the rest
		}
		if err := out.MaySend(u); err != nil {
			v.add(told[0], "%q cannot be called: %v; allow its network in upstream_networks of the configuration",
				told[1], err)
		}
	}
	return v.problems
}

// Check returns every problem of a client whose description is new: those of Validate and of Unreachable. Use
// Validate alone if the description does not change, as for a new secret.
func Check(c broker.Client, out *egress.Client) []Problem {
	return append(Validate(c),
		//defence:A17 A20
		Unreachable(c, out)...)
}
