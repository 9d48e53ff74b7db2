package oidc

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// acrKnown is the only class that Gatehouse itself vouches for: the person authenticated with a password or a
// provider. A provider's acr is passed on.
const acrKnown = "urn:gatehouse:acr:1"

// errUnmet is OpenID Connect Core Unmet Authentication Requirements 1.0.
var errUnmet = &fosite.RFC6749Error{ErrorField: "unmet_authentication_requirements", CodeField: 400,
	DescriptionField: "The person cannot be authenticated in a way that the claims parameter calls essential."}

// maxWanted is the largest number of claims in one member of the claims parameter.
const maxWanted = 64

// wanted is the claims parameter (OIDC Core §5.5). It stores only names of supported claims whose scopes the
// client is registered for.
type wanted struct {
	Userinfo map[string]*individual `json:"userinfo,omitempty"`
	IDToken  map[string]*individual `json:"id_token,omitempty"`
}

// individual is a request for one claim (§5.5.1).
type individual struct {
	Essential bool  `json:"essential,omitempty"`
	Value     any   `json:"value,omitempty"`
	Values    []any `json:"values,omitempty"`
}

// texts returns the requested values that are strings.
func (i *individual) texts() (all []string) {
	if i == nil {
		return nil
	}
	for _, v := range append([]any{i.Value}, i.Values...) {
		if s, ok := v.(string); ok && s != "" {
			all = append(all, s)
		}
	}
	return all
}

// scopeOf returns the scope of a claim about a person, "" for any other name: a request must not name sub, iss
// or another protocol claim (SECURITY.md A13).
func scopeOf(claim string) string {
	switch claim {
	case "name", "given_name", "family_name", "preferred_username", "locale", "updated_at":
		return clients.ScopeProfile
	case "email", "email_verified":
		return clients.ScopeEmail
	}
	return ""
}

// checkClaims reads claims and acr_values.
func checkClaims(q *request) error {
	q.acrs = strings.Fields(q.form.Get("acr_values"))
	raw := q.form.Get("claims")
	if raw == "" {
		return nil
	}
	var all wanted
	if err := json.Unmarshal([]byte(raw), &all); err != nil {
		//defence:H10 = err
		return fosite.ErrInvalidRequest.WithHint("The claims parameter is not the JSON of OpenID Connect Core, section 5.5.")
	}
	if len(all.Userinfo) > maxWanted || len(all.IDToken) > maxWanted {
		return fosite.ErrInvalidRequest.WithHint("The claims parameter names too many claims.")
	}
	if !slices.Contains(q.scopes, clients.ScopeOpenID) {
		return nil // there is neither an ID token nor userinfo
	}
	q.wantACR(all.IDToken)
	for _, in := range []map[string]*individual{all.IDToken, all.Userinfo} {
		if ids := in["sub"].texts(); len(ids) > 0 && !q.narrow(ids) {
			return fosite.ErrInvalidRequest.WithHint("The id_token_hint and the claims parameter name different people.")
		}
	}
	q.claims = wanted{Userinfo: ofClient(all.Userinfo, q.client), IDToken: ofClient(all.IDToken, q.client)}
	return nil
}

func ofClient(in map[string]*individual, c broker.Client) map[string]*individual {
	out := map[string]*individual{}
	for name := range in {
		if scope := scopeOf(name); scope != "" &&
			//defence:A13
			slices.Contains(c.Scopes, scope) &&
			(name != claimUsername || c.TellsUsername()) {
			out[name] = nil // requested values are ignored; matching them would let a client probe other users
		}
	}
	return out
}

// wantACR gives the claims parameter's acr priority over acr_values (§5.5.1.1).
func (q *request) wantACR(in map[string]*individual) {
	acr, asked := in["acr"]
	if !asked {
		return
	}
	values := acr.texts()
	if acr != nil && acr.Essential {
		q.mustACR = values
	}
	q.acrs = append(values, q.acrs...)
	if len(values) == 0 {
		q.acrs = append(q.acrs, acrKnown)
	}
}

// narrow restricts the request to these account ids, and reports whether any is left.
func (q *request) narrow(ids []string) bool {
	if len(q.subjects) > 0 {
		ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(q.subjects, id) })
	}
	q.subjects = ids
	return len(ids) > 0
}

// meant reports whether the request is for this person.
func (q *request) meant(account string) bool {
	return len(q.subjects) == 0 || slices.Contains(q.subjects, account)
}

// meets reports whether an authentication satisfies the request's essential acr.
func (q *request) meets(a broker.Authn) bool {
	return len(q.mustACR) == 0 || slices.ContainsFunc(q.mustACR, func(v string) bool { return isACR(a, v) })
}

func isACR(a broker.Authn, v string) bool {
	//defence:A13 ./broker/oidc:TestTheClassOfAnAuthenticationIsNeverMadeUp = true
	return v == acrKnown || v == a.ACR
}

// acr returns the first requested class that the authentication satisfies, else its own.
func (q *request) acr(a broker.Authn) string {
	for _, v := range slices.Concat(q.mustACR, q.acrs) {
		if isACR(a, v) {
			return v
		}
	}
	return a.ACR
}

// needs returns the scopes that the person must consent to: those of the request and those of the claims that it
// names.
func (q *request) needs() []string {
	//defence:A13 A14
	return q.claims.needs(q.client, q.scopes)
}

// needs also counts the preferred_username as the e-mail address, because it is one.
func (c wanted) needs(client broker.Client, scopes []string) []string {
	all := slices.Clone(scopes)
	for _, scope := range []string{clients.ScopeProfile, clients.ScopeEmail} {
		of := func(in map[string]*individual) bool {
			for name := range in {
				if scopeOf(name) == scope || name == claimUsername && scope == clients.ScopeEmail {
					return true
				}
			}
			return false
		}
		//defence:A13 A14
		address := scope == clients.ScopeEmail && client.TellsUsername() && slices.Contains(scopes, clients.ScopeProfile)
		if !slices.Contains(all, scope) && (address || of(c.Userinfo) || of(c.IDToken)) {
			all = append(all, scope)
		}
	}
	return all
}

// String returns what Grant.Claims stores, "" if no claims are requested.
func (c wanted) String() string {
	if len(c.Userinfo) == 0 && len(c.IDToken) == 0 {
		return ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return string(b)
}

// wantedOf reads the result of String; anything unreadable requests nothing.
func wantedOf(kept string) (c wanted) {
	if kept == "" || json.Unmarshal([]byte(kept), &c) != nil {
		return wanted{}
	}
	return c
}

// permitted returns which claims about the person a client gets: those of the scopes (OIDC Core §5.4), and those
// that the claims parameter named.
func permitted(scopes []string, named map[string]*individual) func(claim string) bool {
	return func(claim string) bool {
		_, asked := named[claim]
		//defence:A13 = true
		return asked || slices.Contains(scopes, scopeOf(claim))
	}
}

// inIDToken is permitted for ID tokens.
func inIDToken(c broker.Client, scopes []string, named wanted) func(claim string) bool {
	if c.IDTokenClaims == broker.ClaimsMinimal {
		scopes = nil
	}
	return permitted(scopes, named.IDToken)
}

// idTokenPerson returns the claims about the person for the ID token.
func idTokenPerson(c broker.Client, a broker.Account, scopes []string, named wanted) *person {
	return personOf(c, a).only(inIDToken(c, scopes, named))
}

const claimUsername = "preferred_username"

// person holds the claims about a person (OIDC Core §5.1). There are no others, so that a request cannot
// override a protocol claim.
type person struct {
	Name       string `json:"name,omitempty"`
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Username   string `json:"preferred_username,omitempty"`
	Locale     string `json:"locale,omitempty"`
	Updated    int64  `json:"updated_at,omitempty"`
	Email      string `json:"email,omitempty"`
	// An account exists only after its address was verified.
	EmailVerified bool `json:"email_verified,omitempty"`
}

// personOf returns all claims about the person.
func personOf(c broker.Client, a broker.Account) *person {
	return &person{Name: a.Name, GivenName: a.GivenName, FamilyName: a.FamilyName, Username: c.Username(a),
		Locale: a.Locale, Updated: a.UpdatedAt.Unix(), Email: a.Email, EmailVerified: true}
}

// only returns the permitted claims of p, none for nil.
func (p *person) only(permitted func(claim string) bool) *person {
	if p == nil {
		return nil
	}
	text := func(claim, value string) string {
		if !permitted(claim) {
			return ""
		}
		return value
	}
	q := person{Name: text("name", p.Name), GivenName: text("given_name", p.GivenName),
		FamilyName: text("family_name", p.FamilyName), Username: text(claimUsername, p.Username),
		Locale: text("locale", p.Locale), Email: text("email", p.Email),
		EmailVerified: p.EmailVerified && permitted("email_verified")}
	if permitted("updated_at") {
		q.Updated = p.Updated
	}
	return &q
}

// claimed is the userinfo response (OIDC Core §5.3.2).
type claimed struct {
	Subject string `json:"sub"`
	*person
}

// personal returns the claims about a person for userinfo.
func personal(g grant) claimed {
	return claimed{g.account.ID,
		personOf(g.client, g.account).only(permitted(g.scopes(), wantedOf(g.grant.Claims).Userinfo))}
}
