package broker

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// ConnectionState says what a connection may be used for.
type ConnectionState string

// The states of a connection. Only a live one signs anybody in.
const (
	Draft    ConnectionState = "draft"
	Live     ConnectionState = "live"
	Disabled ConnectionState = "disabled"
)

// Connection is one configured upstream.
type Connection struct {
	ID       string // part of its callback path; lower case letters, digits, dashes
	Kind     string // a kind of package providers
	Name     string // as people see it: "Continue with {Name}"
	State    ConnectionState
	Issuer   string // configured issuer, where the kind has one; never changes once live
	ClientID string // never changes once live
	Secrets  []Secret
	// Settings are the kind's own fields, see providers.Kind.Fields.
	Settings map[string]string
	// Domains are mail domains (canonical) that are sent to this connection at the
	// identifier step. They route; they prove nothing.
	Domains   []string
	Hidden    bool // not listed on the sign-in page, found by domain only
	Position  int  // order on the sign-in page
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Usable returns nil while the connection is live, else ConnectionDisabled.
func (c Connection) Usable() error {
	if c.State != Live {
		return ConnectionDisabled
	}
	return nil
}

// Routes reports whether the canonical address e belongs to this connection.
func (c Connection) Routes(e string) bool {
	_, domain, ok := strings.Cut(e, "@")
	return ok && slices.Contains(c.Domains, domain)
}

// Level says how far an upstream's word on an e-mail address goes
// (SECURITY.md §1.0).
type Level int

// The levels. None is: no address at all.
const (
	None               Level = iota
	EmailAsserted            // asserted, by nobody who checked
	EmailVerified            // verified by the upstream
	EmailAuthoritative       // the upstream is the authority for that domain
)

// Claims is what an upstream said of the person who came back, verified and
// capped by its provider. Nothing in it is trusted beyond its Level.
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
	AuthTime   time.Time // zero where the upstream proved none
	AMR        []string  // RFC 8176 values
	ACR        string
	// UserType is what the upstream says of the person's place in its directory.
	UserType UserType
	// SID is the upstream's session (OIDC Back-Channel Logout §2.1), empty for none.
	SID string
}

// UpstreamRequest is what the broker remembers while the browser is at an upstream.
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
	// Fresh asks the upstream to authenticate the person again; the answer is
	// checked (prompt=login, or max_age 0).
	Fresh bool
	// MaxAge in seconds, nil for none; the answer's auth_time is checked.
	MaxAge *int
	// Choose asks for prompt=select_account.
	Choose bool
	// Again asks for the e-mail permission once more (Facebook auth_type=rerequest).
	Rerequest bool
	// LinkTarget names the link that waits in the login and that this upstream request's identity
	// shall confirm, as one of the same account; empty for a plain sign-in.
	LinkTarget string
	StartedAt  time.Time
}

// Redirect is where the browser goes next: a URL to follow, or, with Form set,
// a form to post there.
type Redirect struct {
	URL  string
	Form url.Values
}

// NoticeKind is what an upstream tells us on its own account.
type NoticeKind string

// The kinds of notice.
const (
	NoticeDeauthorized NoticeKind = "deauthorized" // the person removed our app
	NoticeDeletion     NoticeKind = "deletion"     // the person asks for deletion of the data
	NoticeLogout       NoticeKind = "logout"       // the person's session there has ended (OIDC Back-Channel Logout)
)

// Notice is a verified message about one subject of a connection. A logout may name
// a session of the upstream instead of a subject, or both; its ID is good once, until
// Expires.
type Notice struct {
	Kind    NoticeKind
	Issuer  string
	Subject string
	SID     string
	ID      string
	Expires time.Time
}
