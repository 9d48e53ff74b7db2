package providers

import (
	"errors"
	"testing"

	"gatehouse/broker"
)

func TestReadSaysWhatEachKindMakesOfItsClaims(t *testing.T) {
	const tid, oid = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	entra := func(tenant string, more map[string]string) broker.Connection {
		s := map[string]string{"tenant": tenant}
		for k, v := range more {
			s[k] = v
		}
		return broker.Connection{ID: "entra", Kind: "microsoft", ClientID: "c", Settings: s}
	}
	token := `{"ver":"2.0","iss":"https://login.microsoftonline.com/` + tid + `/v2.0","tid":"` + tid + `","oid":"` + oid +
		`","sub":"s","email":"Ana@Contoso.test"`
	for name, c := range map[string]struct {
		connection broker.Connection
		raw        string
		want       broker.Claims
		code       broker.Code
	}{
		"google is the authority for its own": {broker.Connection{ID: "g", Kind: "google"},
			`{"iss":"accounts.google.com","sub":"1","email":"ana@gmail.com","email_verified":true}`,
			broker.Claims{Connection: "g", Issuer: "https://accounts.google.com", Subject: "1", Email: "ana@gmail.com",
				Level: broker.EmailAuthoritative}, ""},
		"microsoft without xms_edov is anybody's word": {entra(tid, nil), token + `}`,
			broker.Claims{Connection: "entra", Issuer: "https://login.microsoftonline.com/" + tid + "/v2.0",
				Subject: tid + ":" + oid, Email: "ana@contoso.test", Level: broker.EmailAsserted}, ""},
		"microsoft with xms_edov": {entra("organizations", map[string]string{"allowed_tenants": tid}),
			token + `,"xms_edov":true}`,
			broker.Claims{Connection: "entra", Issuer: "https://login.microsoftonline.com/" + tid + "/v2.0",
				Subject: tid + ":" + oid, Email: "ana@contoso.test", Level: broker.EmailVerified}, ""},
		"a tenant that is not allowed": {entra("organizations", map[string]string{"allowed_tenants": oid}), token + `}`,
			broker.Claims{}, broker.WrongTenant},
		"another tenant's token": {entra(oid, nil), token + `}`, broker.Claims{}, broker.WrongTenant},
		"facebook": {broker.Connection{ID: "f", Kind: "meta", ClientID: "12"},
			`{"id":"7","email":"ana@example.com"}`, broker.Claims{Connection: "f", Issuer: "facebook:12", Subject: "7",
				Email: "ana@example.com", Level: broker.EmailAsserted}, ""},
		"github, the verified primary address": {broker.Connection{ID: "h", Kind: "github"},
			`{"id":7,"email":"other@example.com","emails":[{"email":"ana@example.com","primary":true,"verified":true}]}`,
			broker.Claims{Connection: "h", Issuer: "https://github.com", Subject: "7", Email: "ana@example.com",
				Level: broker.EmailVerified}, ""},
		"another issuer": {broker.Connection{ID: "o", Kind: "oidc", Issuer: "https://idp.example.com"},
			`{"iss":"https://evil.example.com","sub":"1"}`, broker.Claims{}, broker.UpstreamRejected},
		"nobody": {broker.Connection{ID: "o", Kind: "oidc", Issuer: "https://idp.example.com"},
			`{"iss":"https://idp.example.com"}`, broker.Claims{}, broker.UpstreamRejected},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(c.connection, []byte(c.raw))
			if c.code != "" {
				if !errors.Is(err, c.code) {
					t.Fatalf("got %v, want %v", err, c.code)
				}
				return
			}
			got.AMR, c.want.AMR = nil, nil
			if err != nil || got.Issuer != c.want.Issuer || got.Subject != c.want.Subject || got.Email != c.want.Email ||
				got.Level != c.want.Level || got.Connection != c.want.Connection {
				t.Fatalf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	if _, err := Read(broker.Connection{Kind: "google"}, []byte(`{"sub":"1","sub":"2"}`)); err == nil {
		t.Error("two subjects were read")
	}
}
