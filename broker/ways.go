package broker

import "slices"

// Ways are what lets somebody into an account as things stand.
type Ways struct {
	Password   bool
	Identities []string // ids
}

// WaysIn finds the ways in: the password where the deployment takes one, and the
// identities of live connections, as far as the account's lock admits either.
func WaysIn(a Account, identities []Identity, connections []Connection, passwords bool) Ways {
	//defence:C17
	w := Ways{Password: passwords && a.HasPassword() && a.Lock == nil}
	for _, i := range identities {
		//defence:C17
		live := slices.ContainsFunc(connections, func(c Connection) bool { return c.ID == i.Connection && c.Usable() == nil })
		if live && (a.Lock == nil || a.Lock.Allows(i.Connection)) {
			w.Identities = append(w.Identities, i.ID)
		}
	}
	return w
}

// Without tells whether a way in is left once the identity is gone.
func (w Ways) Without(identity string) bool {
	return w.Password || slices.ContainsFunc(w.Identities, func(id string) bool { return id != identity })
}

// MayUnlink tells whether the owner may part with an identity of their own:
// MethodRequired where the lock holds them to it, LastMethod where nothing else
// would let them in (SECURITY.md C17).
func MayUnlink(a Account, i Identity, w Ways) error {
	switch {
	//defence:C17
	case a.Lock != nil && a.Lock.Allows(i.Connection):
		return MethodRequired
	//defence:C17
	case !w.Without(i.ID):
		return LastMethod
	}
	return nil
}
