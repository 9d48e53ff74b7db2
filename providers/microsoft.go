package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

// msaTenant is the tenant of all personal Microsoft accounts.
const msaTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// The authorities that stand for more than a single tenant.
const (
	entraCommon        = "common"        // work and personal accounts
	entraOrganizations = "organizations" // work accounts
	entraConsumers     = "consumers"     // personal accounts
)

// entraClouds are the sign-in hosts of the national clouds.
var entraClouds = map[string]string{
	"global": "https://login.microsoftonline.com",
	"us":     "https://login.microsoftonline.us",
	"china":  "https://login.partner.microsoftonline.cn",
}

var _ = register(Kind{
	Name: "microsoft", Label: "Microsoft", Icon: "microsoft",
	Fields: []Field{
		{Key: "tenant", Label: "Tenant", Required: true, Check: checkEntraTenant,
			Help: "The tenant's id or domain; or organizations, consumers, common."},
		{Key: "allowed_tenants", Label: "Allowed tenants", Check: checkGUIDs,
			Help: "With organizations and common: the ids of the tenants whose people may sign in."},
		{Key: "any_tenant", Label: "Any organization in the world", Flag: true, Default: "false",
			Help: "With organizations and common: accept anyone with a Microsoft account."},
		{Key: "allow_guests", Label: "Guests", Flag: true, Free: true, Default: "false",
			Help: "Accept guests in the tenant, whose home is another tenant."},
		fieldClientID, fieldSecret, fieldACR,
		{Key: "cloud", Label: "Cloud", Default: "global", Options: []string{"global", "us", "china"}},
		fieldOrigin("authority", "Authority", "the cloud's own"),
	},
	check: checkEntra,
	Open: func(env Env, c broker.Connection) (broker.Upstream, error) {
		e := newEntra(c)
		return newOpenID(env, c, shape{
			issuer: e.origin + "/" + e.tenant + "/v2.0", accept: e.accept,
			scopes: []string{"openid", "profile", "email"}, auth: authPost, hasChooser: true,
			template: e.template(), requestParams: entraParams, ownsIssuer: e.ownsIssuer, issued: e.issued, claims: e.claims,
			explain: entraExplain, frontLogout: true, approval: e.approval(c.ClientID),
		}), nil
	},
})

func checkEntraTenant(value string) string {
	if slices.Contains([]string{entraCommon, entraOrganizations, entraConsumers}, value) || guid.MatchString(value) ||
		checkDomain(value) == "" {
		return ""
	}
	return "must be a tenant id or domain in lower case, organizations, consumers or common"
}

func checkEntra(c broker.Connection) []string {
	many := c.Settings["tenant"] == entraCommon || c.Settings["tenant"] == entraOrganizations
	anybody := c.Settings["any_tenant"] == "true"
	secretID := func(s broker.Secret) bool { return guid.MatchString(strings.ToLower(s.Reveal())) }
	switch {
	case slices.ContainsFunc(c.Secrets, secretID):
		return []string{"client_secret is the secret's ID; copy the column Value of the portal, which is shown only when " +
			"the secret is made"}
	case many && c.Settings["allowed_tenants"] == "" && !anybody:
		return []string{"allowed_tenants is missing: without it anyone with a Microsoft account could sign in; " +
			"list the tenants, or set any_tenant"}
	case anybody && (!many || c.Settings["allowed_tenants"] != ""):
		return []string{"any_tenant needs tenant organizations or common, and no allowed_tenants"}
	}
	return nil
}

// entra decides which Microsoft accounts may sign in, and which key and issuer may vouch for them.
type entra struct {
	origin, tenant string
	allowed        []string // tenant ids; nil: every tenant of the authority
	guests         bool
}

func newEntra(c broker.Connection) entra {
	e := entra{
		origin: setting(c, "authority", entraClouds[setting(c, "cloud", "global")]), tenant: c.Settings["tenant"],
		guests: c.Settings["allow_guests"] == "true",
	}
	for _, id := range splitList(c.Settings["allowed_tenants"]) {
		e.allowed = append(e.allowed, strings.ToLower(id))
	}
	return e
}

// template stands for the tenant's id in the metadata and keys of multi-tenant authorities.
const template = "{tenantid}"

func (e entra) issuer(tid string) string { return e.origin + "/" + tid + "/v2.0" }

func (e entra) many() bool { return e.tenant == entraCommon || e.tenant == entraOrganizations }

// template returns the metadata's issuer of a multi-tenant authority, else "".
func (e entra) template() string {
	if !e.many() {
		return ""
	}
	return e.issuer(template)
}

// accept requires the template from a multi-tenant authority, and one tenant's issuer otherwise.
func (e entra) accept(issuer string) error {
	var want string
	switch {
	case e.many():
		want = e.issuer(template)
	case e.tenant == entraConsumers:
		want = e.issuer(msaTenant)
	case guid.MatchString(e.tenant):
		want = e.issuer(e.tenant)
	default: // a domain: its metadata name the tenant
		if e.tenantOf(issuer) == "" {
			return fmt.Errorf("the metadata of %s are for %q, which is not a tenant's issuer", e.tenant, oneLine(issuer))
		}
		return nil
	}
	return exactly(want)(issuer)
}

// tenantOf returns the tenant id in a concrete issuer, "" for anything else.
func (e entra) tenantOf(issuer string) string {
	rest, ok := strings.CutPrefix(issuer, e.origin+"/")
	tid, suffixed := strings.CutSuffix(rest, "/v2.0")
	if !ok || !suffixed || !guid.MatchString(tid) {
		return ""
	}
	return tid
}

// ownsIssuer: Microsoft does not announce RFC 9207. If it sends an iss, that must be one of its own issuers. Later,
// coherent compares it with the token's issuer.
func (e entra) ownsIssuer(m *metadata, iss string) bool {
	return iss == m.issuer || m.issuer == e.issuer(template) && e.tenantOf(iss) != ""
}

// issued compares tenant, issuer and key (SECURITY.md B10, B11): the token's issuer must match its tid, and the
// key must be one that may sign for that issuer. The key for personal accounts must not sign for an
// organization.
func (e entra) issued(m *metadata, t idToken) (string, error) {
	tid := t.text("tid")
	switch {
	//defence:B10
	case t.text("ver") != "2.0":
		return "", errors.New("not a v2.0 token")
	//defence:B10
	case !guid.MatchString(tid):
		return "", errors.New("tid is missing or not a tenant id")
	//defence:B10
	case t.issuer != e.issuer(tid):
		return "", errors.New("issuer and tid do not match")
	}
	single := m.issuer != e.issuer(template)
	signs := strings.ReplaceAll(t.key.issuer, template, tid)
	//defence:B11
	if signs != t.issuer && !(signs == "" && single && t.issuer == m.issuer) {
		return "", errors.New("the key may not sign for this issuer")
	}
	if err := e.allowsTenant(m, tid); err != nil {
		return "", err
	}
	return t.issuer, nil
}

// allowsTenant checks that this tenant's people may sign in. It does not rely on Microsoft's own check of the
// authority.
func (e entra) allowsTenant(m *metadata, tid string) error {
	//defence:B10 D8 = true
	ok := len(e.allowed) == 0 || slices.Contains(e.allowed, tid)
	switch {
	case m.issuer != e.issuer(template):
		ok = ok && e.issuer(tid) == m.issuer
	case e.tenant == entraOrganizations:
		//defence:D7
		ok = ok && tid != msaTenant
	}
	if !ok {
		return broker.WrongTenant.Because(fmt.Errorf("microsoft: tenant %s is not allowed; allowed_tenants and "+
			"tenant decide", tid))
	}
	return nil
}

// claims: the identity is the person within the tenant. The address is only asserted unless xms_edov says that
// the tenant proved its domain: a tenant's administrator can enter any address (nOAuth, SECURITY.md C1).
func (e entra) claims(t idToken, c *broker.Claims) error {
	tid, oid := t.text("tid"), t.text("oid")
	if !guid.MatchString(oid) {
		return broker.UpstreamMisconfigured.Because(errors.New("microsoft: oid is missing; request the scope profile"))
	}
	//defence:B10 D8
	if c.UserType = userTypeOf(t, tid); c.UserType == broker.UserTypeGuest && !e.guests {
		return broker.WrongTenant.Because(errors.New("microsoft: the person is a guest in tenant " + tid))
	}
	c.Subject = tid + ":" + oid
	c.Level = assertedLevel(c.Email)
	verified := t.boolean("xms_edov", "1", json.Number("1"))
	if c.Email != "" && verified == yes && t.boolean("email_verified") != no {
		c.Level = broker.EmailVerified
	}
	return nil
}

// userTypeOf: personal accounts have their own tenant. A guest is anyone not clearly a member: acct is present and
// not 0, or idp is present and does not name this tenant.
func userTypeOf(t idToken, tid string) broker.UserType {
	if tid == msaTenant {
		//defence:D7
		return broker.UserTypePersonal
	}
	acct, there := t.document["acct"]
	//defence:D8
	if there && acct != json.Number("0") && acct != "0" {
		return broker.UserTypeGuest
	}
	idp, there := t.document["idp"]
	//defence:D8
	if there && idp != t.issuer && idp != "https://sts.windows.net/"+tid+"/" {
		return broker.UserTypeGuest
	}
	return broker.UserTypeMember
}

// approval returns the page on which an administrator consents for the organisation. Nothing that it sends back is
// believed: its tenant parameter is anybody's to change.
func (e entra) approval(client string) func(callback string) string {
	tenant := e.tenant
	if e.many() {
		tenant = entraOrganizations
	}
	if tenant == entraConsumers {
		return nil
	}
	return func(callback string) string {
		return e.origin + "/" + tenant + "/v2.0/adminconsent?" + url.Values{"client_id": {client},
			"scope": {"openid profile email"}, "redirect_uri": {callback}}.Encode()
	}
}

// entraParams: v2.0 accepts only one prompt value, and a login_hint would skip the chooser.
func entraParams(t broker.UpstreamRequest) url.Values {
	words := standardParams(t)
	words.Del("ui_locales")
	words.Set("mkt", t.Locale)
	words.Set("domain_hint", t.DomainHint)
	if words.Get("prompt") == broker.PromptSelect {
		words.Del("login_hint")
	}
	return words
}
