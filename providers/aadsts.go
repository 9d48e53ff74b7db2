package providers

import (
	"net/url"
	"regexp"

	"gatehouse/broker"
)

var aadsts = regexp.MustCompile(`\bAADSTS(\d{5,7})\b`)

// byAADSTS maps Microsoft's numbered errors to ours. Microsoft may change the numbers at any time: they choose
// the text of a refusal, never whether there is one.
var byAADSTS = map[string]broker.Code{
	"65001":   broker.ConsentRequired,
	"65004":   broker.ConsentDeclined,
	"90093":   broker.AdminApproval,
	"90094":   broker.AdminApproval,
	"90099":   broker.AdminApproval,
	"50105":   broker.NotAssigned,
	"50020":   broker.WrongTenant,
	"50034":   broker.WrongTenant,
	"16000":   broker.WrongTenant,
	"90072":   broker.WrongTenant,
	"500011":  broker.AppNotInstalled,
	"700016":  broker.AppNotInstalled,
	"650052":  broker.AppNotInstalled,       // no subscription, or not enabled there
	"50011":   broker.UpstreamMisconfigured, // redirect_uri
	"500113":  broker.UpstreamMisconfigured, // no redirect_uri is registered
	"7000215": broker.UpstreamMisconfigured, // wrong secret
	"7000222": broker.UpstreamMisconfigured, // expired secret
	"90002":   broker.UpstreamMisconfigured, // no such tenant
	"53000":   broker.UpstreamPolicy,        // Conditional Access
	"53001":   broker.UpstreamPolicy,
	"53002":   broker.UpstreamPolicy,
	"53003":   broker.UpstreamPolicy,
	"53004":   broker.UpstreamPolicy,
	"53011":   broker.UpstreamPolicy, // blocked because of a risk
	"530032":  broker.UpstreamPolicy, // security policy
	"530035":  broker.UpstreamPolicy, // security defaults
	"50053":   broker.UpstreamPolicy, // the account is locked there
	"50057":   broker.UpstreamPolicy, // the account is disabled there
	"50158":   broker.UpstreamPolicy, // an external second factor
	"50076":   broker.UpstreamPolicy, // a second factor
	"50079":   broker.UpstreamPolicy,
	"54005":   broker.StateInvalid, // the code was used or is too old: start again
	"70008":   broker.StateInvalid,
	"50058":   broker.LoginRequired,
}

// entraExplain reads the number if there is one, else the code. An unknown number is not Cancelled: a person's
// own Cancel comes with a known number or with none.
func entraExplain(code, description string, answer url.Values) broker.Code {
	number := aadsts.FindStringSubmatch(description)
	if number != nil {
		if c, ok := byAADSTS[number[1]]; ok {
			return c
		}
	}
	switch {
	case code == "interaction_required":
		return broker.LoginRequired
	case number != nil && (code == "access_denied" || code == "server_error"):
		return broker.UpstreamRejected
	}
	return standardCode(code, description, answer)
}
