package mail

import (
	"errors"
	"net/mail"
	"net/url"
	"strconv"

	"gatehouse/broker"
)

// The ports of SMTP for sending: with STARTTLS, and with TLS from the start.
const (
	portSubmission = 587
	portImplicit   = 465
)

// NewSMTP returns the transport of a URL: smtp://user:password@host:587, or smtps://… for TLS
// from the start. Its errors do not quote the URL, which may have a password.
func NewSMTP(text string, from mail.Address) (*SMTP, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("mail.smtp is not a URL")
	}
	password, _ := u.User.Password()
	s := &SMTP{Host: u.Hostname(), Port: portSubmission, Implicit: u.Scheme == "smtps", From: from,
		Username: u.User.Username(), Password: broker.Secret(password)}
	if s.Implicit {
		s.Port = portImplicit
	}
	if u.Port() != "" {
		if s.Port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, errors.New("mail.smtp: the port is not a number")
		}
	}
	return s, nil
}
