package mail

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/text"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// box is an outbox in memory with the rules of the port.
type box struct {
	mails  []broker.Mail
	sent   []string
	failed []string
	broken error
}

func (b *box) Queue(_ context.Context, m broker.Mail) error {
	b.mails = append(b.mails, m)
	return b.broken
}

func (b *box) DueMail(_ context.Context, now, until time.Time, n int) (due []broker.Mail, _ error) {
	for i := range b.mails {
		m := &b.mails[i]
		if len(due) < n && !m.NextAt.After(now) && now.Before(m.ExpiresAt) {
			due = append(due, *m)
			m.NextAt = until
		}
	}
	return due, b.broken
}

func (b *box) MailSent(_ context.Context, id string) error {
	b.sent = append(b.sent, id)
	b.mails = slices.DeleteFunc(b.mails, func(m broker.Mail) bool { return m.ID == id })
	return nil
}

func (b *box) MailFailed(_ context.Context, id, why string, next time.Time) error {
	b.failed = append(b.failed, why)
	for i := range b.mails {
		if b.mails[i].ID == id {
			b.mails[i].Attempts++
			b.mails[i].NextAt = next
		}
	}
	return nil
}

func post(t *testing.T) (Mailer, *box) {
	t.Helper()
	texts, err := text.Load()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{}
	return Mailer{Outbox: b, Texts: texts.WithPseudo(),
		Site: Site{Name: "Northgate", SupportURL: "https://help.example.com/"}, Now: func() time.Time { return noon }}, b
}

// every returns all kinds of messages, as hostile as their fields allow.
func every(to, locale, hostile string) []Message {
	return []Message{
		Code{To: to, Code: "482913", Locale: locale},
		AlreadyRegistered{To: to, Code: "482913", Locale: locale},
		Linked{To: to, Connection: hostile, Email: hostile, At: noon, Locale: locale},
		Linked{To: to, Connection: hostile, At: noon, Locale: locale},
		Unlinked{To: to, Connection: hostile, At: noon, Locale: locale},
		PasswordChanged{To: to, At: noon, Locale: locale},
		TokenReused{To: to, App: hostile, At: noon, Locale: locale},
	}
}

func TestEveryMessageIsWrittenInEveryLanguage(t *testing.T) {
	p, b := post(t)
	for _, lang := range p.Texts.Languages() {
		for _, m := range every("ana@example.com", lang, "Google") {
			b.mails = nil
			if err := p.Queue(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := b.mails[0]
			if got.ID == "" || got.To != "ana@example.com" || got.Subject == "" || !got.CreatedAt.Equal(noon) ||
				!got.NextAt.Equal(noon) || !got.ExpiresAt.After(noon) {
				t.Errorf("%T in %s: %+v", m, lang, got)
			}
			for _, body := range []string{got.Text, got.HTML} {
				if strings.ContainsAny(body, "{}") || !strings.Contains(body, "Northgate") ||
					!strings.Contains(body, "https://help.example.com/") {
					t.Errorf("%T in %s: %s", m, lang, body)
				}
			}
			if !strings.Contains(got.HTML, `lang="`+lang+`"`) ||
				regexp.MustCompile(`(?i)<img|<a |src=|url\(|<link|<script`).MatchString(got.HTML) {
				t.Errorf("%T in %s has the wrong language or something remote: %s", m, lang, got.HTML)
			}
		}
	}
}

func TestACodeStandsInTheSubjectAndIsNotSentTooLate(t *testing.T) {
	p, b := post(t)
	if err := p.Queue(t.Context(), Code{To: "ana@example.com", Code: "482913", Locale: "en"}); err != nil {
		t.Fatal(err)
	}
	m := b.mails[0]
	if m.Subject != "482913 is your Northgate code" || !strings.Contains(m.Text, "\n482913\n") ||
		!m.ExpiresAt.Equal(noon.Add(broker.MailedLife)) {
		t.Errorf("%+v", m)
	}
}

func TestOnlyACanonicalAddressGetsMail(t *testing.T) {
	p, b := post(t)
	for _, to := range []string{"", "ana", "Ana@example.com", "ana@example.com\r\nBcc: eve@example.com",
		"ana@example.com, eve@example.com", "<ana@example.com>"} {
		if err := p.Queue(t.Context(), PasswordChanged{To: to, At: noon}); err == nil || len(b.mails) != 0 {
			t.Errorf("%q: %v", to, err)
		}
	}
	b.broken = errors.New("full")
	if err := p.Queue(t.Context(), PasswordChanged{To: "ana@example.com", At: noon}); !errors.Is(err, b.broken) {
		t.Errorf("the outbox fails: %v", err)
	}
}

func TestG9_MailsContainNoTextOfStrangers(t *testing.T) {
	for _, hostile := range []string{
		"Google\r\nBcc: eve@example.com", "Pay at https://evil.example/pay now", "Pay at evil.example", "www.evil",
		"evil。example", "HTTP://EVIL.EXAMPLE",
		"<b>Google</b><img src=x onerror=alert(1)>", "Google\u2028Your account is closed", "\u202eelgooG", "a\x00b\x1b[31m",
		strings.Repeat("x", 500), "[click](https://evil.example)",
		"mailto:eve@example.com", "//evil.example/x", "Google \u200b evil.example",
	} {
		p, b := post(t)
		for _, m := range every("ana@example.com", "en", hostile) {
			b.mails = nil
			if err := p.Queue(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := b.mails[0]
			if strings.ContainsAny(got.Subject, "\r\n") || strings.Contains(got.Subject, "evil") ||
				strings.Contains(got.Subject, "Google") {
				t.Errorf("%T, %q: the subject %q", m, hostile, got.Subject)
			}
			for _, body := range []string{got.Text, got.HTML} {
				for _, bad := range []string{"evil", "EVIL", "<img", "\nBcc", "\u202e", "\u2028", "\x00", "\x1b",
					strings.Repeat("x", maxName+1)} {
					if strings.Contains(strings.ReplaceAll(body, "eve@", ""), bad) {
						t.Errorf("%T, %q: the body has %q", m, hostile, bad)
					}
				}
			}
		}
	}
	for in, want := range map[string]string{"Contoso  Werke GmbH": "Contoso Werke GmbH", "St. Gallen": "St. Gallen",
		"Google Workspace 2.0": "Google Workspace 2.0", "ana@example.com": "ana@example.com", "Åse & Söhne": "Åse & Söhne"} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

// line is a transport with configurable results.
type line struct {
	sent []broker.Mail
	fail func(broker.Mail) error
}

func (l *line) Send(_ context.Context, m broker.Mail) error {
	if l.fail != nil {
		if err := l.fail(m); err != nil {
			return err
		}
	}
	l.sent = append(l.sent, m)
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func queued(n int) *box {
	b := &box{}
	for i := range n {
		b.mails = append(b.mails, broker.Mail{ID: string(rune('A' + i)), To: "ana@example.com", CreatedAt: noon,
			NextAt: noon, ExpiresAt: noon.Add(time.Hour)})
	}
	return b
}

func TestAMailIsSentOnceAndTakenOut(t *testing.T) {
	b, l, now := queued(5), &line{}, noon
	s := &Sender{Outbox: b, Transport: l, Now: func() time.Time { return now }, Log: quiet()}
	for range 4 {
		if _, err := s.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.sent) != 5 || len(b.mails) != 0 {
		t.Errorf("%d sent, %d left", len(l.sent), len(b.mails))
	}
}

func TestAFailureIsTriedAgainLaterAndLaterUntilItExpires(t *testing.T) {
	b, now := queued(1), noon
	var at []time.Duration
	l := &line{fail: func(broker.Mail) error { at = append(at, now.Sub(noon)); return errors.New("down") }}
	s := &Sender{Outbox: b, Transport: l, Now: func() time.Time { return now }, Log: quiet()}
	for ; now.Before(noon.Add(2 * time.Hour)); now = now.Add(time.Second) {
		if _, err := s.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second}
	if len(at) < 8 || !slices.Equal(at[:5], want) || at[len(at)-1] > time.Hour {
		t.Errorf("tried at %v", at)
	}
	if b.failed[0] != "down" {
		t.Errorf("the reason is %q", b.failed[0])
	}
	if backoff(40) != time.Hour || backoff(1000) != time.Hour {
		t.Error("the longest wait is not an hour")
	}
}

func TestARefusalForGoodIsNotTriedAgain(t *testing.T) {
	b, now, tries := queued(2), noon, 0
	l := &line{fail: func(m broker.Mail) error {
		if m.ID == "A" {
			tries++
			return ErrRefused
		}
		return nil
	}}
	s := &Sender{Outbox: b, Transport: l, Now: func() time.Time { return now }, Log: quiet()}
	for range 100 {
		if _, err := s.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if tries != 1 || len(l.sent) != 1 {
		t.Errorf("%d tries of the refused one, %d others sent", tries, len(l.sent))
	}
}

func TestTheSenderStopsWithItsContextAndRecordsSentMails(t *testing.T) {
	b := queued(1)
	ctx, cancel := context.WithCancel(t.Context())
	l := &line{fail: func(broker.Mail) error { cancel(); return nil }}
	s := &Sender{Outbox: b, Transport: l, Now: func() time.Time { return noon }, Log: quiet()}
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(b.sent) != 1 {
		t.Error("the mail went out and stayed in the outbox")
	}
}

func TestTheFolderHoldsOnePrivateFileForEachMail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mailbox")
	var log strings.Builder
	f, err := NewFolder(dir, mail.Address{Name: "Northgate", Address: "no-reply@id.example.com"},
		slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), dir) {
		t.Errorf("the log says %q", log.String())
	}
	p, b := post(t)
	if err := p.Queue(t.Context(), Code{To: "ana@example.com", Code: "482913", Locale: "fr"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // sent again after a crash, it is still one file
		if err := f.Send(t.Context(), b.mails[0]); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || filepath.Ext(files[0].Name()) != ".eml" {
		t.Fatalf("%v, %v", files, err)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	raw, err := os.Open(filepath.Join(dir, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	m, err := mail.ReadMessage(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("Subject"); got != "482913 est votre code Northgate" {
		t.Errorf("subject %q", got)
	}
	if m.Header.Get("To") != "<ana@example.com>" ||
		!strings.Contains(m.Header.Get("Message-Id"), strings.ToLower(b.mails[0].ID)) ||
		m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("header %v", m.Header)
	}
	for _, id := range []string{"", "../x", "a/b", "x.eml"} {
		if err := f.Send(t.Context(), broker.Mail{ID: id, To: "ana@example.com"}); !errors.Is(err, ErrRefused) {
			t.Errorf("the id %q: %v", id, err)
		}
	}
}
