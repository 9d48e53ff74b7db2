package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"gatehouse/broker"
)

// SMTP sends mails to a server. It requires TLS unless the host is loopback: STARTTLS on any port, or TLS from
// the start with Implicit (RFC 8314).
type SMTP struct {
	Host     string
	Port     int
	Username string // empty: no authentication
	Password broker.Secret
	Implicit bool         // TLS from the start, usually port 465
	From     mail.Address // the sender that receivers see
	TLS      *tls.Config  // nil: the system's trusted roots
}

// Send implements Transport.
func (s *SMTP) Send(ctx context.Context, m broker.Mail) error {
	msg, err := compose(s.From, m)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(s.Host, s.options()...)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return smtpError(err)
	}
	return nil
}

// Check connects and authenticates as Send does, and sends nothing.
func (s *SMTP) Check(ctx context.Context) error {
	client, err := gomail.NewClient(s.Host, s.options()...)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	return client.Close()
}

func (s *SMTP) options() []gomail.Option {
	o := []gomail.Option{gomail.WithPort(s.Port), gomail.WithTimeout(patience)}
	if s.TLS != nil {
		o = append(o, gomail.WithTLSConfig(s.TLS))
	}
	switch {
	case s.Implicit:
		o = append(o, gomail.WithSSL())
	case broker.LoopbackHost(s.Host):
		o = append(o, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.Username != "" {
		o = append(o, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.Username),
			gomail.WithPassword(s.Password.Reveal()))
	}
	return o
}

// smtpError wraps the server's error, and marks a permanent one (RFC 5321 §4.2.1: 5yz).
func smtpError(err error) error {
	if e, ok := errors.AsType[*gomail.SendError](err); ok && !e.IsTemp() && e.ErrorCode() >= 500 {
		return fmt.Errorf("smtp: %w: %w", ErrRefused, err)
	}
	return fmt.Errorf("smtp: %w", err)
}

// compose builds the message; go-mail encodes every header.
func compose(from mail.Address, m broker.Mail) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(from.Name, from.Address); err != nil {
		return nil, fmt.Errorf("mail: invalid sender address: %w", err)
	}
	if err := msg.To(m.To); err != nil {
		return nil, fmt.Errorf("mail: %w: invalid receiver address", ErrRefused)
	}
	_, host, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(strings.ToLower(m.ID) + "@" + host)
	msg.SetDateWithValue(m.CreatedAt)
	msg.Subject(strings.NewReplacer("\r", " ", "\n", " ").Replace(m.Subject))
	// Suppresses out-of-office replies (RFC 3834 §5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}
