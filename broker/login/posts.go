package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"gatehouse/broker"
)

// The POST handlers. Each reads its form and calls one verb.

func (d *Handler) postEmail(r *http.Request) act {
	email, first := r.PostFormValue("email"), r.PostFormValue("first") != ""
	return act{first: first, keep: url.Values{"email": {email}}, do: func(ctx context.Context, v visit, id string) error {
		return d.service.identify(ctx, v, id, email, first)
	}}
}

func (d *Handler) postPassword(r *http.Request) act {
	email, password := r.PostFormValue("email"), r.PostFormValue("password")
	return act{do: func(ctx context.Context, v visit, id string) error {
		return d.service.password(ctx, v, id, email, password)
	}}
}

func (d *Handler) postLink(r *http.Request) act {
	in := linkProof{Shown: r.PostFormValue("confirmation"), Password: r.PostFormValue("password"),
		Code: r.PostFormValue("code"), Factor: r.PostFormValue("factor")}
	return act{do: func(ctx context.Context, v visit, id string) error {
		return d.renewed(ctx, v, id, d.service.link(ctx, v, id, in))
	}}
}

func (d *Handler) postOwn(r *http.Request) act {
	shown, email, password := r.PostFormValue("confirmation"), r.PostFormValue("email"), r.PostFormValue("password")
	return act{keep: url.Values{"email": {email}}, do: func(ctx context.Context, v visit, id string) error {
		return d.service.own(ctx, v, id, shown, email, password)
	}}
}

func (d *Handler) postRegister(r *http.Request) act {
	in := form{Shown: r.PostFormValue("confirmation"), Given: r.PostFormValue("given_name"),
		Family: r.PostFormValue("family_name"), Password: r.PostFormValue("password")}
	keep := url.Values{"given_name": {in.Given}, "family_name": {in.Family}}
	return act{keep: keep, do: func(ctx context.Context, v visit, id string) error {
		return d.service.register(ctx, v, id, in)
	}}
}

func (d *Handler) postCode(r *http.Request) act {
	code := r.PostFormValue("code")
	return act{do: func(ctx context.Context, v visit, id string) error {
		return d.renewed(ctx, v, id, d.service.reauthenticate(ctx, v, id, code))
	}}
}

func (d *Handler) postResend(*http.Request) act {
	return act{do: d.service.resend, then: "?sent=1"}
}

func (d *Handler) postChoice(r *http.Request) act {
	choice := broker.Choice(r.PostFormValue("wish"))
	return act{do: func(ctx context.Context, v visit, id string) error { return d.service.choose(ctx, v, id, choice) }}
}

func (d *Handler) postFactor(r *http.Request) act {
	typed := r.PostFormValue("factor")
	return act{do: func(ctx context.Context, v visit, id string) error { return d.service.factor(ctx, v, id, typed) }}
}

func (d *Handler) postConfirm(r *http.Request) act {
	password, code := r.PostFormValue("password"), r.PostFormValue("code")
	return act{do: func(ctx context.Context, v visit, id string) error {
		return d.renewed(ctx, v, id, d.service.confirm(ctx, v, id, password, code))
	}}
}

func (d *Handler) postContinue(r *http.Request) act {
	session := r.PostFormValue("session")
	return act{do: func(ctx context.Context, v visit, id string) error { return d.service.goOn(ctx, v, id, session) }}
}

func (d *Handler) postRestart(*http.Request) act { return act{do: d.service.restart} }

// restartPage is restart for the links of a refusal page. It only discards.
func (d *Handler) restartPage(w http.ResponseWriter, r *http.Request) error {
	_, l, moved, err := d.here(w, r)
	if err != nil || moved {
		return err
	}
	if err := d.service.restart(r.Context(), d.visit(r), l.ID); err != nil && !errors.Is(err, broker.Conflict) {
		return err
	}
	return redirect(w, r, loginPath(l.ID))
}

// codeRenewed: a code had expired and another one was sent.
type codeRenewed struct{}

func (codeRenewed) Error() string { return string(broker.CodeExpired) }
func (codeRenewed) Unwrap() error { return broker.CodeExpired }

// renewed sends a new code instead of an expired one, if the limits allow it.
func (d *Handler) renewed(ctx context.Context, v visit, id string, err error) error {
	if !errors.Is(err, broker.CodeExpired) || d.service.resend(ctx, v, id) != nil {
		return err
	}
	return codeRenewed{}
}
