package providers

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/broker"
)

// reader is an upstream that can interpret a document about a person.
type reader interface {
	read(d document) (broker.Claims, error)
}

// Read returns the claims that a connection would derive from a provider's document: the JSON of an ID token's
// payload, of Facebook's /me, or of GitHub's /user with "emails" added. It verifies nothing and uses no network,
// so it may explain a sign-in but must never authenticate anyone. It returns the Code that a sign-in would get.
func Read(c broker.Connection, raw []byte) (broker.Claims, error) {
	c = Normalise(c)
	k, ok := Find(c.Kind)
	if !ok {
		return broker.Claims{}, fmt.Errorf("unknown kind %q; kinds are %s", c.Kind, kindNames())
	}
	d, err := parseDocument(raw)
	if err != nil {
		return broker.Claims{}, err
	}
	up, err := k.Open(Env{}, c)
	if err != nil {
		return broker.Claims{}, err
	}
	r, ok := up.(reader)
	if !ok {
		return broker.Claims{}, fmt.Errorf("the kind %s cannot explain claims", c.Kind)
	}
	return r.read(d)
}

func (u *openID) read(d document) (broker.Claims, error) {
	t := idToken{document: d, issuer: d.text("iss"), subject: d.subject("sub")}
	if t.subject == "" {
		return broker.Claims{}, broker.UpstreamRejected.Because(errors.New("sub is missing or invalid"))
	}
	t.authTime, _ = d.date("auth_time")
	m := &metadata{issuer: u.issuer}
	switch {
	case u.accept(t.issuer) == nil:
		m.issuer = t.issuer
	case u.template != "":
		m.issuer = u.template
	}
	t.key.issuer = t.issuer // as if a permitted key had signed
	var err error
	if t.issuer, err = u.issued(m, t); err != nil {
		if _, coded := errors.AsType[broker.Code](err); !coded {
			err = broker.UpstreamRejected.Because(err)
		}
		return broker.Claims{}, err
	}
	return u.person(context.Background(), m, t, "")
}
