package gormdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gatehouse/broker"
)

type connectionRow struct {
	ID       string
	Kind     string
	Name     string
	State    string
	Issuer   string
	ClientID string
	Secrets  []byte
	Settings pairs
	Domains  texts
	Hidden   bool
	Position int
	Created  int64 `gorm:"column:created_at"`
	Updated  int64 `gorm:"column:updated_at"`
}

const connectionColumns = `id, kind, name, state, issuer, client_id, secrets, settings, domains, hidden, position, created_at, updated_at`

// into are the places of connectionColumns.
func (r *connectionRow) into() []any {
	return []any{&r.ID, &r.Kind, &r.Name, &r.State, &r.Issuer, &r.ClientID, &r.Secrets, &r.Settings, &r.Domains, &r.Hidden, &r.Position,
		&r.Created, &r.Updated}
}

func (d *DB) toConnection(r connectionRow) (broker.Connection, error) {
	secrets, err := d.openSecrets(r)
	return broker.Connection{
		ID: r.ID, Kind: r.Kind, Name: r.Name, State: broker.ConnectionState(r.State), Issuer: r.Issuer, ClientID: r.ClientID,
		Secrets: secrets, Settings: r.Settings, Domains: r.Domains, Hidden: r.Hidden, Position: r.Position,
		CreatedAt: moment(r.Created), UpdatedAt: moment(r.Updated),
	}, err
}

func (d *DB) openSecrets(r connectionRow) ([]broker.Secret, error) {
	if len(r.Secrets) == 0 {
		return nil, nil
	}
	plain, err := d.open(r.Secrets, secretsColumn, r.ID)
	if err != nil {
		return nil, err
	}
	var list []string
	if err := json.Unmarshal(plain, &list); err != nil {
		return nil, fmt.Errorf("storage: the secrets of connection %s are no list", r.ID)
	}
	return each(list, func(s string) broker.Secret { return broker.Secret(s) }), nil
}

func (d *DB) sealSecrets(c broker.Connection) ([]byte, error) {
	if len(c.Secrets) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(each(c.Secrets, broker.Secret.Reveal))
	if err != nil {
		return nil, err
	}
	//defence:G17
	return d.seal(plain, secretsColumn, c.ID)
}

// Connection implements broker.Connections.
func (d *DB) Connection(ctx context.Context, id string) (broker.Connection, error) {
	var r connectionRow
	if err := d.one(ctx, r.into(), `SELECT `+connectionColumns+` FROM connections WHERE id = ?`, id); err != nil {
		return broker.Connection{}, err
	}
	return d.toConnection(r)
}

// Connections implements broker.Connections. One whose secrets do not open is
// listed as disabled, without them, and logged: it must not take the sign-in page
// and every other connection along. Connection answers an error for it.
func (d *DB) Connections(ctx context.Context) ([]broker.Connection, error) {
	var rows []connectionRow
	if err := d.all(ctx, &rows, `SELECT `+connectionColumns+` FROM connections ORDER BY position, name, id`); err != nil {
		return nil, err
	}
	var list []broker.Connection
	for _, r := range rows {
		c, err := d.toConnection(r)
		if err != nil {
			d.log.ErrorContext(ctx, "the secrets of a connection do not open", "connection", r.ID, "error", err)
			c.State = broker.Disabled
		}
		list = append(list, c)
	}
	return list, nil
}

// PutConnection implements broker.Connections. What is pinned stays so after the
// connection is disabled or made a draft again: otherwise a detour would change
// whom its identities mean. Replacing keeps the CreatedAt that stands.
func (d *DB) PutConnection(ctx context.Context, c broker.Connection) error {
	secrets, err := d.sealSecrets(c)
	if err != nil {
		return err
	}
	return d.joined(ctx, func(ctx context.Context) error {
		var old connectionRow
		var pinned bool
		err := d.one(ctx, append(old.into(), &pinned), `SELECT `+connectionColumns+`, pinned FROM connections WHERE id = ?`+d.lock(` FOR UPDATE`), c.ID)
		switch {
		case errors.Is(err, broker.NotFound):
			// A Conflict here is somebody else who creates it right now.
			return ifNone(broker.Conflict)(d.exec(ctx, `INSERT INTO connections (`+connectionColumns+`, pinned)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				c.ID, c.Kind, c.Name, string(c.State), c.Issuer, c.ClientID, secrets, pairs(c.Settings), texts(c.Domains), c.Hidden,
				c.Position, micros(c.CreatedAt), micros(c.UpdatedAt), c.State == broker.Live))
		case err != nil:
			return err
		case pinned && d.moves(old, c):
			return broker.Conflict
		}
		_, err = d.exec(ctx, `UPDATE connections SET kind = ?, name = ?, state = ?, issuer = ?, client_id = ?, secrets = ?, settings = ?,
			domains = ?, hidden = ?, position = ?, updated_at = ?, pinned = ? WHERE id = ?`,
			c.Kind, c.Name, string(c.State), c.Issuer, c.ClientID, secrets, pairs(c.Settings), texts(c.Domains), c.Hidden,
			c.Position, micros(c.UpdatedAt), pinned || c.State == broker.Live, c.ID)
		return err
	})
}

// moves reports whether c would point a pinned connection elsewhere.
func (d *DB) moves(old connectionRow, c broker.Connection) bool {
	if old.Kind != c.Kind || old.Issuer != c.Issuer || old.ClientID != c.ClientID {
		return true
	}
	var keys []string
	if d.pinned != nil {
		keys = d.pinned(c.Kind)
	} else {
		for k := range old.Settings {
			keys = append(keys, k)
		}
		for k := range c.Settings {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		if old.Settings[k] != c.Settings[k] {
			return true
		}
	}
	return false
}

// DeleteConnection implements broker.Connections. The foreign key holds off an
// identity that is being linked.
func (d *DB) DeleteConnection(ctx context.Context, id string) error {
	rows, err := d.exec(ctx, `DELETE FROM connections WHERE id = ? AND NOT EXISTS (SELECT 1 FROM identities WHERE connection = ?)`, id, id)
	if err != nil || rows > 0 {
		return err
	}
	var found string
	if err := d.onWriter(ctx, []any{&found}, `SELECT id FROM connections WHERE id = ?`, id); err != nil {
		return err
	}
	return broker.Conflict
}
