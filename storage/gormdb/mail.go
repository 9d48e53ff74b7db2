package gormdb

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"gorm.io/gorm"

	"gatehouse/broker"
)

type mailRow struct {
	ID        string
	Recipient string
	Content   []byte
	Created   int64 `gorm:"column:created_at"`
	Expires   int64 `gorm:"column:expires_at"`
	Attempts  int
	Next      int64 `gorm:"column:next_at"`
	LastError string
}

const mailColumns = `id, recipient, content, created_at, expires_at, attempts, next_at, last_error`

// mailContent is sealed: codes and links are in the subject too.
type mailContent struct {
	Subject string `json:"s"`
	Text    string `json:"t"`
	HTML    string `json:"h"`
}

func (d *DB) toMail(r mailRow) (broker.Mail, error) {
	m := broker.Mail{
		ID: r.ID, To: r.Recipient, CreatedAt: moment(r.Created), ExpiresAt: moment(r.Expires), Attempts: r.Attempts,
		NextAt: moment(r.Next), LastError: r.LastError,
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
	//defence:G17
	content, err := d.seal(plain, contentColumn, m.ID)
	if err != nil {
		return err
	}
	_, err = d.exec(ctx, `INSERT INTO mails (`+mailColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		m.ID, m.To, content, micros(m.CreatedAt), micros(m.ExpiresAt), m.Attempts, micros(m.NextAt), clean(m.LastError))
	return err
}

// DueMail implements broker.Outbox, the oldest first. A mail that does not open,
// since its key was retired, waits and expires; it holds up no other.
func (d *DB) DueMail(ctx context.Context, now, until time.Time, n int) ([]broker.Mail, error) {
	var rows []mailRow
	err := d.write(ctx, func(q *gorm.DB) error {
		rows = nil
		return q.Raw(`UPDATE mails SET next_at = ? WHERE id IN (SELECT id FROM mails WHERE next_at <= ? AND expires_at > ?
			ORDER BY next_at LIMIT ?`+d.lock(` FOR UPDATE SKIP LOCKED`)+`) RETURNING `+mailColumns,
			micros(until), micros(now), micros(now), max(0, n)).Scan(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b mailRow) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
	})
	var due []broker.Mail
	for _, r := range rows {
		m, err := d.toMail(r)
		if err != nil {
			d.log.ErrorContext(ctx, "a mail does not open and is not sent", "mail", r.ID, "error", err)
			continue
		}
		due = append(due, m)
	}
	return due, nil
}

// MailSent implements broker.Outbox; it is idempotent.
func (d *DB) MailSent(ctx context.Context, id string) error {
	_, err := d.exec(ctx, `DELETE FROM mails WHERE id = ?`, id)
	return err
}

// MailFailed implements broker.Outbox. It counts the attempt.
func (d *DB) MailFailed(ctx context.Context, id, why string, next time.Time) error {
	_, err := d.exec(ctx, `UPDATE mails SET attempts = attempts + 1, last_error = ?, next_at = ? WHERE id = ?`, clean(why), micros(next), id)
	return err
}
