package admin

import (
	"encoding/json"
	"time"

	"gatehouse/broker"
	"gatehouse/providers"
)

// AccountView is an account as JSON, without its password hash.
type AccountView struct {
	ID          string           `json:"id"`
	Email       string           `json:"email"`
	Name        string           `json:"name"`
	GivenName   string           `json:"given_name,omitempty"`
	FamilyName  string           `json:"family_name,omitempty"`
	Locale      string           `json:"locale,omitempty"`
	Password    bool             `json:"has_password"`
	Disabled    bool             `json:"disabled"`
	Unverified  bool             `json:"unverified,omitempty"`
	Restriction *RestrictionView `json:"restriction,omitempty"`
	Epoch       int64            `json:"auth_epoch"`
	CreatedAt   time.Time        `json:"created_at"`
	Identities  []IdentityView   `json:"identities,omitempty"`
}

// IdentityView is an identity as JSON.
type IdentityView struct {
	ID         string    `json:"id"`
	Connection string    `json:"connection"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	Email      string    `json:"email"`
	LinkedAt   time.Time `json:"linked_at"`
	SeenAt     time.Time `json:"seen_at"`
}

// ViewAccount returns the view of an account.
func ViewAccount(a AccountDetails) AccountView {
	v := AccountView{ID: a.ID, Email: a.Email, Name: a.Name, GivenName: a.GivenName, FamilyName: a.FamilyName,
		Locale: a.Locale, Password: a.HasPassword(), Disabled: a.Disabled,
		Unverified: a.Unverified, Restriction: ViewRestriction(a.Restriction), Epoch: a.AuthEpoch, CreatedAt: a.CreatedAt}
	for _, i := range a.Identities {
		v.Identities = append(v.Identities, IdentityView{i.ID, i.Connection, i.Issuer, i.Subject, i.Email, i.LinkedAt,
			i.SeenAt})
	}
	return v
}

// RestrictionView is a restriction as JSON.
type RestrictionView struct {
	Only        string    `json:"only"`
	Connections []string  `json:"connections"`
	Guests      bool      `json:"guests"`
	Personal    bool      `json:"personal"`
	SetBy       string    `json:"set_by"`
	SetAt       time.Time `json:"set_at"`
}

// ViewRestriction returns the view of a restriction, nil for none.
func ViewRestriction(l *broker.Restriction) *RestrictionView {
	if l == nil {
		return nil
	}
	return &RestrictionView{l.Only, l.Connections, l.Guests, l.Personal, l.SetBy, l.SetAt}
}

// ConnectionView is a connection as JSON: secrets are only counted, and the redirect URI is
// the one to register with the provider.
type ConnectionView struct {
	ID          string            `json:"id"`
	Kind        string            `json:"kind"`
	Name        string            `json:"name"`
	State       string            `json:"state"`
	Issuer      string            `json:"issuer,omitempty"`
	ClientID    string            `json:"client_id"`
	Secrets     int               `json:"secrets"`
	Settings    map[string]string `json:"settings,omitempty"`
	Domains     []string          `json:"domains,omitempty"`
	Hidden      bool              `json:"hidden"`
	Position    int               `json:"position"`
	RedirectURI string            `json:"redirect_uri"`
	// ClientKeys is the JWK Set to register at the provider, for private_key_jwt.
	ClientKeys json.RawMessage `json:"client_keys,omitempty"`
	// Facebook needs these two as well.
	Deauthorize  string `json:"deauthorize_url,omitempty"`
	DataDeletion string `json:"data_deletion_url,omitempty"`
}

// ViewConnection returns the view of a connection.
func ViewConnection(c broker.Connection, redirectURI string) ConnectionView {
	v := ConnectionView{ID: c.ID, Kind: c.Kind, Name: c.Name, State: string(c.State), Issuer: c.Issuer,
		ClientID: c.ClientID,
		Secrets:  len(c.Secrets), Settings: c.Settings, Domains: c.Domains, Hidden: c.Hidden, Position: c.Position,
		RedirectURI: redirectURI, ClientKeys: providers.ClientKeys(c)}
	if c.Kind == "meta" {
		v.Deauthorize, v.DataDeletion = v.RedirectURI+"/deauthorize", v.RedirectURI+"/data-deletion"
	}
	return v
}

// EventView is an entry of the audit log as JSON.
type EventView struct {
	ID         string            `json:"id"`
	At         time.Time         `json:"at"`
	Verb       string            `json:"verb"`
	Code       string            `json:"code,omitempty"`
	Account    string            `json:"account,omitempty"`
	Actor      string            `json:"actor,omitempty"`
	Client     string            `json:"client,omitempty"`
	Connection string            `json:"connection,omitempty"`
	Session    string            `json:"session,omitempty"`
	Reference  string            `json:"reference,omitempty"`
	Address    string            `json:"address,omitempty"`
	UserAgent  string            `json:"user_agent,omitempty"`
	Detail     map[string]string `json:"detail,omitempty"`
}

// ViewEvent returns the view of an Event.
func ViewEvent(e broker.Event) EventView {
	return EventView{e.ID, e.At, string(e.Verb), string(e.Code), e.Account, e.Actor, e.Client, e.Connection, e.Session,
		e.Reference, e.Address, e.UserAgent, e.Detail}
}

// LogoutView is a sign-out notice that is not delivered yet, as JSON.
type LogoutView struct {
	Client    string    `json:"client_id"`
	Session   string    `json:"session"`
	Account   string    `json:"account"`
	EndedAt   time.Time `json:"ended_at"`
	ExpiresAt time.Time `json:"given_up_at"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at"`
	LastError string    `json:"last_error,omitempty"`
}

// ViewLogout returns the view of a sign-out notice.
func ViewLogout(l broker.Logout) LogoutView {
	return LogoutView{l.ClientID, l.SessionID, l.AccountID, l.CreatedAt, l.ExpiresAt, l.Attempts, l.NextAt, l.LastError}
}
