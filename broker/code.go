package broker

import (
	"errors"
	"fmt"
	"net/http"
)

// Code names one reason of refusal. It is an error, so a rule returns it directly. Pages, apps, the audit log
// and metrics all use it. Its texts have the keys "error.<code>…".
type Code string

// The codes. The first five are the contract with apps that read `sso_error`.
const (
	UserNotProvisioned Code = "user_not_provisioned"
	AccountDisabled    Code = "account_disabled"
	UpstreamRejected   Code = "sso_idp_rejected"
	NoEmailClaim       Code = "sso_no_email_claim"
	StateInvalid       Code = "sso_state_invalid"

	Cancelled             Code = "sso_cancelled"
	LinkConflict          Code = "link_conflict"
	IdentityMismatch      Code = "identity_mismatch"
	BindRefused           Code = "bind_refused"
	MicrosoftRequired     Code = "microsoft_required"
	SSORequired           Code = "sso_required"
	WorkAccountRequired   Code = "work_account_required"
	MembershipSuspended   Code = "membership_suspended"
	SecondFactorRequired  Code = "mfa_required"
	InviteWrongUser       Code = "invite_wrong_user"
	LastMethod            Code = "last_method"
	MethodRequired        Code = "method_required"
	ConnectionDisabled    Code = "connection_disabled"
	ConnectionUnavailable Code = "connection_unavailable"
	WrongTenant           Code = "wrong_tenant"
	AdminApproval         Code = "admin_approval_required"
	NotAssigned           Code = "not_assigned"
	AppNotInstalled       Code = "app_not_installed"
	ConsentDeclined       Code = "consent_declined"
	UpstreamPolicy        Code = "idp_policy"
	UpstreamMisconfigured Code = "idp_misconfigured"

	WrongPassword  Code = "wrong_password"
	WeakPassword   Code = "password_weak"
	EmailInvalid   Code = "email_invalid"
	NameInvalid    Code = "name_invalid"
	CodeWrong      Code = "code_wrong"
	CodeExpired    Code = "code_expired"
	CodeTooSoon    Code = "code_too_soon"
	RateLimited    Code = "rate_limited"
	Busy           Code = "busy"
	NoMethod       Code = "no_method"
	StartAgain     Code = "start_again"
	LoginUnknown   Code = "flow_unknown"
	LoginElsewhere Code = "flow_elsewhere"
	CookiesBlocked Code = "cookies_blocked"

	LoginRequired       Code = "login_required"
	InteractionRequired Code = "interaction_required"
	ConsentRequired     Code = "consent_required"
	ConsentDenied       Code = "consent_denied"

	ClientUnknown       Code = "client_unknown"
	RedirectURIMismatch Code = "redirect_uri_mismatch"
	RequestInvalid      Code = "request_invalid"
	RequestURIInvalid   Code = "invalid_request_uri"
	TokenReused         Code = "token_reused"
	CodeReused          Code = "code_reused"
	Revoked             Code = "revoked"
	CrossOrigin         Code = "csrf"
	TooLarge            Code = "too_large"
	MethodNotAllowed    Code = "method_not_allowed"
	Misdirected         Code = "misdirected"
	NotFound            Code = "not_found"
	Conflict            Code = "conflict"
	Unavailable         Code = "unavailable"
	Internal            Code = "internal"
)

// Meaning is everything a Code implies.
type Meaning struct {
	// Status of the page or the JSON response.
	Status int
	// OAuth is the error sent to the app (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6); empty for a code that apps
	// never see.
	OAuth string
}

var meanings = map[Code]Meaning{
	UserNotProvisioned: {http.StatusForbidden, "access_denied"},
	AccountDisabled:    {http.StatusForbidden, "access_denied"},
	UpstreamRejected:   {http.StatusBadGateway, "access_denied"},
	NoEmailClaim:       {http.StatusForbidden, "access_denied"},
	StateInvalid:       {http.StatusBadRequest, ""},

	Cancelled:             {http.StatusOK, ""},
	LinkConflict:          {http.StatusConflict, "access_denied"},
	IdentityMismatch:      {http.StatusForbidden, "access_denied"},
	BindRefused:           {http.StatusForbidden, "access_denied"},
	MicrosoftRequired:     {http.StatusForbidden, "access_denied"},
	SSORequired:           {http.StatusForbidden, "access_denied"},
	WorkAccountRequired:   {http.StatusForbidden, "access_denied"},
	MembershipSuspended:   {http.StatusForbidden, "access_denied"},
	SecondFactorRequired:  {http.StatusForbidden, "access_denied"},
	InviteWrongUser:       {http.StatusConflict, "access_denied"},
	LastMethod:            {http.StatusConflict, ""},
	MethodRequired:        {http.StatusForbidden, ""},
	ConnectionDisabled:    {http.StatusForbidden, "access_denied"},
	ConnectionUnavailable: {http.StatusServiceUnavailable, "temporarily_unavailable"},
	WrongTenant:           {http.StatusForbidden, "access_denied"},
	AdminApproval:         {http.StatusForbidden, "access_denied"},
	NotAssigned:           {http.StatusForbidden, "access_denied"},
	AppNotInstalled:       {http.StatusForbidden, "access_denied"},
	ConsentDeclined:       {http.StatusForbidden, "access_denied"},
	UpstreamPolicy:        {http.StatusForbidden, "access_denied"},
	UpstreamMisconfigured: {http.StatusBadGateway, "temporarily_unavailable"},

	WrongPassword:  {http.StatusUnprocessableEntity, ""},
	WeakPassword:   {http.StatusUnprocessableEntity, ""},
	EmailInvalid:   {http.StatusUnprocessableEntity, ""},
	NameInvalid:    {http.StatusUnprocessableEntity, ""},
	CodeWrong:      {http.StatusUnprocessableEntity, ""},
	CodeExpired:    {http.StatusUnprocessableEntity, ""},
	CodeTooSoon:    {http.StatusTooManyRequests, ""},
	RateLimited:    {http.StatusTooManyRequests, ""},
	Busy:           {http.StatusServiceUnavailable, "temporarily_unavailable"},
	NoMethod:       {http.StatusForbidden, ""},
	StartAgain:     {http.StatusConflict, ""},
	LoginUnknown:   {http.StatusNotFound, ""},
	LoginElsewhere: {http.StatusGone, ""},
	CookiesBlocked: {http.StatusBadRequest, ""},

	LoginRequired:       {http.StatusUnauthorized, "login_required"},
	InteractionRequired: {http.StatusUnauthorized, "interaction_required"},
	ConsentRequired:     {http.StatusForbidden, "consent_required"},
	ConsentDenied:       {http.StatusForbidden, "access_denied"},

	ClientUnknown:       {http.StatusBadRequest, ""},
	RedirectURIMismatch: {http.StatusBadRequest, ""},
	RequestInvalid:      {http.StatusBadRequest, "invalid_request"},
	RequestURIInvalid:   {http.StatusBadRequest, "invalid_request_uri"},
	TokenReused:         {http.StatusBadRequest, "invalid_grant"},
	CodeReused:          {http.StatusBadRequest, "invalid_grant"},
	Revoked:             {http.StatusBadRequest, "invalid_grant"},
	CrossOrigin:         {http.StatusForbidden, ""},
	TooLarge:            {http.StatusRequestEntityTooLarge, ""},
	MethodNotAllowed:    {http.StatusMethodNotAllowed, ""},
	Misdirected:         {http.StatusMisdirectedRequest, ""},
	NotFound:            {http.StatusNotFound, ""},
	Conflict:            {http.StatusConflict, ""},
	Unavailable:         {http.StatusServiceUnavailable, "temporarily_unavailable"},
	Internal:            {http.StatusInternalServerError, "server_error"},
}

// Codes returns every code, in no particular order.
func Codes() []Code {
	all := make([]Code, 0, len(meanings))
	for c := range meanings {
		all = append(all, c)
	}
	return all
}

func (c Code) Error() string { return string(c) }

// Meaning returns what the code implies.
func (c Code) Meaning() Meaning { return meanings[c] }

// Because attaches the cause for the operator. People see only c.
func (c Code) Because(err error) error { return fmt.Errorf("%w: %w", c, err) }

// CodeOf returns the code of an error, Internal if it has none.
func CodeOf(err error) Code {
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	return Internal
}

// Found returns nil for NotFound: to the rules, an absence is a fact.
func Found[T any](v T, err error) (*T, error) {
	if errors.Is(err, NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Refused reports whether an error is a decision, not a failure of ours or of storage.
func Refused(err error) bool { return err != nil && CodeOf(err).Meaning().Status < 500 }

// Retry is an error with the time to wait before the next attempt. It wraps its Code.
type Retry struct {
	Code  Code
	After int // seconds
}

func (r Retry) Error() string { return string(r.Code) }
func (r Retry) Unwrap() error { return r.Code }
