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
}

// mostCodes is how many codes one browser, and one network, may request in any hour. The mailboxes of others are not
// theirs to fill.
const mostCodes = 20

// Requester is the origin of a request for a code.
type Requester struct {
	Browser string // the keyed hash of its key
	Network string // see limit.Network
	// Known: the browser has signed in to the account of the address before. A company behind one network must be
	// able to confirm sign-ins, so such requests count for the browser and the address only.
	Known bool
}

// NewCodes returns the issuer and verifier of mailed codes.
func NewCodes(ephemeral broker.Ephemeral, keyring *seal.Keyring, now func() time.Time) *Codes {
	return &Codes{ephemeral: ephemeral, keyring: keyring, now: now, tries: newTries(ephemeral, keyring, now)}
}

// WrongCode is returned for a wrong code while tries are left; it wraps CodeWrong.
type WrongCode struct{ Left int }

func (w WrongCode) Error() string { return string(broker.CodeWrong) }

// Unwrap returns the Code.
func (w WrongCode) Unwrap() error { return broker.CodeWrong }

// Issue makes a code for a canonical address, with or without an account. It returns Retry with CodeTooSoon
// within 30 seconds of the last code to that mailbox, and with RateLimited after three in an hour, or after 20 of
// the requester. Call it outside a transaction, because it counts. The caller stores the MailedCode and mails the
// code.
func (c *Codes) Issue(ctx context.Context, by Requester, email string) (broker.MailedCode, broker.Secret, error) {
	if err := c.allow(ctx, by, email); err != nil {
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

// allow counts a code to the address by its requester, or returns when the next one is allowed. The requester is
// counted first, so that one beyond its limit cannot use up another person's codes.
func (c *Codes) allow(ctx context.Context, by Requester, email string) error {
	hour := limit.Sliding{Name: "codes-by", Width: time.Hour, Most: mostCodes, In: c.ephemeral, Now: c.now}
	var who []string
	//defence:E2 C7
	who = append(who, "browser "+by.Browser)
	//defence:E2 C7
	if !by.Known {
		who = append(who, "network "+by.Network)
	}
	for _, w := range who {
		if err := hour.Allow(ctx, c.keyring.Hash("codes-by", []byte(w))); err != nil {
			return err
		}
	}
	to := limit.Sliding{Name: "codes-sent", Width: time.Hour, Most: broker.MailedPerHour, Pause: broker.MailedPause,
		In: c.ephemeral, Now: c.now}
	return to.Allow(ctx, c.keyring.Hash("codes-sent", []byte(mailbox(email))))
}

// mailbox returns the same text for the addresses that reach one mailbox: without a tag after +, and for Gmail
// without dots. It is for limits only; such addresses still have accounts of their own (SECURITY.md C20).
func mailbox(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	//defence:E2
	if name, _, tagged := strings.Cut(local, "+"); tagged && name != "" {
		local = name
	}
	//defence:E2
	if domain == "gmail.com" || domain == "googlemail.com" {
		local, domain = strings.ReplaceAll(local, ".", ""), "gmail.com"
	}
	return local + "@" + domain
}
