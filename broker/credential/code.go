package credential

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
	"gatehouse/broker/seal"
)

// Codes issues and checks the 6-digit codes sent by mail. Only the keyed hash of a code is stored.
type Codes struct {
	ephemeral broker.Ephemeral
	keyring   *seal.Keyring
	now       func() time.Time
	tries     tries
	sent      broker.EphemeralStore[sent]
}

// sent records when codes were sent to an address in the last hour.
type sent struct {
	At []time.Time `json:"a"`
}

// NewCodes returns the issuer and verifier of mailed codes.
func NewCodes(ephemeral broker.Ephemeral, keyring *seal.Keyring, now func() time.Time) *Codes {
	return &Codes{ephemeral: ephemeral, keyring: keyring, now: now, tries: newTries(ephemeral, keyring, now),
		sent: broker.EphemeralStore[sent]{Name: "codes-sent", Life: time.Hour, In: ephemeral, Now: now}}
}

// WrongCode is returned for a wrong code while tries are left; it wraps CodeWrong.
type WrongCode struct{ Left int }

func (w WrongCode) Error() string { return string(broker.CodeWrong) }

// Unwrap returns the Code.
func (w WrongCode) Unwrap() error { return broker.CodeWrong }

// Issue makes a code for a canonical address, with or without an account. It returns Retry with CodeTooSoon
// within 30 seconds of the last code to that address, and with RateLimited after three in an hour. Call it
// outside a transaction, because it counts. The caller stores the MailedCode and mails the code.
func (c *Codes) Issue(ctx context.Context, email string) (broker.MailedCode, broker.Secret, error) {
	if err := c.allow(ctx, email); err != nil {
		return broker.MailedCode{}, "", err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return broker.MailedCode{}, "", fmt.Errorf("cannot make a code: %w", err)
	}
	code := fmt.Sprintf("%0*d", broker.CodeDigits, n)
	now := c.now()
	m := broker.MailedCode{ID: broker.NewID(), Email: email, SentAt: now, ExpiresAt: now.Add(broker.MailedLife)}
	m.Hash = c.keyring.Hash("mailed-code", bound(m, code))
	return m, broker.Secret(code), nil
}

// bound includes the id and the address, so that a code works for its own request only.
func bound(m broker.MailedCode, code string) []byte {
	return []byte(m.ID + " " + m.Email + " " + code)
}

// Check compares the typed text with a mailed code, nil for none; the target is the code's address. It counts
// the try for the code and the target, and commits it, before it compares, so that parallel guesses cannot share
// a try. It returns WrongCode with the remaining tries; CodeExpired, also after five tries; or Retry with
// RateLimited. Call it outside a transaction.
func (c *Codes) Check(ctx context.Context, at Target, m *broker.MailedCode, typed string) error {
	if m == nil || !c.now().Before(m.ExpiresAt) {
		return broker.CodeExpired
	}
	typed = digits(typed)
	if typed == "" {
		return broker.CodeWrong // it cannot be the code, so it costs no try
	}
	slot, err := c.tries.consume(ctx,
		//defence:E2 E3
		at, MostTries)
	if err != nil {
		return err
	}
	n, err := c.ephemeral.Count(ctx, "code-tries", m.ID, m.ExpiresAt.Add(time.Minute))
	if err != nil {
		return fmt.Errorf("cannot count a try: %w", err)
	}
	switch {
	//defence:E3
	case n > broker.MailedTries:
		return errors.Join(broker.CodeExpired, c.tries.release(ctx, slot)) // nothing was compared
	//defence:E3 = true
	//defence:E3 ./cmd/gatehouse:TestModel = true
	case c.keyring.Same(m.Hash, "mailed-code", bound(*m, typed)):
		return c.tries.release(ctx, slot)
	case n == broker.MailedTries:
		return broker.CodeExpired
	}
	return WrongCode{Left: broker.MailedTries - int(n)}
}

// digits reads "123 456" and "123-456" as 123456; it returns "" for anything but six digits.
func digits(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	var b strings.Builder
	for _, r := range typed {
		switch {
		case '0' <= r && r <= '9':
			b.WriteRune(r)
		case strings.ContainsRune(" -.\u00a0\u2009\u202f\u2011\u2013\t", r):
		default:
			return ""
		}
	}
	if b.Len() != broker.CodeDigits {
		return ""
	}
	return b.String()
}

// allow counts a code to the address, or returns when the next one is allowed. The record covers the last hour
// exactly; the two counters also bound parallel requests.
func (c *Codes) allow(ctx context.Context, email string) error {
	key, now := c.keyring.Hash("codes-sent", []byte(email)), c.now()
	record, err := c.sent.Get(ctx, key)
	if err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	if err := record.allow(now); err != nil {
		return err
	}
	pause := limit.Window{Name: "codes-sent-pause", Width: broker.MailedPause, Most: 1, Code: broker.CodeTooSoon,
		In: c.ephemeral, Now: c.now}
	if err := pause.Allow(ctx, key); err != nil {
		return err
	}
	hour := limit.Window{Name: "codes-sent-hour", Width: time.Hour, Most: broker.MailedPerHour,
		In: c.ephemeral, Now: c.now}
	if err := hour.Allow(ctx, key); err != nil {
		return err
	}
	if _, err := c.sent.Take(ctx, key); err != nil && !errors.Is(err, broker.NotFound) {
		return err
	}
	err = c.sent.Put(ctx, key, sent{append(record.At, now)})
	if errors.Is(err, broker.Conflict) {
		return nil // another code was sent at the same time, and its record counts for both
	}
	return err
}

// allow drops entries older than an hour and checks the rest against the limits.
func (s *sent) allow(now time.Time) error {
	for len(s.At) > 0 && now.Sub(s.At[0]) >= time.Hour {
		s.At = s.At[1:]
	}
	if n := len(s.At); n > 0 && now.Sub(s.At[n-1]) < broker.MailedPause {
		return broker.Retry{Code: broker.CodeTooSoon, After: limit.Seconds(s.At[n-1].Add(broker.MailedPause).Sub(now))}
	}
	if len(s.At) >= broker.MailedPerHour {
		return broker.Retry{Code: broker.RateLimited, After: limit.Seconds(s.At[0].Add(time.Hour).Sub(now))}
	}
	return nil
}
