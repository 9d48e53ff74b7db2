package admin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"gatehouse/broker"
	"gatehouse/providers"
)

// maxConnectionName is the longest name of a connection in bytes.
const maxConnectionName = 60

// ConnectionProblems returns everything that is wrong with a connection: alone, in combination with the others, and
// under the networks that the configuration opens. It uses no network.
func ConnectionProblems(c broker.Connection, all []broker.Connection, open []netip.Prefix) (found []string) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if c.ID == "" || len(c.ID) > 63 || c.ID[0] == '-' || strings.Trim(c.ID, alphabet) != "" { // part of a path
		found = append(found, "its id must be 1 to 63 lower-case letters, digits and dashes")
	}
	if strings.TrimSpace(c.Name) != c.Name || c.Name == "" || len(c.Name) > maxConnectionName {
		found = append(found, fmt.Sprintf("name must be 1 to %d bytes on one line, as people know the provider: it is on "+
			"the button", maxConnectionName))
	}
	//defence:G20 ./broker/admin:TestNoConnectionHasANameThatLooksLikeAnother
	if p := broker.NameProblem(c.Name); p != "" {
		found = append(found, "name "+p)
	}
	for _, other := range all {
		for _, d := range other.Domains {
			if other.ID != c.ID && slices.Contains(c.Domains, d) {
				found = append(found, fmt.Sprintf("domain %s is sent to the connection %s already", d, other.ID))
			}
		}
	}
	// An editor of connections must not open the company's network. Only the configuration does that.
	for text := range strings.FieldsFuncSeq(c.Settings["networks"],
		func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		p, err := netip.ParsePrefix(text)
		if err == nil && !slices.ContainsFunc(open,
			func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }) {
			found = append(found, fmt.Sprintf("networks: %s is not open; list it in upstream_networks of the configuration", p))
		}
	}
	return append(found, providers.Problems(c)...)
}
