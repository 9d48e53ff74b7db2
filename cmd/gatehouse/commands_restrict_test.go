package main

import (
	"strings"
	"testing"

	"gatehouse/broker"
)

// entra adds a Microsoft connection.
func (o *operator) entra(id string) {
	o.t.Helper()
	o.doesWith("a secret", "connections", "add", id, "--live", "--kind", "microsoft", "--name", "Microsoft",
		"--client-id", "c",
		"--client-secret-file", "-",
		"--set", "tenant=11111111-2222-3333-4444-555555555555")
}

func TestARestrictionNamesTheConnectionsOfNowAndWhoSetIt(t *testing.T) {
	o := newOperator(t)
	o.doesWith(boats, "accounts", "add", "ana@example.test", "--password-file", "-")
	o.isRefused("no live connection of the kind microsoft or adfs", "accounts", "restrict", "ana@example.test", "--only",
		"microsoft")
	o.entra("entra")
	o.entra("off")
	o.does("connections", "disable", "off")
	o.isRefused("connection off is disabled", "accounts", "restrict", "ana@example.test", "--only", "off")
	o.isRefused(`there is no connection "none"`, "accounts", "restrict", "ana@example.test", "--only", "entra,none")
	var before, after accountView
	o.shows(&before, "accounts", "show", "ana@example.test")
	o.does("accounts", "restrict", "ana@example.test", "--only", "microsoft")
	o.entra("later") // a restriction that grew by itself would let other people in
	o.shows(&after, "accounts", "show", "ana@example.test")
	if l := after.Restriction; l == nil || strings.Join(l.Connections, " ") != "entra" || l.Only != broker.OnlyMicrosoft ||
		l.SetBy != "operator" || l.SetAt.IsZero() || l.Guests || l.Personal {
		t.Errorf("the restriction is %+v", after.Restriction)
	}
	if after.Epoch != before.Epoch+1 {
		t.Errorf("epoch %d, was %d: a restriction ends earlier sessions", after.Epoch, before.Epoch)
	}
	if out := o.does("accounts", "show", "ana@example.test"); !strings.Contains(out, "set by operator on 2") {
		t.Errorf("it does not say who set it and when:\n%s", out)
	}
	o.does("accounts", "unrestrict", "ana@example.test")
	var open accountView
	o.shows(&open, "accounts", "show", "ana@example.test")
	if open.Restriction != nil || open.Epoch != after.Epoch || !open.Password {
		t.Errorf("unrestricted: %+v", open)
	}
	if heard := strings.Join(o.logged(), "\n"); !strings.Contains(heard, "account.restricted") || !strings.Contains(heard,
		"account.unrestricted") {
		t.Errorf("events:\n%s", heard)
	}
}

func TestARestrictionThatLeavesNoMethodIsRefused(t *testing.T) {
	o := newOperator(t)
	o.does("accounts", "add", "bob@example.test")
	o.entra("entra")
	o.isRefused("no sign-in method for bob@example.test", "accounts", "restrict", "bob@example.test", "--only",
		"microsoft")
}

func TestAnUnverifiedAccountIsShownAndGoesWhenTheAddressIsProven(t *testing.T) {
	o := newOperator(t)
	o.doesWith(boats, "accounts", "add", "ana@example.test", "--unverified", "--password-file", "-")
	if out := o.does("accounts", "list"); !strings.Contains(out, "unverified") {
		t.Errorf("the list:\n%s", out)
	}
	o.isRefused("an unverified one goes by its id", "accounts", "show", "ana@example.test")
	o.does("accounts", "add", "ana@example.test") // the operator vouches for the address
	if out := o.does("accounts", "list"); strings.Contains(out, "unverified") ||
		strings.Count(out, "ana@example.test") != 1 {
		t.Errorf("the list:\n%s", out)
	}
}

func TestExplainAsksTheRulesThatSignInsAsk(t *testing.T) {
	o := newOperator(t)
	o.doesWith(boats, "accounts", "add", "ana@example.test", "--password-file", "-")
	o.doesWith("a secret", "connections", "add", "google", "--live", "--kind", "google", "--name", "Google",
		"--client-id", "c",
		"--client-secret-file", "-")
	o.entra("entra")
	google := `{"iss":"https://accounts.google.com","sub":"1","email":"Ana@Example.test","email_verified":true}`
	const tid, oid = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	entra := func(tid string) string {
		return `{"ver":"2.0","iss":"https://login.microsoftonline.com/` + tid + `/v2.0","tid":"` + tid + `","oid":"` + oid +
			`","sub":"s","email":"ana@example.test","xms_edov":true}`
	}
	says := func(claims, connection string, more ...string) (e explanation) {
		t.Helper()
		file := o.file("claims.json", claims)
		o.shows(&e, append([]string{"explain", "--connection", connection, "--claims", file}, more...)...)
		return e
	}
	if e := says(google, "google"); e.Outcome != "link" || len(e.Proof) != 1 || e.Account != "ana@example.test" ||
		e.Refused != "" {
		t.Errorf("google: %+v", e)
	}
	if e := says(strings.Replace(google, "true", "false", 1), "google"); e.Outcome != "neutral" || e.Account != "" {
		t.Errorf("an address that google has not verified: %+v", e)
	}
	if e := says(google, "google", "--account", "ana@example.test"); e.Outcome != "link_here" {
		t.Errorf("from inside: %+v", e)
	}
	if e := says(entra(oid), "entra"); e.Refused != "wrong_tenant" {
		t.Errorf("another tenant: %+v", e)
	}
	o.does("accounts", "restrict", "ana@example.test", "--only", "microsoft")
	if e := says(google, "google"); e.Refused != "microsoft_required" || e.Restriction == nil {
		t.Errorf("google, restricted: %+v", e)
	}
	if e := says(entra(tid), "entra"); e.Outcome != "link" || len(e.Proof) != 2 {
		t.Errorf("entra, restricted: %+v", e)
	}
	o.isRefused("there is no connection", "explain", "--connection", "none", "--claims", o.file("c.json", google))
	o.isRefused("--claims", "explain", "--connection", "google", "--claims", o.file("c.json", "{"))
	if n := len(o.logged()); n == 0 {
		t.Error("the events are gone")
	}
}
