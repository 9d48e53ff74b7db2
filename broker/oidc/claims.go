package oidc

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"gatehouse/broker"
)

// acrKnown is the one class that we vouch for ourselves: the person proved who
// they are, by a password or by a provider. What a provider says is passed on.
const acrKnown = "urn:gatehouse:acr:1"

// errUnmet is OpenID Connect Core Unmet Authentication Requirements 1.0.
var errUnmet = &fosite.RFC6749Error{ErrorField: "unmet_authentication_requirements", CodeField: 400,
	DescriptionField: "The person cannot be authenticated in a way that the claims parameter calls essential."}

// maxWanted is the most claims that a request may name in one place.
const maxWanted = 64

// wanted is the claims parameter (OIDC Core §5.5). What is kept of it names claims
// that there are, of scopes that the client may have, and nothing else.
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

// texts are the values that are wanted, where they are texts.
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

// scopeOf is the scope behind a claim about a person, empty for any other name: no
// request can name sub, iss or another claim of the protocol (SECURITY.md A13).
func scopeOf(claim string) string {
	switch claim {
	case "name", "given_name", "family_name", "locale", "updated_at":
		return scopeProfile
	case "email", "email_verified":
		return scopeEmail
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
		//defence:H10
		return fosite.ErrInvalidRequest.WithHint("The claims parameter is not the JSON of OpenID Connect Core §5.5.")
	}
	if len(all.Userinfo) > maxWanted || len(all.IDToken) > maxWanted {
		return fosite.ErrInvalidRequest.WithHint("The claims parameter names too many claims.")
	}
	if !slices.Contains(q.scopes, scopeOpenID) {
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
		//defence:A13
		if scope := scopeOf(name); scope != "" && slices.Contains(c.Scopes, scope) {
			out[name] = nil // a value of ours is given as it is, or it would be a question about others
		}
	}
	return out
}

// wantACR takes a wish for acr before those of acr_values (§5.5.1.1).
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

// narrow keeps to the people that are named here too.
func (q *request) narrow(ids []string) bool {
	if len(q.subjects) > 0 {
		ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(q.subjects, id) })
	}
	q.subjects = ids
	return len(ids) > 0
}

// meant reports whether the app's request is for this person.
func (q *request) meant(account string) bool {
	return len(q.subjects) == 0 || slices.Contains(q.subjects, account)
}

// meets reports whether an authentication is one that the app can do with.
func (q *request) meets(a broker.Authn) bool {
	return len(q.mustACR) == 0 || slices.ContainsFunc(q.mustACR, func(v string) bool { return isACR(a, v) })
}

func isACR(a broker.Authn, v string) bool {
	//defence:A13 ./broker/oidc:TestTheClassOfAnAuthenticationIsNeverMadeUp = true
	return v == acrKnown || v == a.ACR
}

// acr is what is said of an authentication: of the classes that were asked for the
// first that is true, else what is known.
func (q *request) acr(a broker.Authn) string {
	for _, v := range slices.Concat(q.mustACR, q.acrs) {
		if isACR(a, v) {
			return v
		}
	}
	return a.ACR
}

// needs are the scopes that the person must agree to: those of the request and
// those behind the claims it names.
func (q *request) needs() []string {
	//defence:A13 A14
	return q.claims.needs(q.scopes)
}

func (c wanted) needs(scopes []string) []string {
	all := slices.Clone(scopes)
	for _, scope := range []string{scopeProfile, scopeEmail} {
		of := func(in map[string]*individual) bool {
			for name := range in {
				if scopeOf(name) == scope {
					return true
				}
			}
			return false
		}
		if !slices.Contains(all, scope) && (of(c.Userinfo) || of(c.IDToken)) {
			all = append(all, scope)
		}
	}
	return all
}

// String is what Grant.Claims keeps, empty where nothing is wanted.
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

// wantedOf reads what String made; what cannot be read wants nothing.
func wantedOf(kept string) (c wanted) {
	if kept == "" || json.Unmarshal([]byte(kept), &c) != nil {
		return wanted{}
	}
	return c
}

// idToken is what the ID token says of the person, nil for nothing.
func (c wanted) idToken(a broker.Account) *person {
	if len(c.IDToken) == 0 {
		return nil
	}
	p := personOf(a, func(claim string) bool { _, ok := c.IDToken[claim]; return ok })
	return &p
}

// person are the claims about a person (OIDC Core §5.1). It has no others, so
// nothing that is asked for takes the place of a claim of the protocol.
type person struct {
	Name       string `json:"name,omitempty"`
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Locale     string `json:"locale,omitempty"`
	Updated    int64  `json:"updated_at,omitempty"`
	Email      string `json:"email,omitempty"`
	// Every account's address was proven before the account existed.
	EmailVerified bool `json:"email_verified,omitempty"`
}

func personOf(a broker.Account, given func(claim string) bool) person {
	text := func(claim, value string) string {
		if !given(claim) {
			return ""
		}
		return value
	}
	p := person{
		Name: text("name", a.Name), GivenName: text("given_name", a.GivenName), FamilyName: text("family_name", a.FamilyName),
		Locale: text("locale", a.Locale), Email: text("email", a.Email), EmailVerified: given("email_verified"),
	}
	if given("updated_at") {
		p.Updated = a.UpdatedAt.Unix()
	}
	return p
}

// claimed is the answer of userinfo (OIDC Core §5.3.2).
type claimed struct {
	Subject string `json:"sub"`
	person
}

// personal are the claims about a person: by scope (OIDC Core §5.4), and those
// that the claims parameter named.
func personal(g grant) claimed {
	named := wantedOf(g.grant.Claims)
	return claimed{g.account.ID, personOf(g.account, func(claim string) bool {
		_, asked := named.Userinfo[claim]
		return asked || g.has(scopeOf(claim))
	})}
}
