package main

import (
	"fmt"
	"io"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

func (t *tool) showClient(c broker.Client, secret broker.Secret) error {
	v := admin.ViewClient(c, secret)
	return t.print(v, func(w io.Writer) {
		row(w, "client_id", v.ID)
		row(w, "name", v.Name)
		row(w, "auth method", strings.Join(v.AuthMethods, " "))
		row(w, "grants", strings.Join(v.GrantTypes, " "))
		row(w, "scopes", strings.Join(v.Scopes, " "))
		row(w, "audience", strings.Join(v.Audience, " "))
		row(w, "ID tokens", v.IDTokenAlg+", claims: "+v.IDTokenClaims)
		row(w, "preferred_username", v.Username)
		row(w, "access tokens", v.AccessToken)
		row(w, "first party", yesNo(v.FirstParty))
		row(w, "native", yesNo(v.Native))
		row(w, "PKCE", v.PKCE)
		row(w, "FAPI 2.0", yesNo(v.FAPI2))
		row(w, "PAR", map[bool]string{true: "required", false: "optional"}[v.RequirePAR])
		row(w, "DPoP", map[bool]string{true: "required", false: "optional"}[v.DPoP])
		row(w, "secrets", v.Secrets)
		row(w, "state", admin.State(v.Disabled))
		for _, u := range v.RedirectURIs {
			row(w, "redirect URI", u)
		}
		for _, u := range v.PostLogout {
			row(w, "post-logout URI", u)
		}
		rareRows(w, v)
		if v.Secret != "" {
			fmt.Fprintf(w, "client_secret\t%s\n\nThe secret is shown this once. Keep it in the app's secret store.\n", v.Secret)
		}
	})
}

// rareRows writes the settings that few clients have.
func rareRows(w io.Writer, v admin.ClientView) {
	if v.DefaultMaxAge != nil {
		row(w, "default max_age", fmt.Sprint(*v.DefaultMaxAge, " s"))
	}
	for _, cell := range [][2]string{{"auth alg", v.AuthAlg}, {"jwks", string(v.Keys)}, {"jwks_uri", v.KeysURI},
		{"back-channel logout", v.Backchannel}, {"front-channel logout", v.Frontchannel}, {"logo", v.LogoURI},
		{"home page", v.ClientURI}, {"policy", v.PolicyURI}, {"terms", v.TosURI},
		{"initiate login", v.InitiateLogin}, {"contacts", strings.Join(v.Contacts, " ")}} {
		if cell[1] != "" {
			row(w, cell[0], cell[1])
		}
	}
}
