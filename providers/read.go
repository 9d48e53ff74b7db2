package providers

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/broker"
)

// reader is an upstream that says what it makes of a document about a person.
type reader interface {
	read(d document) (broker.Claims, error)
}

// Read says what a connection would make of claims that its upstream sends: the
// JSON of an ID token's payload, of Facebook's /me, or of GitHub's /user with
// "emails" beside. Nothing is verified and nobody is asked, so it is for explaining
// and never for signing anybody in. It refuses with the Code that a sign-in would get.
func Read(c broker.Connection, raw []byte) (broker.Claims, error) {
	c = Normalise(c)
	k, ok := Find(c.Kind)
	if !ok {
		return broker.Claims{}, fmt.Errorf("there is no kind of connection named %q", c.Kind)
	}
	d, err := parseDocument(raw, ofClaims)
	if err != nil {
		return broker.Claims{}, err
	}
	up, err := k.Open(Env{}, c)
	if err != nil {
		return broker.Claims{}, err
	}
	r, ok := up.(reader)
	if !ok {
		return broker.Claims{}, fmt.Errorf("claims of the kind %s cannot be explained", c.Kind)
	}
	return r.read(d)
}

func (u *openID) read(d document) (broker.Claims, error) {
	t := idToken{document: d, issuer: d.text("iss"), subject: d.subject("sub")}
	if t.subject == "" {
		return broker.Claims{}, broker.UpstreamRejected.Because(errors.New("sub is missing or no subject"))
	}
	t.authTime, _ = d.moment("auth_time")
	m := &metadata{issuer: u.issuer}
	switch {
	case u.accept(t.issuer) == nil:
		m.issuer = t.issuer
	case u.template != "":
		m.issuer = u.template
	}
	t.key.issuer = t.issuer // as if the right key had signed
	var err error
	if t.issuer, err = u.issued(m, t); err != nil {
		if _, coded := errors.AsType[broker.Code](err); !coded {
			err = broker.UpstreamRejected.Because(err)
		}
		return broker.Claims{}, err
	}
	return u.person(context.Background(), m, t, "")
}
