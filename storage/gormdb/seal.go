package gormdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
	"gatehouse/broker/seal"
)

// Sealer is the deployment's keyring, see seal.Keyring.
type Sealer interface {
	// Seal encrypts with the primary key; Open needs the same associated data.
	Seal(plain []byte, aad ...string) ([]byte, error)
	Open(sealed []byte, aad ...string) ([]byte, error)
	// Primary names the key that seals.
	Primary() string
}

// The sealed columns. Their associated data is (table, column, row id), so that a
// value opens in its own row only (SECURITY.md G17).
const (
	canaryColumn     = "deployment.value"
	secretsColumn    = "connections.secrets"
	contentColumn    = "mails.content"
	privateKeyColumn = "signing_keys.private"
)

var errNoKeyring = errors.New("storage: there is no keyring, so nothing secret can be stored or read")

func split(column string) (table, name string) {
	table, name, _ = strings.Cut(column, ".")
	return table, name
}

func (d *DB) seal(plain []byte, column, id string) ([]byte, error) {
	if d.sealer == nil {
		return nil, errNoKeyring
	}
	table, name := split(column)
	return d.sealer.Seal(plain, table, name, id)
}

func (d *DB) open(sealed []byte, column, id string) ([]byte, error) {
	if d.sealer == nil {
		return nil, errNoKeyring
	}
	table, name := split(column)
	plain, err := d.sealer.Open(sealed, table, name, id)
	if err != nil {
		return nil, fmt.Errorf("storage: %s of %s: %w", column, id, err)
	}
	return plain, nil
}

const canary = "canary"

// deploymentRow is one row of the deployment's data about itself.
type deploymentRow struct {
	ID    string `gorm:"primaryKey"`
	Value []byte
}

// TableName implements gorm's Tabler.
func (deploymentRow) TableName() string { return "deployment" }

// CheckCanary checks that this process has the keyring that the data was sealed with:
// the first process stores a sealed word, every other one must open it.
func (d *DB) CheckCanary(ctx context.Context) error {
	var r deploymentRow
	err := d.run(ctx, d.writer, func(q *gorm.DB) error { return q.Take(&r, "id = ?", canary).Error })
	if errors.Is(err, broker.NotFound) {
		sealed, err := d.seal([]byte(canary), canaryColumn, canary)
		if err != nil {
			return err
		}
		r = deploymentRow{canary, sealed}
		if _, err := d.create(ctx, &r, clause.OnConflict{DoNothing: true}); err != nil {
			return err
		}
		return d.CheckCanary(ctx) // another replica may have stored one
	}
	if err != nil {
		return err
	}
	if word, err := d.open(r.Value, canaryColumn, canary); err != nil || string(word) != canary {
		return errors.Join(errors.New("storage: this database was sealed with another keyring; "+
			"give this process the keyring that the other replicas use, "+
			"or that belonged to this database when it was backed up"), err)
	}
	return nil
}

// sealedRow is one sealed value of any table.
type sealedRow struct {
	ID    string
	Value []byte
}

// resealBatch is how many rows are looked at in one query.
const resealBatch = 100

// eachSealed walks over the sealed values of a column, a batch at a time.
func (d *DB) eachSealed(ctx context.Context, column string, see func(r sealedRow) error) error {
	table, name := split(column)
	sealed := name + " IS NOT NULL"
	if column == canaryColumn { // the only sealed one there
		sealed = "id = 'canary'"
	}
	for after := ""; ; {
		var rows []sealedRow
		err := d.read(ctx, func(q *gorm.DB) *gorm.DB {
			return q.Table(table).Select("id, "+name+" AS value").Where("id > ?", after).Where(sealed).
				Order("id").Limit(resealBatch).Find(&rows)
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			after = r.ID
			if err := see(r); err != nil {
				return err
			}
		}
		if len(rows) < resealBatch {
			return nil
		}
	}
}

// Reseal seals, under the primary key, every value that another key has sealed, and
// returns how many. It may run while servers run: a value that changes at the same time
// is skipped, because its writer used the primary key.
func (d *DB) Reseal(ctx context.Context) (n int, err error) {
	if d.sealer == nil {
		return 0, errNoKeyring
	}
	for _, column := range []string{canaryColumn, secretsColumn, contentColumn, privateKeyColumn} {
		table, name := split(column)
		err := d.eachSealed(ctx, column, func(r sealedRow) error {
			if seal.KeyOfSealed(r.Value) == d.sealer.Primary() {
				return nil
			}
			plain, err := d.open(r.Value, column, r.ID)
			if err != nil {
				return err
			}
			fresh, err := d.seal(plain, column, r.ID)
			if err != nil {
				return err
			}
			rows, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
				return q.Table(table).Where("id = ?", r.ID).Where(name+" = ?", r.Value).Update(name, fresh)
			})
			n += int(rows)
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// SealedWith counts, by key id, what still needs a key of the keyring: sealed values,
// secrets of clients, and the hashes of live sessions. Any other key may be retired
// once the refresh tokens that it made have expired.
func (d *DB) SealedWith(ctx context.Context) (map[string]int, error) {
	count := map[string]int{}
	for _, column := range []string{canaryColumn, secretsColumn, contentColumn, privateKeyColumn} {
		err := d.eachSealed(ctx, column, func(r sealedRow) error {
			count[seal.KeyOfSealed(r.Value)]++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	clients, err := d.Clients(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range clients {
		for _, h := range c.SecretHashes {
			count[seal.KeyOfHash(h)]++
		}
	}
	var rows []struct {
		KeyID string
		N     int
	}
	prefix := `substr(hash, 1, instr(hash, '.') - 1)`
	if d.postgres {
		prefix = `split_part(hash, '.', 1)`
	}
	err = d.read(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Model(&sessionRow{}).Select(prefix + " AS key_id, count(*) AS n").
			Where("ended_at = 0").Group("key_id").Find(&rows)
	})
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		count[r.KeyID] += r.N
	}
	return count, nil
}
