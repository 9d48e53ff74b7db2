package providers

import "gatehouse/broker"

// assertion is an address with what one document says about it (SECURITY.md §1.0, B15).
type assertion struct {
	address  string // canonical; empty for none
	verified tristate
}

// asserted reads the address and its verification from one document.
func asserted(d document) assertion {
	return assertion{address: d.email("email"), verified: d.boolean("email_verified")}
}

// merge chooses between two documents about one person. It never combines the address of one with the
// verification of the other, except that a no in either one wins.
func (a assertion) merge(b assertion) assertion {
	chosen := a
	//defence:B15
	if a.address == "" || a.verified != yes && b.address != "" && b.verified == yes {
		chosen = b
	}
	//defence:B15
	if a.verified == no || b.verified == no {
		chosen.verified = no
	}
	return chosen
}

// level is the trust level of an upstream that checks addresses but is not their authority.
func (a assertion) level() broker.Level {
	switch {
	case a.address == "":
		return broker.None
	case a.verified == yes:
		return broker.EmailVerified
	}
	return broker.EmailAsserted
}

// assertedLevel is the level of an address that the upstream does not verify.
func assertedLevel(address string) broker.Level {
	if address == "" {
		return broker.None
	}
	return broker.EmailAsserted
}
