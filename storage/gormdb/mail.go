package gormdb

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"gatehouse/broker"
)

// mailRow is one row of mails.
type mailRow struct {
	ID        string `gorm:"primaryKey"`
	Recipient string
	Content   []byte    // sealed mailContent
	CreatedAt time.Time `gorm:"serializer:micros"`
	ExpiresAt time.Time `gorm:"serializer:micros"`
	Attempts  int
	NextAt    time.Time `gorm:"serializer:micros"`
	LastError string
}

// TableName implements gorm's Tabler.
func (mailRow) TableName() string { return "mails" }

// mailContent is sealed: codes and links are in the subject too.
type mailContent struct {
	Subject string `json:"s"`
	Text    string `json:"t"`
	HTML    string `json:"h"`
}

func (d *DB) toMail(r mailRow) (broker.Mail, error) {
	m := broker.Mail{
		ID: r.ID, To: r.Recipient, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		Attempts: r.Attempts, NextAt: r.NextAt, LastError: r.LastError,
	}
	plain, err := d.open(r.Content, contentColumn, r.ID)
	if err != nil {
		return m, err
	}
	var c mailContent
	err = json.Unmarshal(plain, &c)
	m.Subject, m.Text, m.HTML = c.Subject, c.Text, c.HTML
	return m, err
}

// Queue implements broker.Outbox. A mail without an id gets one.
func (d *DB) Queue(ctx context.Context, m broker.Mail) error {
	if m.ID == "" {
		m.ID = broker.NewID()
	}
	plain, err := json.Marshal(mailContent{m.Subject, m.Text, m.HTML})
	if err != nil {
		return err
	}
	//defence:G17 = plain, nil
	content, err := d.seal(plain, contentColumn, m.ID)
	if err != nil {
		return err
	}
	r := mailRow{ID: m.ID, Recipient: m.To, Content: content, CreatedAt: m.CreatedAt, ExpiresAt: m.ExpiresAt,
		Attempts: m.Attempts, NextAt: m.NextAt, LastError: clean(m.LastError)}
	_, err = d.create(ctx, &r)
	return err
}

// DueMail implements broker.Outbox, the oldest first. A mail that does not open,
// because its key was retired, waits until it expires; the others are returned.
func (d *DB) DueMail(ctx context.Context, now, until time.Time, n int) ([]broker.Mail, error) {
	var rows []mailRow
	_, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
		rows = nil
		due := d.skipLocked(d.writer.Model(&mailRow{})).Select("id").
			Where("next_at <= ? AND expires_at > ?", micros(now), micros(now)).Order("next_at").Limit(max(0, n))
		return q.Model(&rows).Clauses(clause.Returning{}).Where("id IN (?)", due).UpdateColumn("next_at", micros(until))
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b mailRow) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	var due []broker.Mail
	for _, r := range rows {
		m, err := d.toMail(r)
		if err != nil {
			d.log.ErrorContext(ctx, "a mail cannot be decrypted and is not sent", "mail", r.ID, "error", err)
			continue
		}
		due = append(due, m)
	}
	return due, nil
}

// MailSent implements broker.Outbox; it is idempotent.
func (d *DB) MailSent(ctx context.Context, id string) error {
	_, err := d.delete(ctx, &mailRow{}, "id = ?", id)
	return err
}

// MailFailed implements broker.Outbox. It counts the attempt.
func (d *DB) MailFailed(ctx context.Context, id, why string, next time.Time) error {
	_, err := d.write(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Model(&mailRow{}).Where("id = ?", id).Updates(failed(why, next))
	})
	return err
}

// failed returns the columns that a failed attempt changes, in mails and in logouts.
func failed(why string, next time.Time) map[string]any {
	return map[string]any{"attempts": gorm.Expr("attempts + 1"), "last_error": clean(why), "next_at": micros(next)}
}
