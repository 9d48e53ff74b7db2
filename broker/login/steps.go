package login

import "gatehouse/broker"

// stepPath returns the address of the page that a login waits for. The first pages have the address of the login.
func stepPath(sc scene) string {
	switch sc.Step {
	case "", broker.StepChoose, broker.StepPick, broker.StepDone:
		return loginPath(sc.ID)
	}
	return loginPath(sc.ID) + "/" + string(sc.Step)
}

// mayGoBack reports whether a login may return to its first page: nothing is proven, and nothing is to be said on the
// page that it waits for. The login stays as it is until the person chooses something else.
func mayGoBack(sc scene) bool {
	return sc.Purpose == broker.PurposeSignIn && !sc.HasProof() && !sc.Presets() && sc.Notice == ""
}
