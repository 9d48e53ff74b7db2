package login

import (
	"time"

	"gatehouse/broker"
)

// The views of page/*.html. Each page is named after its step.

type chooseView struct { // E-1
	page
	Email      string
	Account    string // the address of the account that must sign in, "" for any account
	Known      bool   // the address was just verified, and has its account
	Ask        bool   // for an address
	Idps, More []idp
	New        bool // "New here? Create an account"
}

type pickView struct { // E-17
	page
	Session, Email, Name string
	Initial              string // of the name or the address
}

type orgView struct { // E-2
	page
	Email, Domain string
	Idp           idp
	Password      bool // "Use your password instead"
}

type passwordView struct { // E-3
	page
	Email string
	Idps  []idp
	Known bool // the address was just verified, and has its account
	Again bool // the app requires that the person authenticates again
}

type linkView struct { // E-4
	page
	Idp          idp
	Theirs       string // the address at the upstream
	Email        string // the owner's: for password managers, never shown
	Masked       string
	Year         int
	Confirmation string
	Proof        broker.LinkProof
	Ready        bool      // all proofs can be given now
	Code         *sentCode // the code that was sent to the owner
	Others       []idp     // the owner's other linked methods
}

type newView struct { // neutral, own, email, code (E-6), register (E-5)
	page
	Idp           idp
	Theirs        string
	Email         string
	Confirmation  string
	Local         bool // no upstream: registration with a password
	Verified      bool // by the upstream, not by a code
	Maybe         bool // a code is mailed only if the address has an account
	Given, Family string
	Code          *sentCode
	Now           time.Time
}

type upstreamView struct { // a link for a signed-in account
	page
	Idp  idp
	Live bool // the connection is available
}

type confirmView struct { // a fresh proof, or the second factor (E-12)
	page
	Email    string
	Password bool      // it asks for the password, else for a mailed code
	Code     *sentCode // the code that was sent
}
