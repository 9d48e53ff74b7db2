package providers

import (
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestD7_APersonalAccountIsNeverAMember(t *testing.T) {
	for _, mode := range []string{"consumers", "common, any", "common, personal listed"} {
		t.Run(mode, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()}, modes[mode].settings)
			if c := r.signsIn("M"); c.UserType != broker.UserTypePersonal {
				t.Errorf("user type %q", c.UserType)
			}
			for name, claims := range map[string]map[string]any{
				"as a member":          {"acct": 0},
				"with a home":          {"idp": "live.com"},
				"with a tenant's home": {"idp": "https://sts.windows.net/" + tenantA + "/", "acct": 0},
			} {
				r.faulty(name, func(f *fakeidp.Fault) { f.Claims = claims }, func(r *fixture) {
					if c := r.signsIn("M"); c.UserType != broker.UserTypePersonal {
						r.Errorf("user type %q", c.UserType)
					}
				})
			}
		})
	}
	for _, mode := range []string{"single tenant by id", "organizations, any", "organizations, listed", "common, listed"} {
		t.Run(mode, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()}, modes[mode].settings)
			home := "A"
			r.faulty("a personal account", func(f *fakeidp.Fault) {
				forced(fakeidp.MSATenant,
					r)(f)
				f.Forge = fakeidp.ForgeConsumerKey
			}, func(r *fixture) {
				if c, err := r.login(home); err == nil {
					r.Errorf("%+v came in", c)
				}
			})
		})
	}
}

// Anyone not clearly a member is a guest: an unreadable claim counts against the person.
func TestD8_WhoIsNotPlainlyAMemberIsAGuest(t *testing.T) {
	own := "https://sts.windows.net/" + tenantA + "/"
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindMicrosoft, Personas: entraPeople()},
		map[string]string{"tenant": tenantA, "allow_guests": "true"})
	for name, c := range map[string]struct {
		claims map[string]any
		want   broker.UserType
	}{
		"nothing said":        {map[string]any{"acct": nil, "idp": nil}, broker.UserTypeMember},
		"acct 0":              {map[string]any{"acct": 0}, broker.UserTypeMember},
		"acct 0 as text":      {map[string]any{"acct": "0"}, broker.UserTypeMember},
		"home in this tenant": {map[string]any{"idp": own}, broker.UserTypeMember},
		"home by the v2 issuer": {map[string]any{"idp": r.idp.BaseURL() + "/" + tenantA + "/v2.0"},
			broker.UserTypeMember},
		"acct 1":               {map[string]any{"acct": 1}, broker.UserTypeGuest},
		"acct 1 as text":       {map[string]any{"acct": "1"}, broker.UserTypeGuest},
		"acct 1 at home":       {map[string]any{"acct": 1, "idp": own}, broker.UserTypeGuest},
		"acct 2":               {map[string]any{"acct": 2}, broker.UserTypeGuest},
		"acct of another sort": {map[string]any{"acct": false}, broker.UserTypeGuest},
		"acct as list":         {map[string]any{"acct": []int{0}}, broker.UserTypeGuest},
		"home in another tenant": {map[string]any{"idp": "https://sts.windows.net/" + tenantB + "/"},
			broker.UserTypeGuest},
		"home with personal ones":  {map[string]any{"idp": "live.com"}, broker.UserTypeGuest},
		"home at Google":           {map[string]any{"idp": "google.com"}, broker.UserTypeGuest},
		"home by mailed code":      {map[string]any{"idp": "mail"}, broker.UserTypeGuest},
		"home that begins as this": {map[string]any{"idp": own + "x"}, broker.UserTypeGuest},
		"home without its slash":   {map[string]any{"idp": "https://sts.windows.net/" + tenantA}, broker.UserTypeGuest},
		"home on another host": {map[string]any{"idp": "https://sts.evil.example/" + tenantA + "/"},
			broker.UserTypeGuest},
		"home of another sort":      {map[string]any{"idp": []string{own}}, broker.UserTypeGuest},
		"an empty home":             {map[string]any{"idp": ""}, broker.UserTypeGuest},
		"the bare tenant as a home": {map[string]any{"idp": tenantA}, broker.UserTypeGuest},
		"the other tenant's issuer": {map[string]any{"idp": r.idp.BaseURL() + "/" + tenantB + "/v2.0"},
			broker.UserTypeGuest},
		"acct 0, home in another": {map[string]any{"acct": 0, "idp": "https://sts.windows.net/" + tenantB + "/"},
			broker.UserTypeGuest},
		"standing in the token only": {map[string]any{"standing": "guest"}, broker.UserTypeMember},
	} {
		r.conn.Settings["allow_guests"] = "true"
		r.reset()
		r.faulty(name, func(f *fakeidp.Fault) { f.Claims = c.claims }, func(r *fixture) {
			if got := r.signsIn("A"); got.UserType != c.want {
				r.Errorf("user type %q, want %q", got.UserType, c.want)
			}
			if c.want == broker.UserTypeGuest { // refused by a connection without guests
				r.conn.Settings["allow_guests"] = "false"
				r.reset()
				r.refused("A", broker.WrongTenant)
			}
		})
	}
}

func TestD8_NoOtherKindReportsAUserType(t *testing.T) {
	for _, kind := range []string{fakeidp.KindGoogle, fakeidp.KindADFS, fakeidp.KindOIDC} {
		t.Run(kind, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: kind}, nil)
			r.idp.Misbehave(func(f *fakeidp.Fault) {
				f.SetClaim("acct", 1)
				f.SetClaim("tid", fakeidp.MSATenant)
				f.SetClaim("idp", "live.com")
			})
			if c := r.signsIn(r.idp.Personas()[0].Login); c.UserType != broker.UserTypeMember {
				t.Errorf("user type %q", c.UserType)
			}
		})
	}
}
