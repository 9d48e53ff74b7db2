package admin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

// Row is a line that describes a thing to a person.
type Row struct{ Name, Value string }

// Date is a time in a table.
func Date(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}

// YesNo is a boolean in a table.
func YesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Cell is a value in a table. A stranger may have chosen it, so what is not seen is removed: it could change the
// operator's terminal.
func Cell(v any) string { return broker.VisibleName(fmt.Sprint(v)) }

// Details is the detail of the event in a table.
func (v EventView) Details() string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(v.Detail)) {
		all = append(all, k+"="+v.Detail[k])
	}
	return strings.Join(all, " ")
}

// Hint says what a setting is, whether it is required, and what it may be.
func (v FieldView) Hint() string {
	hint := v.About
	if v.Required {
		hint += " (required)"
	}
	if len(v.Options) > 0 {
		hint += " (" + strings.Join(v.Options, ", ") + ")"
	}
	return hint
}

func required(b bool) string {
	if b {
		return "required"
	}
	return "optional"
}

// given leaves out the rows without a value.
func given(rows ...Row) []Row {
	return slices.DeleteFunc(rows, func(r Row) bool { return r.Value == "" })
}

// Rows describes a client.
func (v ClientView) Rows() []Row {
	rows := []Row{{"client_id", v.ID}, {"name", v.Name}, {"auth method", strings.Join(v.AuthMethods, " ")},
		{"grants", strings.Join(v.GrantTypes, " ")}, {"scopes", strings.Join(v.Scopes, " ")},
		{"audience", strings.Join(v.Audience, " ")}, {"ID tokens", v.IDTokenAlg + ", claims: " + v.IDTokenClaims},
		{"preferred_username", v.Username}, {"access tokens", v.AccessToken}, {"first party", YesNo(v.FirstParty)},
		{"native", YesNo(v.Native)}, {"PKCE", v.PKCE},
		{"FAPI 2.0", YesNo(v.FAPI2)}, {"PAR", required(v.RequirePAR)}, {"DPoP", required(v.DPoP)},
		{"secrets", fmt.Sprint(v.Secrets)}, {"state", State(v.Disabled)}}
	for _, u := range v.RedirectURIs {
		rows = append(rows, Row{"redirect URI", u})
	}
	for _, u := range v.PostLogout {
		rows = append(rows, Row{"post-logout URI", u})
	}
	age := ""
	if v.DefaultMaxAge != nil {
		age = fmt.Sprint(*v.DefaultMaxAge, " s")
	}
	return append(rows, given(Row{"default max_age", age}, Row{"auth alg", v.AuthAlg}, Row{"jwks", string(v.Keys)},
		Row{"jwks_uri", v.KeysURI}, Row{"back-channel logout", v.Backchannel}, Row{"front-channel logout", v.Frontchannel},
		Row{"logo", v.LogoURI}, Row{"home page", v.ClientURI}, Row{"policy", v.PolicyURI}, Row{"terms", v.TosURI},
		Row{"initiate login", v.InitiateLogin}, Row{"contacts", strings.Join(v.Contacts, " ")})...)
}

// Rows describes an account.
func (v AccountView) Rows() []Row {
	rows := given(Row{"id", v.ID}, Row{"email", v.Email}, Row{"name", cmp.Or(v.Name, "-")}, Row{"given name", v.GivenName},
		Row{"family name", v.FamilyName}, Row{"locale", v.Locale}, Row{"password", YesNo(v.Password)},
		Row{"state", v.State()}, Row{"restriction", v.Restriction.String()}, Row{"created", Date(v.CreatedAt)})
	for _, i := range v.Identities {
		rows = append(rows, Row{"identity", fmt.Sprintf("%s: %s at %s, %s, linked %s, last seen %s", i.ID, i.Connection,
			i.Issuer, cmp.Or(i.Email, "no e-mail"), Date(i.LinkedAt), Date(i.SeenAt))})
	}
	return rows
}

// State says in a word what an account may do.
func (v AccountView) State() string {
	switch {
	case v.Unverified:
		return "unverified"
	case v.Restriction != nil && !v.Disabled:
		return "only " + v.Restriction.Only
	}
	return State(v.Disabled)
}

// String is a restriction in words, or "" for none.
func (l *RestrictionView) String() string {
	if l == nil {
		return ""
	}
	text := fmt.Sprintf("only %s, through %s", l.Only, strings.Join(l.Connections, ", "))
	if l.Guests {
		text += ", guests too"
	}
	if l.Personal {
		text += ", personal accounts too"
	}
	return text + fmt.Sprintf("; set by %s on %s", l.SetBy, Date(l.SetAt))
}

// Rows describes a connection.
func (v ConnectionView) Rows() []Row {
	rows := given(Row{"id", v.ID}, Row{"kind", v.Kind}, Row{"name", v.Name}, Row{"state", v.State},
		Row{"issuer", v.Issuer}, Row{"client id", v.ClientID}, Row{"secrets", fmt.Sprint(v.Secrets)},
		Row{"client keys", string(v.ClientKeys)})
	for _, k := range slices.Sorted(maps.Keys(v.Settings)) {
		rows = append(rows, Row{k, v.Settings[k]})
	}
	return append(rows, given(Row{"domains", cmp.Or(strings.Join(v.Domains, " "), "-")}, Row{"listed", YesNo(!v.Hidden)},
		Row{"redirect URI", v.RedirectURI}, Row{"deauthorize", v.Deauthorize}, Row{"data deletion", v.DataDeletion})...)
}

// Rows describes the outcome of a sign-in.
func (e Explanation) Rows() []Row {
	return given(Row{"connection", e.Connection}, Row{"identity", strings.TrimSpace(e.Issuer + " " + e.Subject)},
		Row{"address", e.Email}, Row{"level", e.Level}, Row{"user type", e.UserType}, Row{"account", e.Account},
		Row{"restriction", e.Restriction.String()}, Row{"decision", e.Outcome}, Row{"because", e.Because},
		Row{"the owner gives", strings.Join(e.Proof, " and ")}, Row{"next page", e.Step}, Row{"refused", e.Refused},
		Row{"cause", e.Cause})
}
