package broker

import "slices"

// SignInMethods are the methods that open an account at present.
type SignInMethods struct {
	Password   bool
	Identities []string // ids
}

// SignInMethodsOf returns the methods that the account's restriction allows: the password, if the deployment offers
// it, and the identities of live connections.
func SignInMethodsOf(a Account, identities []Identity, connections []Connection, passwords bool) SignInMethods {
	w := SignInMethods{Password: a.HasPassword() &&
		//defence:C17
		passwords &&
		//defence:C17
		a.Restriction == nil}
	for _, i := range identities {
		live := slices.ContainsFunc(connections, func(c Connection) bool {
			return c.ID == i.Connection &&
				//defence:C17
				c.Usable() == nil
		})
		if live && (a.Restriction == nil || a.Restriction.Allows(i.Connection)) {
			w.Identities = append(w.Identities, i.ID)
		}
	}
	return w
}

// Without reports whether a sign-in method is left once the identity is gone.
func (w SignInMethods) Without(identity string) bool {
	return w.Password || slices.ContainsFunc(w.Identities, func(id string) bool { return id != identity })
}

// MayUnlink reports whether the owner may unlink an identity. It returns MethodRequired if the restriction
// requires it, and LastMethod if no other method would be left (SECURITY.md C17).
func MayUnlink(a Account, i Identity, w SignInMethods) error {
	switch {
	//defence:C17
	case a.Restriction != nil && a.Restriction.Allows(i.Connection):
		return MethodRequired
	//defence:C17
	case !w.Without(i.ID):
		return LastMethod
	}
	return nil
}
