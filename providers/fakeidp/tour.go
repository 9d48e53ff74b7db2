package fakeidp

import (
	"fmt"
	"io"
	"net/url"
)

// Demo is demo.json: what a script needs to drive the demo.
type Demo struct {
	Issuer      string           `json:"issuer"`
	App         string           `json:"app"`
	Mailbox     string           `json:"mailbox"`
	Operations  string           `json:"operations"`
	Clients     []DemoClient     `json:"clients"`
	Accounts    []DemoAccount    `json:"accounts"`
	Connections []DemoConnection `json:"connections"`
	Personas    []DemoPersona    `json:"personas"`
}

// DemoClient is an app of the demo.
type DemoClient struct {
	ID           string   `json:"client_id"`
	Secret       string   `json:"client_secret,omitempty"`
	RedirectURIs []string `json:"redirect_uris"`
	AuthMethod   string   `json:"token_endpoint_auth_method"`
}

// DemoAccount is an account that the demo begins with.
type DemoAccount struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Note     string `json:"note"`
	Name     string `json:"-"`
	Disabled bool   `json:"-"`
}

// DemoConnection is a simulated provider.
type DemoConnection struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Issuer string `json:"issuer"`
	// What an operator would type.
	ClientID string            `json:"-"`
	Settings map[string]string `json:"-"`
}

// DemoConnections are the demo's connections, as an operator would add them.
func DemoConnections() []DemoConnection {
	return []DemoConnection{
		{ID: "google", Kind: "google", Name: "Google", ClientID: "gatehouse-demo.apps.example.test"},
		{ID: "microsoft", Kind: "microsoft", Name: "Microsoft", ClientID: "6e0fbd0c-7e57-4a00-8a00-0000000000c1",
			Settings: map[string]string{"tenant": "organizations", "allowed_tenants": DemoTenant}},
		{ID: "facebook", Kind: "meta", Name: "Facebook", ClientID: "1234567890"},
		{ID: "club", Kind: "oidc", Name: "Harbour Club", ClientID: "gatehouse"},
	}
}

// PointAt makes the connection use the simulator at base.
func (c *DemoConnection) PointAt(base string) {
	c.Issuer = base
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	switch c.Kind {
	case "oidc": // it has the issuer alone
	case "meta":
		c.Settings["graph_url"] = base
		fallthrough
	default:
		c.Settings["authority"] = base
	}
}

// DemoPersona is a person at a simulated provider.
type DemoPersona struct {
	Connection string `json:"connection"`
	Login      string `json:"login"`
	Email      string `json:"email"`
	Note       string `json:"note"`
}

// DemoPassword is not a secret: the accounts exist on loopback only.
const DemoPassword = "seven boats at noon"

// DemoAccounts are the accounts that the demo begins with.
func DemoAccounts() []DemoAccount {
	return []DemoAccount{
		{Email: "ana@example.test", Password: DemoPassword, Note: "has a password; Google's Ana links to it",
			Name: "Ana Silva"},
		{Email: "ben@example.test", Password: DemoPassword, Note: "has a password and nothing else", Name: "Ben Carter"},
		{Email: "dora@example.test", Password: DemoPassword, Note: "is disabled: refused", Name: "Dora Klein",
			Disabled: true},
		{Email: "carla@contoso.test", Password: DemoPassword, Note: "has a password; Microsoft's Carla links to it",
			Name: "Carla Reis"},
	}
}

// Tour prints where to click. config is the flag that commands for this demo need.
func (d *Demo) Tour(w io.Writer, program, config string) {
	fmt.Fprintf(w, `Gatehouse is running, on this machine only.

  Sample app   %[1]s    start here: Sign in
  Mailbox      %[2]s    every mail it sends
  Issuer       %[3]s

A tour:
  1. Linking        Sign in > Continue with Google > Ana Silva. Her address has an account:
                    confirm once with its password: %[4]s
                    Sign out, sign in again with Google: one click.
  2. A new account  Continue with Google > Noor Person: a short registration.
  3. A mailed code  Continue with Facebook > Fay Okoro. Facebook vouches for no address:
                    choose "I'm new" and read the code in the mailbox.
  4. A refusal      Continue with Microsoft > Eva Fischer, of another organisation.
  5. A password     ana@example.test or ben@example.test, the same password.

In another terminal:
  6. A restriction  %[5]s accounts restrict carla@contoso.test --only microsoft %[6]s
                    Her password signs her in no more. Continue with Microsoft > Carla Reis.
  7. The reason     %[5]s audit --reference … %[6]s
                    with the reference under Details of the page that refused Eva.

Ctrl-C ends it and deletes everything.
`, d.App, d.Mailbox, d.Issuer, DemoPassword, program, config)
}

// Claims returns what the provider says about a person: an ID token's payload, or the userinfo
// where the kind has no ID token. It is the input of gatehouse explain.
func (s *Server) Claims(p Persona) map[string]any {
	g := &grant{persona: p, request: &authRequest{form: url.Values{}, scopes: []string{"openid", "profile", "email"}}}
	switch {
	case s.provider.idToken != nil:
		return (&call{Server: s, fault: &Fault{}}).idClaims(g, "")
	case s.provider.profile != nil:
		return s.provider.profile(g)
	}
	claims := map[string]any{"id": p.Subject, "name": p.Name} // Facebook's
	if !p.DenyEmail {
		put(claims, "email", p.Email)
	}
	return claims
}
