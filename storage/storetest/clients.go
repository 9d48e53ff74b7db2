package storetest

import (
	"testing"
	"time"

	"gatehouse/broker"
)

func newClient() broker.Client {
	return broker.Client{
		ID: broker.NewID(), Name: "Żółw", SecretHashes: []string{"k1.a", "k1.b"},
		AuthMethods:  []string{"client_secret_basic", "private_key_jwt"},
		RedirectURIs: []string{"https://app.example/cb?x=1&y=%20"}, PostLogoutRedirectURIs: []string{"https://app.example/"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid"}, Audience: []string{"api"},
		Keys: `{"keys":[]}`, KeysURI: "https://app.example/keys", AuthAlg: "ES256",
		BackchannelLogoutURI:  "https://app.example/back",
		FrontchannelLogoutURI: "https://app.example/front", FAPI2: true, PushedOnly: true, DPoPBound: true, JWTAccess: true,
		DefaultMaxAge: new(600),
		LogoURI:       "https://app.example/logo", ClientURI: "https://app.example/", PolicyURI: "https://app.example/policy",
		TosURI:           "https://app.example/terms",
		InitiateLoginURI: "https://app.example/login", Contacts: []string{"ops@app.example"}, RegistrationHash: "k1.r",
		Native: true, FirstParty: true, PKCE: broker.PKCEOff, ErrorIss: broker.ErrorIssOff,
		IDTokenClaims:     broker.ClaimsMinimal,
		PreferredUsername: broker.UsernameLocalPart, IDTokenAlg: "ES256", Disabled: true, CreatedAt: moment(),
		UpdatedAt: moment(),
	}
}

func clientTests() []test {
	return append(clientEndTests(), []test{
		{"a client comes back as it was put", func(t *testing.T, b Backend) {
			c := newClient()
			ok(t, b.Clients.PutClient(within(t), c))
			same(t, got(b.Clients.Client(within(t), c.ID))(t), c)
			found := false
			for _, l := range got(b.Clients.Clients(within(t)))(t) {
				found = found || l.ID == c.ID
			}
			if !found {
				t.Fatal("it is not in the list")
			}
		}},
		{"a client of empty fields comes back empty", func(t *testing.T, b Backend) {
			c := broker.Client{ID: broker.NewID()}
			ok(t, b.Clients.PutClient(within(t), c))
			same(t, got(b.Clients.Client(within(t), c.ID))(t), c)
		}},
		{"putting again replaces everything but the creation", func(t *testing.T, b Backend) {
			c := newClient()
			ok(t, b.Clients.PutClient(within(t), c))
			next := broker.Client{ID: c.ID, Name: "x", AuthMethods: []string{"none"}, UpdatedAt: moment().Add(time.Hour)}
			ok(t, b.Clients.PutClient(within(t), next))
			next.CreatedAt = c.CreatedAt
			same(t, got(b.Clients.Client(within(t), c.ID))(t), next)
		}},
		{"changing the lists of a returned client changes no stored client", func(t *testing.T, b Backend) {
			c := newClient()
			ok(t, b.Clients.PutClient(within(t), c))
			for range 2 {
				mine := got(b.Clients.Client(within(t), c.ID))(t)
				mine.RedirectURIs[0] = "https://evil.example"
			}
			same(t, got(b.Clients.Client(within(t), c.ID))(t).RedirectURIs, c.RedirectURIs)
		}},
	}...)
}

func clientEndTests() []test {
	return []test{
		{"an unknown client is NotFound, to look up and to delete", func(t *testing.T, b Backend) {
			for _, id := range []string{"nothing", "", "a\x00b", "\xff"} {
				_, err := b.Clients.Client(within(t), id)
				answers(t, err, broker.NotFound)
			}
			answers(t, b.Clients.DeleteClient(within(t), "nothing"), broker.NotFound)
		}},
		{"deleting a client deletes its consents and grants, and no others", func(t *testing.T, b Backend) {
			c, a := newClient(), account(t, b)
			ok(t, b.Clients.PutClient(within(t), c))
			f := newGrant(a)
			f.ClientID = c.ID
			grantOf(t, b, f)
			other := grantOf(t, b, newGrant(a))
			ok(t, b.Consents.PutConsent(within(t), broker.Consent{AccountID: a.ID, ClientID: c.ID}))
			ok(t, b.Consents.PutConsent(within(t), broker.Consent{AccountID: a.ID, ClientID: "app"}))
			ok(t, b.Clients.DeleteClient(within(t), c.ID))
			_, err := b.Clients.Client(within(t), c.ID)
			answers(t, err, broker.NotFound)
			_, err = b.Consents.Consent(within(t), a.ID, c.ID)
			answers(t, err, broker.NotFound)
			_, _, err = b.Grants.Grant(within(t), f.ID)
			answers(t, err, broker.NotFound)
			alive(t, b, other.ID, true)
			got(b.Consents.Consent(within(t), a.ID, "app"))(t)
		}},
	}
}

func consentTests() []test {
	return []test{
		{"a consent comes back, and a later one replaces it", func(t *testing.T, b Backend) {
			a := account(t, b)
			c := broker.Consent{AccountID: a.ID, ClientID: "app", Version: "1", Scopes: []string{"openid", "email"},
				GrantedAt: moment()}
			ok(t, b.Consents.PutConsent(within(t), c))
			same(t, got(b.Consents.Consent(within(t), a.ID, "app"))(t), c)
			c.Version, c.Scopes, c.GrantedAt = "2", nil, moment().Add(time.Hour)
			ok(t, b.Consents.PutConsent(within(t), c))
			same(t, got(b.Consents.ConsentsOf(within(t), a.ID))(t), []broker.Consent{c})
		}},
		{"an unknown consent is NotFound, to look up and to remove", func(t *testing.T, b Backend) {
			_, err := b.Consents.Consent(within(t), "unknown", "app")
			answers(t, err, broker.NotFound)
			answers(t, b.Consents.RemoveConsent(within(t), "unknown", "app", moment()), broker.NotFound)
		}},
		{"removing a consent revokes the grants of the pair, and no others", func(t *testing.T, b Backend) {
			a, other := account(t, b), account(t, b)
			ok(t, b.Consents.PutConsent(within(t), broker.Consent{AccountID: a.ID, ClientID: "app"}))
			pair, theirs := grantOf(t, b, newGrant(a)), grantOf(t, b, newGrant(other))
			elsewhere := newGrant(a)
			elsewhere.ClientID = "app2"
			grantOf(t, b, elsewhere)
			ok(t, b.Consents.RemoveConsent(within(t), a.ID, "app", moment()))
			alive(t, b, pair.ID, false)
			alive(t, b, theirs.ID, true)
			alive(t, b, elsewhere.ID, true)
			_, err := b.Consents.Consent(within(t), a.ID, "app")
			answers(t, err, broker.NotFound)
		}},
	}
}
