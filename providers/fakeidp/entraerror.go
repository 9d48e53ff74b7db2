package fakeidp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// AADSTS is one of Microsoft's numbered errors, for Fault.AuthorizeError and Fault.TokenError. An unknown number
// becomes server_error.
func AADSTS(number int) OAuthError {
	code, text := "server_error", "An error occurred."
	switch number {
	case 16000, 90072:
		code, text = "interaction_required", "The user account does not exist in this tenant and cannot access the "+
			"application in it."
	case 50053:
		code, text = "access_denied", "The account is locked, because of too many incorrect tries."
	case 50057:
		code, text = "access_denied", "The user account is disabled."
	case 50158:
		code, text = "interaction_required", "External security challenge not satisfied."
	case 500113:
		code, text = "invalid_request", "No reply address is registered for the application."
	case 650052:
		code, text = "access_denied", "The app needs access to a service that your organization has not subscribed "+
			"to or enabled."
	case 50011:
		code, text = "invalid_request", "The redirect URI specified in the request does not match the redirect URIs "+
			"configured for the application."
	case 50020, 50034:
		code, text = "access_denied", "The user account does not exist in this tenant and cannot access the "+
			"application in it."
	case 50058:
		code, text = "login_required", "A silent sign-in request was sent but no user is signed in."
	case 50076, 50079:
		code, text = "interaction_required", "You must use multi-factor authentication to access this application."
	case 50105:
		code, text = "access_denied", "The administrator has configured the application to block users unless they are "+
			"specifically granted access."
	case 53000, 53001, 53002, 53003, 53004, 53011, 530032, 530035:
		code, text = "access_denied", "Access has been blocked by Conditional Access policies."
	case 54005, 70008:
		code, text = "invalid_grant", "The authorization code was already redeemed or has expired."
	case 65001:
		code, text = "consent_required", "The user or administrator has not consented to use the application."
	case 65004:
		code, text = "access_denied", "User declined to consent to access the app."
	case 70011:
		code, text = "invalid_scope", "The provided value for the input parameter 'scope' is not valid."
	case 90002:
		code, text = "invalid_tenant", "Tenant not found. Check to make sure you have the correct tenant ID."
	case 90023:
		code, text = "invalid_request", "Unsupported 'prompt' value."
	case 90093, 90094, 90099:
		code, text = "access_denied", "Admin consent is required for the permissions requested by this application."
	case 500011, 700016:
		code, text = "unauthorized_client", "The application was not found in the directory."
	case 501481:
		code, text = "invalid_grant", "The Code_Verifier does not match the code_challenge supplied in the authorization "+
			"request."
	case 7000215:
		code, text = "invalid_client", "Invalid client secret provided."
	case 7000222:
		code, text = "invalid_client", "The provided client secret keys are expired."
	}
	return OAuthError{code, fmt.Sprintf("AADSTS%d: %s Trace ID: 00000000-0000-4000-8000-000000000000", number, text)}
}

// microsoftExplains adds Microsoft's numbers to the errors.
func microsoftExplains(e OAuthError) OAuthError {
	switch e.Description {
	case whySecret:
		return AADSTS(7000215)
	case whyClient:
		return AADSTS(700016)
	case whyUsed:
		return AADSTS(54005)
	case whyExpired:
		return AADSTS(70008)
	case whyVerifier:
		return AADSTS(501481)
	case whyUnregistered, whyRedirect:
		return OAuthError{e.Code, AADSTS(50011).Description}
	case whyPrompt:
		return AADSTS(90023)
	case whyNoUser:
		return AADSTS(50058)
	}
	return e
}

// microsoftRefuses sends an error document with its numbers, as the token and metadata endpoints do.
func microsoftRefuses(c *call, status int, e OAuthError) {
	numbers := []int{}
	if digits, _, numbered := strings.Cut(strings.TrimPrefix(e.Description, "AADSTS"), ":"); numbered {
		if number, err := strconv.Atoi(digits); err == nil {
			numbers = append(numbers, number)
		}
	}
	if e.Code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	c.send(status, map[string]any{
		"error": e.Code, "error_description": e.Description, "error_codes": numbers,
		"timestamp": c.opts.Now().UTC().Format("2006-01-02 15:04:05Z"),
		"trace_id":  "00000000-0000-4000-8000-000000000000", "correlation_id": "00000000-0000-4000-8000-000000000000",
	})
}
