package gormdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// connectionRow is one row of connections.
type connectionRow struct {
	ID        string `gorm:"primaryKey;<-:create"`
	Kind      string
	Name      string
	State     broker.ConnectionState
	Pinned    bool // it was live once
	Issuer    string
	ClientID  string
	Secrets   []byte            // sealed list
	Settings  map[string]string `gorm:"serializer:text"`
	Domains   []string          `gorm:"serializer:text"`
	Hidden    bool
	Position  int
	CreatedAt time.Time `gorm:"<-:create;serializer:micros;autoCreateTime:false"`
	UpdatedAt time.Time `gorm:"serializer:micros;autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (connectionRow) TableName() string { return "connections" }

func (d *DB) newConnectionRow(c broker.Connection) (connectionRow, error) {
	secrets, err := d.sealSecrets(c)
	return connectionRow{
		ID: c.ID, Kind: c.Kind, Name: c.Name, State: c.State, Pinned: c.State == broker.Live,
		Issuer: c.Issuer, ClientID: c.ClientID, Secrets: secrets, Settings: c.Settings, Domains: c.Domains,
		Hidden: c.Hidden, Position: c.Position,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}, err
}

func (d *DB) toConnection(r connectionRow) (broker.Connection, error) {
	secrets, err := d.openSecrets(r)
	return broker.Connection{
		ID: r.ID, Kind: r.Kind, Name: r.Name, State: r.State, Issuer: r.Issuer, ClientID: r.ClientID,
		Secrets: secrets, Settings: r.Settings, Domains: r.Domains, Hidden: r.Hidden, Position: r.Position,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
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
		return nil, fmt.Errorf("storage: the secrets of connection %s are not a list", r.ID)
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
	//defence:G17 = plain, nil
	return d.seal(plain, secretsColumn, c.ID)
}

// Connection implements broker.Connections.
func (d *DB) Connection(ctx context.Context, id string) (broker.Connection, error) {
	var r connectionRow
	if err := d.take(ctx, &r, "id = ?", id); err != nil {
		return broker.Connection{}, err
	}
	return d.toConnection(r)
}

// Connections implements broker.Connections. One whose secrets do not open is listed as
// disabled, without them, and logged, so that the sign-in page and every other
// connection keep working. Connection returns an error for it.
func (d *DB) Connections(ctx context.Context) ([]broker.Connection, error) {
	var rows []connectionRow
	if err := d.read(ctx, func(q *gorm.DB) *gorm.DB { return q.Order("position, name, id").Find(&rows) }); err != nil {
		return nil, err
	}
	var list []broker.Connection
	for _, r := range rows {
		c, err := d.toConnection(r)
		if err != nil {
			d.log.ErrorContext(ctx, "the secrets of a connection cannot be decrypted", "connection", r.ID, "error", err)
			c.State = broker.Disabled
		}
		list = append(list, c)
	}
	return list, nil
}

// PutConnection implements broker.Connections. A pinned connection stays pinned after it
// is disabled or made a draft again: otherwise a detour would change what its identities
// mean. Replacing keeps the stored CreatedAt.
func (d *DB) PutConnection(ctx context.Context, c broker.Connection) error {
	r, err := d.newConnectionRow(c)
	if err != nil {
		return err
	}
	return d.joined(ctx, func(ctx context.Context) error {
		var old connectionRow
		err := d.read(ctx, func(q *gorm.DB) *gorm.DB { return d.forUpdate(q).Take(&old, "id = ?", c.ID) })
		switch {
		case errors.Is(err, broker.NotFound):
			// A Conflict here is a concurrent creation.
			return ifNone(broker.Conflict)(d.create(ctx, &r, clause.OnConflict{DoNothing: true}))
		case err != nil:
			return err
		case old.Pinned && d.moves(old, c):
			return broker.Conflict
		}
		r.Pinned = r.Pinned || old.Pinned
		_, err = d.write(ctx, func(q *gorm.DB) *gorm.DB { return q.Model(&r).Select("*").Updates(r) })
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

// DeleteConnection implements broker.Connections. The foreign key prevents it while an
// identity is being linked.
func (d *DB) DeleteConnection(ctx context.Context, id string) error {
	rows, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
		used := d.writer.Model(&identityRow{}).Select("1").Where("connection = ?", id)
		return q.Where("id = ? AND NOT EXISTS (?)", id, used).Delete(&connectionRow{})
	})
	if err != nil || rows > 0 {
		return err
	}
	return d.exists(ctx, &connectionRow{}, "id = ?", id)
}
