package providers

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

var update = flag.Bool("update", false, "write what comes out to testdata instead of comparing")

// outcome is one entry of a golden table: the result of a person's sign-in.
type outcome struct {
	Code       broker.Code  `json:"refused,omitempty"`
	Issuer     string       `json:"issuer,omitempty"`
	Subject    string       `json:"subject,omitempty"`
	Email      string       `json:"email,omitempty"`
	Level      broker.Level `json:"level"`
	Name       string       `json:"name,omitempty"`
	GivenName  string       `json:"given_name,omitempty"`
	FamilyName string       `json:"family_name,omitempty"`
	Locale     string       `json:"locale,omitempty"`
	AuthTime   time.Time    `json:"auth_time,omitzero"`
	AMR        []string     `json:"amr,omitempty"`
	ACR        string       `json:"acr,omitempty"`

	UserType broker.UserType `json:"standing,omitempty"`
}

// TestGoldenClaims compares each kind's claims of its demo people with testdata/{name}.json.
func TestGoldenClaims(t *testing.T) {
	for name, c := range map[string]struct {
		kind     string
		settings map[string]string
	}{
		"google":    {fakeidp.KindGoogle, nil},
		"microsoft": {fakeidp.KindMicrosoft, map[string]string{"tenant": "common", "allowed_tenants": tenantA}},
		"microsoft-open": {fakeidp.KindMicrosoft, map[string]string{"tenant": "common", "any_tenant": "true",
			"allow_guests": "true"}},
		"adfs":   {fakeidp.KindADFS, nil},
		"meta":   {fakeidp.KindFacebook, nil},
		"oidc":   {fakeidp.KindOIDC, nil},
		"github": {fakeidp.KindGitHub, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: c.kind}, maps.Clone(c.settings))
			table := map[string]outcome{}
			for _, p := range r.idp.Personas() {
				c, err := r.login(p.Login)
				if err != nil {
					table[p.Login] = outcome{Code: broker.CodeOf(err)}
					continue
				}
				table[p.Login] = outcome{
					Issuer: strings.Replace(c.Issuer, r.idp.BaseURL(), "{base}", 1), Subject: c.Subject, Email: c.Email,
					Level: c.Level,
					Name:  c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, Locale: c.Locale, AuthTime: c.AuthTime,
					AMR: c.AMR, ACR: c.ACR,
					UserType: c.UserType,
				}
			}
			got, err := json.MarshalIndent(table, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("claims of %s:\n%s\nwant:\n%s", name, got, want)
			}
		})
	}
}
