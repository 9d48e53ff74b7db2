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

// outcome is one entry of a golden table: what became of a person.
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
}

// TestGoldenClaims holds what each kind makes of its demo people against testdata/{kind}.json.
func TestGoldenClaims(t *testing.T) {
	for kind, settings := range map[string]map[string]string{
		fakeidp.KindGoogle:    nil,
		fakeidp.KindMicrosoft: {"tenant": "common", "allowed_tenants": tenantA},
		fakeidp.KindADFS:      nil,
		fakeidp.KindFacebook:  nil,
		fakeidp.KindOIDC:      nil,
		fakeidp.KindGitHub:    nil,
	} {
		t.Run(kind, func(t *testing.T) {
			r := rigged(t, fakeidp.Options{Kind: kind}, maps.Clone(settings))
			table := map[string]outcome{}
			for _, p := range r.idp.Personas() {
				c, err := r.login(p.Login)
				if err != nil {
					table[p.Login] = outcome{Code: broker.CodeOf(err)}
					continue
				}
				table[p.Login] = outcome{
					Issuer: strings.Replace(c.Issuer, r.idp.BaseURL(), "{base}", 1), Subject: c.Subject, Email: c.Email, Level: c.Level,
					Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, Locale: c.Locale, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR,
				}
			}
			got, err := json.MarshalIndent(table, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", r.conn.Kind+".json")
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
				t.Errorf("claims of %s:\n%s\nwant:\n%s", kind, got, want)
			}
		})
	}
}
