package fakeidp

// Microsoft's tenants. MSATenant is the real, public id of all personal accounts; the other two are invented.
const (
	MSATenant   = "9188040d-6c67-4c5b-b112-36a304b66dad"
	DemoTenant  = "c0a05001-7e57-4a00-8a00-000000000001" // contoso.test: the organisation that the demo admits
	OtherTenant = "fab21ca3-7e57-4a00-8a00-000000000002" // fabrikam.test: an organisation that it refuses
)

// DemoPersonas returns the people of the demo. Their notes assume its settings: ana@example.test has a password
// account, Microsoft admits DemoTenant only, and anyone may register.
func DemoPersonas(kind string) []Persona {
	switch kind {
	case KindGoogle:
		return googlePersonas()
	case KindMicrosoft:
		return microsoftPersonas()
	case KindADFS:
		return []Persona{{
			Login: "hana", Email: "hana@contoso.test", Name: "Hana Novak", GivenName: "Hana", FamilyName: "Novak",
			HostedDomain: "contoso.test",
			Note:         "signs in from the company’s own directory",
		}}
	case KindFacebook:
		return facebookPersonas()
	case KindGitHub:
		return []Persona{{
			Login: "kit", Email: "kit@example.test", Name: "Kit Moreau", EmailVerified: true,
			Note: "is new here: a short registration",
		}, {
			Login: "lou", Email: "lou@example.test", Name: "Lou Baker",
			Note: "has no verified address: proves one with a mailed code",
		}}
	case KindApple:
		return []Persona{{
			Login: "avi", Email: "avi@example.test", Name: "Avi Stone", GivenName: "Avi", FamilyName: "Stone",
			EmailVerified: true, Note: "shares the address and the name",
		}, {
			Login: "rae", Email: "x7k2m9@privaterelay.appleid.com", Name: "Rae Moss", GivenName: "Rae", FamilyName: "Moss",
			EmailVerified: true, Note: "hides the address behind a relay",
		}}
	case KindLinkedIn:
		return []Persona{{
			Login: "lia", Email: "lia@example.test", Name: "Lia Fox", GivenName: "Lia", FamilyName: "Fox",
			EmailVerified: true, Note: "has a verified address",
		}, {
			Login: "lee", Email: "lee@example.test", Name: "Lee Ash", GivenName: "Lee", FamilyName: "Ash",
			Note: "has an unverified address: proves it with a mailed code",
		}}
	case KindOIDC:
		return []Persona{{
			Login: "vera", Email: "vera@example.test", Name: "Vera Lind", GivenName: "Vera", FamilyName: "Lind",
			EmailVerified: true,
			Note:          "has a verified address and is new here: a short registration",
		}, {
			Login: "una", Email: "una@example.test", Name: "Una Roy", GivenName: "Una", FamilyName: "Roy",
			Note: "has an unverified address: proves it with a mailed code",
		}}
	}
	return nil
}

func googlePersonas() []Persona {
	return []Persona{{
		Login: "ana", Email: "ana@example.test", Name: "Ana Silva", GivenName: "Ana", FamilyName: "Silva",
		EmailVerified: true,
		Note:          "links to the existing account of ana@example.test",
	}, {
		Login: "new.person", Email: "new.person@example.test", Name: "Noor Person", GivenName: "Noor", FamilyName: "Person",
		EmailVerified: true,
		Note:          "is new here: a short registration",
	}, {
		Login: "wim", Email: "wim@contoso.test", Name: "Wim Jansen", GivenName: "Wim", FamilyName: "Jansen",
		EmailVerified: true, HostedDomain: "contoso.test",
		Note: "has a Google Workspace account of contoso.test",
	}, {
		Login: "uma", Email: "uma@example.test", Name: "Uma Rao", GivenName: "Uma", FamilyName: "Rao",
		Note: "has an unverified address: proves it with a mailed code",
	}}
}

func microsoftPersonas() []Persona {
	yes := true
	return []Persona{{
		Login: "bruno", Email: "bruno@contoso.test", Name: "Bruno Costa", GivenName: "Bruno", FamilyName: "Costa",
		TenantID: DemoTenant, HostedDomain: "contoso.test", XmsEdov: &yes,
		Note: "has a work account of contoso.test, the organisation that may sign in",
	}, {
		Login: "carla", Email: "carla@contoso.test", Name: "Carla Reis", GivenName: "Carla", FamilyName: "Reis",
		TenantID: DemoTenant, HostedDomain: "contoso.test", XmsEdov: &yes,
		Note: "links to the existing account of carla@contoso.test",
	}, {
		Login: "eva", Email: "eva@fabrikam.test", Name: "Eva Fischer", GivenName: "Eva", FamilyName: "Fischer",
		TenantID: OtherTenant, HostedDomain: "fabrikam.test", XmsEdov: &yes,
		Note: "is refused: other organisation",
	}, {
		Login: "gus", Email: "gus@fabrikam.test", Name: "Gus Adler", GivenName: "Gus", FamilyName: "Adler",
		TenantID: DemoTenant, Guest: true, HomeIDP: "https://sts.windows.net/" + OtherTenant + "/",
		Note: "is refused: only a guest in contoso.test",
	}, {
		Login: "mallory", Email: "ana@example.test", Name: "Mallory Grey", GivenName: "Mallory", FamilyName: "Grey",
		TenantID: OtherTenant, HostedDomain: "fabrikam.test",
		Note: "claims Ana’s address from another organisation: is refused",
	}, {
		Login: "pia", Email: "pia@example.test", Name: "Pia Berg", GivenName: "Pia", FamilyName: "Berg",
		TenantID: MSATenant, XmsEdov: &yes,
		Note: "is refused: personal account",
	}}
}

func facebookPersonas() []Persona {
	return []Persona{{
		Login: "fay", Email: "fay@example.test", Name: "Fay Okoro", GivenName: "Fay", FamilyName: "Okoro",
		Note: "shares an address, which Facebook does not vouch for: a mailed code",
	}, {
		Login: "finn", Name: "Finn Dahl", GivenName: "Finn", FamilyName: "Dahl",
		Note: "has no address at Facebook: is asked for one",
	}, {
		Login: "dana", Email: "dana@example.test", Name: "Dana Weiss", GivenName: "Dana", FamilyName: "Weiss",
		DenyEmail: true,
		Note:      "declines to share the address until asked again",
	}}
}
