package providers

import "gatehouse/broker"

// assertion is an address with what one document says of it (SECURITY.md §1.0, B15).
type assertion struct {
	address  string // canonical; empty for none
	verified answer
}

// asserted reads the address and its verification from one and the same document.
func asserted(d document) assertion {
	return assertion{address: d.email("email"), verified: d.says("email_verified")}
}

// better chooses between two documents about one person. The pair is never mixed, except that a no in either one wins:
// an address verified here and unverified there is not verified.
func (a assertion) better(b assertion) assertion {
	chosen := a
	if a.address == "" || a.verified != yes && b.address != "" && b.verified == yes {
		chosen = b
		//defence:B15
	}
	//defence:B15
	if a.verified == no || b.verified == no {
		chosen.verified = no
	}
	return chosen
}

// level is how far the word of an upstream goes that checks addresses but is not their authority.
func (a assertion) level() broker.Level {
	switch {
	case a.address == "":
		return broker.None
	case a.verified == yes:
		return broker.L2
	}
	return broker.L1
}

// unchecked is the level of an address for which nobody vouches.
func unchecked(address string) broker.Level {
	if address == "" {
		return broker.None
	}
	return broker.L1
}
