// Package mail renders the messages to people, stores them in the outbox, and sends them.
package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"gatehouse/broker"
	"gatehouse/broker/text"
)

// Site describes the deployment in a mail.
type Site struct {
	Name       string // the product's display name
	SupportURL string // empty: not mentioned
}

// Mailer renders messages into the outbox.
type Mailer struct {
	Outbox broker.Outbox
	Texts  *text.Catalog
	Site   Site
	Now    func() time.Time
}

// Message is one of the typed messages of this package.
type Message interface {
	// content returns the message's texts, receiver and lifetime.
	content() content
}

// content is a message before it is rendered.
type content struct {
	to, locale string
	key        string // prefix of the texts: mail.{key}.subject, .body …
	code       string // shown large, empty for none
	args       text.Args
	life       time.Duration
}

// Code sends a 6-digit code to the address that it verifies.
type Code struct {
	To     string
	Code   broker.Secret
	Locale string
}

// AlreadyRegistered tells an owner that someone tried to register with the address. It replaces the mail to a
// new person, so that the page looks the same in both cases; its code works on that page.
type AlreadyRegistered struct {
	To     string
	Code   broker.Secret
	Locale string
}

// Withheld is a code for an address that gets none. It is queued like one, so that both cost the same, expires
// immediately, and is never sent (SECURITY.md E1).
type Withheld struct{ Code Code }

// Linked tells the owner about a new sign-in method.
type Linked struct {
	To         string
	Connection string // its display name
	Email      string // as the upstream sent it, empty for none
	At         time.Time
	Locale     string
}

// Unlinked tells the owner that a sign-in method was removed.
type Unlinked struct {
	To         string
	Connection string
	At         time.Time
	Locale     string
}

// PasswordChanged tells the owner about a new password.
type PasswordChanged struct {
	To     string
	At     time.Time
	Locale string
}

// TokenReused tells the owner that an app was signed out, because one of its replaced refresh tokens was used
// again (RFC 9700 §4.14.2).
type TokenReused struct {
	To     string
	App    string // its display name
	At     time.Time
	Locale string
}

const notice = 3 * 24 * time.Hour

func (m Code) content() content {
	return content{to: m.To, locale: m.Locale, key: "code", code: m.Code.Reveal(), life: broker.MailedLife,
		args: text.Args{"code": m.Code.Reveal(), "minutes": int(broker.MailedLife / time.Minute)}}
}

func (m Withheld) content() content {
	c := m.Code.content()
	c.life = 0
	return c
}

func (m AlreadyRegistered) content() content {
	return content{to: m.To, locale: m.Locale, key: "registered", code: m.Code.Reveal(), life: broker.MailedLife,
		args: text.Args{"code": m.Code.Reveal(), "minutes": int(broker.MailedLife / time.Minute)}}
}

func (m Linked) content() content {
	l := content{to: m.To, locale: m.Locale, key: "linked", life: notice,
		args: text.Args{"connection": clean(m.Connection), "email": clean(m.Email), "at": when(m.At)}}
	if m.Email == "" {
		l.key = "linked_plain"
	}
	return l
}

func (m Unlinked) content() content {
	return content{to: m.To, locale: m.Locale, key: "unlinked", life: notice,
		args: text.Args{"connection": clean(m.Connection), "at": when(m.At)}}
}

func (m PasswordChanged) content() content {
	return content{to: m.To, locale: m.Locale, key: "password", life: notice, args: text.Args{"at": when(m.At)}}
}

func (m TokenReused) content() content {
	return content{to: m.To, locale: m.Locale, key: "token_reused", life: notice,
		args: text.Args{"app": clean(m.App), "at": when(m.At)}}
}

// Queue renders a message and adds it to the outbox, in the transaction of ctx. The receiver must be a canonical
// address.
func (p Mailer) Queue(ctx context.Context, m Message) error {
	l := m.content()
	if to, err := broker.CanonicalEmail(l.to); err != nil || to != l.to {
		return errors.New("mail: the receiver's address is not canonical")
	}
	out := p.render(l)
	out.ID, out.CreatedAt = broker.NewID(), p.Now()
	out.NextAt, out.ExpiresAt = out.CreatedAt, out.CreatedAt.Add(l.life)
	if err := p.Outbox.Queue(ctx, out); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}

func when(t time.Time) text.When { return text.When{At: t, Shape: text.Moment} }

// maxName bounds foreign text in a mail, in characters.
const maxName = 64

// clean makes a name or an address that a stranger may have chosen safe for a mail (SECURITY.md G9): one line,
// at most maxName characters, and nothing that mail programs turn into a link.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029' || r == '\u0085':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	var words []string
	for word := range strings.FieldsSeq(s) {
		if !linkLike(word) {
			words = append(words, word)
		}
	}
	out := []rune(strings.Join(words, " "))
	if len(out) > maxName {
		out = out[:maxName]
	}
	return strings.TrimSpace(string(out))
}

// linkLike finds what mail programs make clickable: a scheme, www., or a name with a dot and letters on both
// sides. E-mail addresses are allowed, because the mails mention them.
func linkLike(word string) bool {
	lower := strings.ToLower(word)
	if strings.Contains(lower, "://") || strings.Contains(lower, "www.") || strings.ContainsAny(lower, "/\\<>") ||
		strings.HasPrefix(lower, "mailto:") {
		return true
	}
	if _, err := broker.CanonicalEmail(word); err == nil {
		return false
	}
	for i, r := range lower {
		if (r == '.' || r == '。' || r == '．') && i > 0 {
			rest := []rune(lower[i+len(string(r)):])
			if len(rest) >= 2 && unicode.IsLetter(rest[0]) && unicode.IsLetter(rest[1]) {
				return true
			}
		}
	}
	return false
}
