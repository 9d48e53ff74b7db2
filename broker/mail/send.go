package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/broker"
)

// Transport delivers one mail. It may be called again for the same mail; the Message-ID is derived from the
// mail's id, so that receivers can detect that.
type Transport interface {
	Send(ctx context.Context, m broker.Mail) error
}

// ErrRefused marks a permanent error: the mail is not tried again.
var ErrRefused = errors.New("permanently refused")

// Sender sends the mails of the outbox. Several may run: a lease prevents two from sending the same mail, unless
// one crashes between sending and recording it.
type Sender struct {
	Outbox    broker.Outbox
	Transport Transport
	Now       func() time.Time
	Log       *slog.Logger
}

const (
	lease    = 2 * time.Minute
	patience = 30 * time.Second // for one mail
	pause    = time.Second      // between two reads of an empty outbox
	batch    = 3                // small, so that a batch of slow mails ends within its lease
)

// Run sends mails until ctx ends, and then returns nil. Failures are logged and retried.
func (s *Sender) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		n, err := s.Once(ctx)
		wait := pause
		switch {
		case err != nil && ctx.Err() == nil:
			s.Log.ErrorContext(ctx, "cannot read the mail outbox", "err", err)
			wait = 10 * pause
		case n == batch:
			wait = 0
		}
		timer.Reset(wait)
	}
}

// Once sends a batch of due mails and returns how many it tried.
func (s *Sender) Once(ctx context.Context) (int, error) {
	now := s.Now()
	due, err := s.Outbox.DueMail(ctx, now, now.Add(lease), batch)
	if err != nil {
		return 0, fmt.Errorf("mail: %w", err)
	}
	for _, m := range due {
		if err := s.send(ctx, m); err != nil {
			return len(due), err
		}
	}
	return len(due), nil
}

func (s *Sender) send(ctx context.Context, m broker.Mail) error {
	one, cancel := context.WithTimeout(ctx, patience)
	err := s.Transport.Send(one, m)
	cancel()
	// Record a sent mail even if the process is shutting down.
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err == nil {
		if err := s.Outbox.MailSent(save, m.ID); err != nil {
			return fmt.Errorf("mail %s was sent but cannot be removed from the outbox: %w", m.ID, err)
		}
		return nil
	}
	next := s.Now().Add(backoff(m.Attempts))
	if errors.Is(err, ErrRefused) {
		next = m.ExpiresAt
	}
	// Receiver and subject are not logged: an address is personal data, and a subject may contain a code.
	s.Log.WarnContext(ctx, "cannot send a mail", "mail", m.ID, "attempt", m.Attempts+1, "next", next, "err", err)
	if err := s.Outbox.MailFailed(save, m.ID, err.Error(), next); err != nil {
		return fmt.Errorf("mail %s: %w", m.ID, err)
	}
	return nil
}

// backoff returns the delay after the given number of attempts: 5 s, 10 s … at most an hour.
func backoff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts, 10), time.Hour)
}
