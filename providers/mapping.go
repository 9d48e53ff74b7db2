package providers

import (
	"net/url"
	"slices"
	"strings"
)

// mapping names the claims that hold the address and the name, where they are not the standard ones.
type mapping struct{ email, name []string }

// asserted reads the address and its verification from one document. Only the standard claims can say that an
// address is verified; a mapped one is never more than asserted.
func (m mapping) asserted(d document) assertion {
	if len(m.email) == 0 {
		return asserted(d)
	}
	for _, claim := range m.email {
		if address := d.emailIn(claim); address != "" {
			//defence:C1 = yes
			verified := no
			return assertion{address: address, verified: verified}
		}
	}
	return assertion{}
}

// emailIn is email for a mapped claim: "emails[]" takes the first address of a list.
func (d document) emailIn(claim string) string {
	name, list := strings.CutSuffix(claim, "[]")
	if !list {
		return d.email(name)
	}
	for _, text := range d.texts(name) {
		if address := (document{name: text}).email(name); address != "" {
			return address
		}
	}
	return ""
}

func (m mapping) nameIn(d document) string {
	for _, claim := range m.name {
		if name := d.name(claim); name != "" {
			return name
		}
	}
	if len(m.name) > 0 {
		return ""
	}
	return d.name("name")
}

func checkClaims(value string) string {
	for _, name := range splitList(value) {
		if len(name) > 100 || checkToken(name) != "" {
			return "must list names of claims, such as mail upn emails[]"
		}
	}
	return ""
}

// ownParams are the parameters of an authorization request that the connection itself sends, or that would change
// where and how the response comes back.
func ownParams() []string {
	return []string{"client_id", "client_secret", "client_assertion", "client_assertion_type", "redirect_uri",
		"response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "request",
		"request_uri", "registration", "prompt", "max_age", "login_hint", "id_token_hint", "ui_locales", "dpop_jkt"}
}

// parseParams reads a setting of further parameters in the form of a query.
func parseParams(value string) (url.Values, string) {
	q, err := url.ParseQuery(strings.TrimPrefix(value, "?"))
	if err != nil {
		return nil, "must be written like a query, such as audience=https%3A%2F%2Fapi.example&organization=org_1"
	}
	for name, values := range q {
		switch {
		//defence:B2 B3 B4
		case slices.Contains(ownParams(), strings.ToLower(name)):
			return nil, "must not have " + name + ", which Gatehouse sets itself"
		case name == "" || len(values) != 1 || values[0] == "":
			return nil, "must have every parameter once, with a value"
		}
	}
	return q, ""
}

func checkParams(value string) string {
	_, why := parseParams(value)
	return why
}
