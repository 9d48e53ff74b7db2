package broker

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// ConnectionState is the state of a connection.
type ConnectionState string

// The states of a connection. Only a live one can be used for sign-in.
const (
	Draft    ConnectionState = "draft"
	Live     ConnectionState = "live"
	Disabled ConnectionState = "disabled"
)

// Connection is one configured upstream.
type Connection struct {
	ID       string // part of its callback path; lower case letters, digits, dashes
	Kind     string // a kind of package providers
	Name     string // on the button: "Continue with {Name}"
	State    ConnectionState
	Issuer   string // configured issuer, if the kind has one; never changes once live
	ClientID string // never changes once live
	Secrets  []Secret
	// Settings are the kind's own fields, see providers.Kind.Fields.
	Settings map[string]string
	// Domains are canonical e-mail domains that are sent to this connection at the identifier step. They grant
	// nothing.
	Domains   []string
	Hidden    bool // not listed on the sign-in page, reached by domain only
	Position  int  // order on the sign-in page
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Usable returns nil if the connection is live, else ConnectionDisabled.
func (c Connection) Usable() error {
	if c.State != Live {
		return ConnectionDisabled
	}
	return nil
}

// Routes reports whether the canonical address e is in a domain of this connection.
func (c Connection) Routes(e string) bool {
	_, domain, ok := strings.Cut(e, "@")
	return ok && slices.Contains(c.Domains, domain)
}

// Level is how far an upstream is trusted about an e-mail address (SECURITY.md §1.0).
type Level int

// The levels. None means that there is no address.
const (
	None               Level = iota
	EmailAsserted            // asserted, but not checked
	EmailVerified            // verified by the upstream
	EmailAuthoritative       // the upstream is the authority for that domain
)

// Claims is what an upstream said about the person, verified and capped by its provider. The address is trusted
// up to Level.
type Claims struct {
	Connection string
	Issuer     string
	Subject    string
	Email      string // canonical; empty at level None
	Level      Level
	Name       string
	GivenName  string
	FamilyName string
	Locale     string
	AuthTime   time.Time // zero if the upstream proved none
	AMR        []string  // RFC 8176 values
	ACR        string
	// UserType is the person's place in the upstream's directory.
	UserType UserType
	// SID is the upstream's session id (OIDC Back-Channel Logout §2.1), empty for none.
	SID string
	// LogoutHint is the upstream's ID token, for its sign-out, empty if it has none. A login keeps it sealed.
	LogoutHint string
}

// UpstreamRequest is one visit of a browser to an upstream.
type UpstreamRequest struct {
	Login      string
	Connection string
	State      string
	Nonce      string
	Verifier   string // PKCE, RFC 7636
	Callback   string // absolute redirect_uri of this connection
	LoginHint  string
	DomainHint string
	Locale     string
	// Fresh asks the upstream to authenticate the person again (prompt=login, or max_age 0). Next compares auth_time.
	Fresh bool
	// MaxAge is in seconds, nil for none. Next compares auth_time.
	MaxAge *int
	// Choose requests prompt=select_account.
	Choose bool
	// Rerequest asks for the e-mail permission once more (Facebook auth_type=rerequest).
	Rerequest bool
	// Prompt is what the upstream needs from the person, after it refused without asking; empty at the first visit.
	Prompt string
	// LinkTarget identifies the pending link that this request must confirm with another identity of the same
	// account; empty for a plain sign-in.
	LinkTarget string
	// MaxPost is the Redirect's.
	MaxPost   int
	StartedAt time.Time
}

// Redirect is where to send the browser: a URL to follow or, with Form set, a form to post to it.
type Redirect struct {
	URL  string
	Form url.Values
	// MaxPost is how many bytes the browser may post with the upstream's response (response_mode=form_post); 0 is
	// enough for a code.
	MaxPost int
}

// PromptNeeded is an upstream's refusal that another visit with this prompt may resolve. It wraps its Code.
type PromptNeeded struct {
	Prompt string
	error
}

// NeedsPrompt adds the prompt to a refusal.
func NeedsPrompt(prompt string, err error) error { return PromptNeeded{prompt, err} }

func (p PromptNeeded) Unwrap() error { return p.error }

// NoticeKind is the kind of a message that an upstream sends on its own initiative.
type NoticeKind string

// The kinds of notice.
const (
	NoticeDeauthorized NoticeKind = "deauthorized" // the person removed our app
	NoticeDeletion     NoticeKind = "deletion"     // the person requests deletion of the data
	NoticeLogout       NoticeKind = "logout"       // the person's session there has ended (OIDC Back-Channel Logout)
	// NoticeFrontLogout is NoticeLogout by way of the person's browser, unsigned (OIDC Front-Channel Logout).
	NoticeFrontLogout NoticeKind = "front-channel logout"
)

// Notice is a verified message about one subject of a connection. A logout may name a session of the upstream
// instead of a subject, or both. Its ID may be used once, until Expires; a notice without one may be repeated.
type Notice struct {
	Kind    NoticeKind
	Issuer  string
	Subject string
	SID     string
	ID      string
	Expires time.Time
}
