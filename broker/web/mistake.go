package web

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/broker"
)

// The bounds of what a Mistake repeats.
const (
	maxSent       = 300 // bytes
	maxRegistered = 10
)

// Mistake is an error of an app's configuration. The page, the log and the audit log tell its developer what the app
// sent, what is registered, and which setting to change.
type Mistake struct {
	Code       broker.Code
	Client     string // a registered client's id; empty if the client is unknown
	Parameter  string
	Sent       string // its value; use NewMistake, which bounds it
	Registered []string
	Setting    string // the command that changes what is registered
}

// NewMistake returns a Mistake. The sent value may be a stranger's: it is cut to a bounded length, and what is not
// plain ASCII is escaped.
func NewMistake(code broker.Code, c broker.Client, parameter, sent string, registered []string,
	setting string) *Mistake {
	shown := sent[:min(len(sent), maxSent)]
	//defence:A23
	shown = strings.Trim(strconv.QuoteToASCII(shown), `"`)
	if len(sent) > maxSent {
		shown += "..."
	}
	return &Mistake{code, c.ID, parameter, shown, registered[:min(len(registered), maxRegistered)], setting}
}

// Error names everything, for the log.
func (m *Mistake) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", m.Code)
	if m.Client != "" {
		fmt.Fprintf(&b, "client %s: ", m.Client)
	}
	fmt.Fprintf(&b, "%s sent: %q", m.Parameter, m.Sent)
	if m.Registered != nil {
		fmt.Fprintf(&b, "; registered: %q", m.Registered)
	}
	if m.Setting != "" {
		fmt.Fprintf(&b, "; see: %s", m.Setting)
	}
	return b.String()
}

// Unwrap returns the code.
func (m *Mistake) Unwrap() error { return m.Code }

// Detail is for the audit log.
func (m *Mistake) Detail() map[string]string {
	detail := map[string]string{"parameter": m.Parameter, "sent": m.Sent}
	if m.Registered != nil {
		detail["registered"] = strings.Join(m.Registered, " ")
	}
	if m.Setting != "" {
		detail["setting"] = m.Setting
	}
	return detail
}
