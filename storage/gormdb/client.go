package gormdb

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"strings"

	"gatehouse/broker"
)

type clientRow struct {
	ID             string
	Name           string
	SecretHashes   texts
	AuthMethod     string
	RedirectURIs   texts `gorm:"column:redirect_uris"`
	PostLogoutURIs texts `gorm:"column:post_logout_redirect_uris"`
	GrantTypes     texts
	Scopes         texts
	Audience       texts
	Native         bool
	FirstParty     bool
	SkipPKCE       bool   `gorm:"column:skip_pkce"`
	IDTokenAlg     string `gorm:"column:id_token_alg"`
	Disabled       bool
	Registered     registered
	Created        int64 `gorm:"column:created_at"`
	Updated        int64 `gorm:"column:updated_at"`
}

// registered is what a client registered beside the columns, as JSON under the names of
// RFC 7591 and its kin: nothing of it is searched for.
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
}

func registeredOf(c broker.Client) registered {
	return registered{json.RawMessage(c.Keys), c.KeysURI, c.AuthAlg, c.BackchannelLogoutURI, c.FrontchannelLogoutURI, c.PushedOnly, c.DPoPBound,
		c.JWTAccess, c.DefaultMaxAge, c.LogoURI, c.ClientURI, c.PolicyURI, c.TosURI, c.InitiateLoginURI, c.Contacts, c.RegistrationHash}
}

func (r registered) into(c *broker.Client) {
	c.Keys, c.KeysURI, c.AuthAlg, c.BackchannelLogoutURI, c.FrontchannelLogoutURI = string(r.Keys), r.KeysURI, r.AuthAlg, r.Backchannel, r.Frontchannel
	c.PushedOnly, c.DPoPBound, c.JWTAccess, c.DefaultMaxAge = r.PushedOnly, r.DPoPBound, r.JWTAccess, r.DefaultMaxAge
	c.LogoURI, c.ClientURI, c.PolicyURI, c.TosURI, c.InitiateLoginURI = r.LogoURI, r.ClientURI, r.PolicyURI, r.TosURI, r.InitiateLoginURI
	c.Contacts, c.RegistrationHash = r.Contacts, r.RegistrationHash
}

// Value writes it.
func (r registered) Value() (driver.Value, error) {
	b, err := json.Marshal(r)
	return string(b), err
}

// Scan reads it.
func (r *registered) Scan(v any) error { return fromJSON(v, "{}", r) }

const clientColumns = `id, name, secret_hashes, auth_method, redirect_uris, post_logout_redirect_uris, grant_types, scopes, audience,
	native, first_party, skip_pkce, id_token_alg, disabled, registered, created_at, updated_at`

// into are the places of clientColumns.
func (r *clientRow) into() []any {
	return []any{&r.ID, &r.Name, &r.SecretHashes, &r.AuthMethod, &r.RedirectURIs, &r.PostLogoutURIs, &r.GrantTypes, &r.Scopes, &r.Audience,
		&r.Native, &r.FirstParty, &r.SkipPKCE, &r.IDTokenAlg, &r.Disabled, &r.Registered, &r.Created, &r.Updated}
}

func toClient(r clientRow) broker.Client {
	c := broker.Client{
		ID: r.ID, Name: r.Name, SecretHashes: r.SecretHashes, AuthMethods: append([]string(nil), strings.Fields(r.AuthMethod)...), RedirectURIs: r.RedirectURIs,
		PostLogoutRedirectURIs: r.PostLogoutURIs, GrantTypes: r.GrantTypes, Scopes: r.Scopes, Audience: r.Audience,
		Native: r.Native, FirstParty: r.FirstParty, SkipPKCE: r.SkipPKCE, IDTokenAlg: r.IDTokenAlg, Disabled: r.Disabled,
		CreatedAt: moment(r.Created), UpdatedAt: moment(r.Updated),
	}
	r.Registered.into(&c)
	return c
}

// Client implements broker.Clients.
func (d *DB) Client(ctx context.Context, id string) (broker.Client, error) {
	var r clientRow
	err := d.one(ctx, r.into(), `SELECT `+clientColumns+` FROM clients WHERE id = ?`, id)
	return toClient(r), err
}

// Clients implements broker.Clients, by name.
func (d *DB) Clients(ctx context.Context) ([]broker.Client, error) {
	var rows []clientRow
	err := d.all(ctx, &rows, `SELECT `+clientColumns+` FROM clients ORDER BY name, id`)
	return each(rows, toClient), err
}

// PutClient implements broker.Clients. Replacing keeps the CreatedAt that stands.
func (d *DB) PutClient(ctx context.Context, c broker.Client) error {
	_, err := d.exec(ctx, `INSERT INTO clients (`+clientColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret_hashes = excluded.secret_hashes, auth_method = excluded.auth_method,
		redirect_uris = excluded.redirect_uris, post_logout_redirect_uris = excluded.post_logout_redirect_uris,
		grant_types = excluded.grant_types, scopes = excluded.scopes, audience = excluded.audience, native = excluded.native,
		first_party = excluded.first_party, skip_pkce = excluded.skip_pkce, id_token_alg = excluded.id_token_alg,
		disabled = excluded.disabled, registered = excluded.registered, updated_at = excluded.updated_at`,
		c.ID, c.Name, texts(c.SecretHashes), strings.Join(c.AuthMethods, " "), texts(c.RedirectURIs), texts(c.PostLogoutRedirectURIs), texts(c.GrantTypes),
		texts(c.Scopes), texts(c.Audience), c.Native, c.FirstParty, c.SkipPKCE, c.IDTokenAlg, c.Disabled, registeredOf(c),
		micros(c.CreatedAt), micros(c.UpdatedAt))
	return err
}

// DeleteClient implements broker.Clients.
func (d *DB) DeleteClient(ctx context.Context, id string) error {
	return d.joined(ctx, func(ctx context.Context) error {
		if err := ifNone(broker.NotFound)(d.exec(ctx, `DELETE FROM clients WHERE id = ?`, id)); err != nil {
			return err
		}
		if _, err := d.exec(ctx, `DELETE FROM consents WHERE client_id = ?`, id); err != nil {
			return err
		}
		_, err := d.exec(ctx, `DELETE FROM families WHERE client_id = ?`, id)
		return err
	})
}
