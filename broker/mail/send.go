package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/broker"
)

// Transport hands one mail over. It may be asked again for the same mail, so the
// Message-ID is made of the mail's id and a receiver can tell.
type Transport interface {
	Send(ctx context.Context, m broker.Mail) error
}

// ErrRefused marks an answer that will not change: the mail is not tried again.
var ErrRefused = errors.New("refused for good")

// Sender takes mails out of the outbox. Any number of them may run: a lease keeps
// two from sending the same mail, unless one dies between sending and saying so.
type Sender struct {
	Outbox    broker.Outbox
	Transport Transport
	Now       func() time.Time
	Log       *slog.Logger
}

const (
	lease    = 2 * time.Minute
	patience = 30 * time.Second // for one mail
	pause    = time.Second      // between two looks into an empty outbox
	batch    = 3                // so that a batch of slow ones ends within its lease
)

// Run sends until ctx ends, and then answers nil. What fails is logged and tried
// again.
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
			s.Log.ErrorContext(ctx, "the mail outbox cannot be read", "err", err)
			wait = 10 * pause
		case n == batch:
			wait = 0
		}
		timer.Reset(wait)
	}
}

// Once sends what is due, at most a few, and returns how many it tried.
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
	// A mail that went out is recorded even when we are told to stop meanwhile.
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err == nil {
		if err := s.Outbox.MailSent(save, m.ID); err != nil {
			return fmt.Errorf("mail %s was sent, and cannot be taken out of the outbox: %w", m.ID, err)
		}
		return nil
	}
	next := s.Now().Add(backoff(m.Attempts))
	if errors.Is(err, ErrRefused) {
		next = m.ExpiresAt
	}
	// The receiver and the subject stay out of the log: an address is personal, and a subject may hold a code.
	s.Log.WarnContext(ctx, "a mail was not sent", "mail", m.ID, "attempt", m.Attempts+1, "next", next, "err", err)
	if err := s.Outbox.MailFailed(save, m.ID, err.Error(), next); err != nil {
		return fmt.Errorf("mail %s: %w", m.ID, err)
	}
	return nil
}

// backoff is how long to wait after so many attempts before this one: 5 s, 10 s …
// at most an hour.
func backoff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts, 10), time.Hour)
}
