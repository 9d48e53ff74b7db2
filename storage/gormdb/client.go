package gormdb

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// clientRow is one row of clients.
type clientRow struct {
	ID                     string `gorm:"primaryKey"`
	Name                   string
	SecretHashes           []string `gorm:"serializer:text"`
	AuthMethod             string   // several are separated by spaces
	RedirectURIs           []string `gorm:"column:redirect_uris;serializer:text"`
	PostLogoutRedirectURIs []string `gorm:"column:post_logout_redirect_uris;serializer:text"`
	GrantTypes             []string `gorm:"serializer:text"`
	Scopes                 []string `gorm:"serializer:text"`
	Audience               []string `gorm:"serializer:text"`
	Native                 bool
	FirstParty             bool
	IDTokenAlg             string
	Disabled               bool
	Registered             registered `gorm:"serializer:text"`
	CreatedAt              time.Time  `gorm:"<-:create;serializer:micros;autoCreateTime:false"`
	UpdatedAt              time.Time  `gorm:"serializer:micros;autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (clientRow) TableName() string { return "clients" }

// registered holds the client metadata that has no column of its own, as JSON under the
// names of RFC 7591. No query searches it.
type registered struct {
	Keys             json.RawMessage `json:"jwks,omitempty"`
	KeysURI          string          `json:"jwks_uri,omitempty"`
	AuthAlg          string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	Backchannel      string          `json:"backchannel_logout_uri,omitempty"`
	Frontchannel     string          `json:"frontchannel_logout_uri,omitempty"`
	PushedOnly       bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound        bool            `json:"dpop_bound_access_tokens,omitempty"`
	JWTAccess        bool            `json:"jwt_access_tokens,omitempty"`
	DefaultMaxAge    *int            `json:"default_max_age,omitempty"`
	LogoURI          string          `json:"logo_uri,omitempty"`
	ClientURI        string          `json:"client_uri,omitempty"`
	PolicyURI        string          `json:"policy_uri,omitempty"`
	TosURI           string          `json:"tos_uri,omitempty"`
	InitiateLoginURI string          `json:"initiate_login_uri,omitempty"`
	Contacts         []string        `json:"contacts,omitempty"`
	RegistrationHash string          `json:"registration_hash,omitempty"`

	FAPI2             bool   `json:"fapi2,omitempty"`
	PKCE              string `json:"pkce,omitempty"`
	ErrorIss          string `json:"error_iss,omitempty"`
	IDTokenClaims     string `json:"id_token_claims,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`
}

func registeredOf(c broker.Client) registered {
	return registered{
		json.RawMessage(c.Keys), c.KeysURI, c.AuthAlg, c.BackchannelLogoutURI, c.FrontchannelLogoutURI,
		c.PushedOnly, c.DPoPBound, c.JWTAccess, c.DefaultMaxAge,
		c.LogoURI, c.ClientURI, c.PolicyURI, c.TosURI, c.InitiateLoginURI, c.Contacts, c.RegistrationHash,
		c.FAPI2, c.PKCE, c.ErrorIss, c.IDTokenClaims, c.PreferredUsername,
	}
}

func (r registered) into(c *broker.Client) {
	c.Keys, c.KeysURI, c.AuthAlg = string(r.Keys), r.KeysURI, r.AuthAlg
	c.BackchannelLogoutURI, c.FrontchannelLogoutURI = r.Backchannel, r.Frontchannel
	c.PushedOnly, c.DPoPBound, c.JWTAccess, c.DefaultMaxAge = r.PushedOnly, r.DPoPBound, r.JWTAccess, r.DefaultMaxAge
	c.LogoURI, c.ClientURI, c.PolicyURI, c.TosURI = r.LogoURI, r.ClientURI, r.PolicyURI, r.TosURI
	c.InitiateLoginURI, c.Contacts, c.RegistrationHash = r.InitiateLoginURI, r.Contacts, r.RegistrationHash
	c.FAPI2 = r.FAPI2
	c.PKCE, c.ErrorIss, c.IDTokenClaims, c.PreferredUsername = r.PKCE, r.ErrorIss, r.IDTokenClaims, r.PreferredUsername
}

func newClientRow(c broker.Client) clientRow {
	return clientRow{
		ID: c.ID, Name: c.Name, SecretHashes: c.SecretHashes, AuthMethod: strings.Join(c.AuthMethods, " "),
		RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		GrantTypes: c.GrantTypes, Scopes: c.Scopes, Audience: c.Audience, Native: c.Native, FirstParty: c.FirstParty,
		IDTokenAlg: c.IDTokenAlg, Disabled: c.Disabled,
		Registered: registeredOf(c), CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
}

func toClient(r clientRow) broker.Client {
	c := broker.Client{
		ID: r.ID, Name: r.Name, SecretHashes: r.SecretHashes,
		AuthMethods:  append([]string(nil), strings.Fields(r.AuthMethod)...),
		RedirectURIs: r.RedirectURIs, PostLogoutRedirectURIs: r.PostLogoutRedirectURIs,
		GrantTypes: r.GrantTypes, Scopes: r.Scopes, Audience: r.Audience, Native: r.Native, FirstParty: r.FirstParty,
		IDTokenAlg: r.IDTokenAlg, Disabled: r.Disabled, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	r.Registered.into(&c)
	return c
}

// Client implements broker.Clients.
func (d *DB) Client(ctx context.Context, id string) (broker.Client, error) {
	var r clientRow
	err := d.take(ctx, &r, "id = ?", id)
	return toClient(r), err
}

// Clients implements broker.Clients, by name.
func (d *DB) Clients(ctx context.Context) ([]broker.Client, error) {
	var rows []clientRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB { return q.Order("name, id").Find(&rows) })
	return each(rows, toClient), err
}

// PutClient implements broker.Clients. Replacing keeps the stored CreatedAt.
func (d *DB) PutClient(ctx context.Context, c broker.Client) error {
	r := newClientRow(c)
	_, err := d.create(ctx, &r, clause.OnConflict{UpdateAll: true})
	return err
}

// DeleteClient implements broker.Clients.
func (d *DB) DeleteClient(ctx context.Context, id string) error {
	return d.joined(ctx, func(ctx context.Context) error {
		err := ifNone(broker.NotFound)(d.delete(ctx, &clientRow{}, "id = ?", id))
		if err == nil {
			_, err = d.delete(ctx, &consentRow{}, "client_id = ?", id)
		}
		if err == nil {
			_, err = d.delete(ctx, &grantRow{}, "client_id = ?", id)
		}
		return err
	})
}
