package gormdb

import (
	"context"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

const issuerRow = "issuer"

// Issuer returns the issuer of the last server on this database, or "" if there was none.
func (d *DB) Issuer(ctx context.Context) (string, error) {
	var r deploymentRow
	err := d.read(ctx, func(q *gorm.DB) *gorm.DB { return q.Take(&r, "id = ?", issuerRow) })
	if errors.Is(err, broker.NotFound) {
		return "", nil
	}
	return string(r.Value), err
}

// SetIssuer records the issuer of this server.
func (d *DB) SetIssuer(ctx context.Context, issuer string) error {
	return d.run(ctx, d.writer, func(q *gorm.DB) error {
		return q.Clauses(clause.OnConflict{UpdateAll: true}).Create(&deploymentRow{issuerRow, []byte(issuer)}).Error
	})
}
