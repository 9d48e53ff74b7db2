package login

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/web"
)

// page is the common part of every page's view.
type page struct {
	web.Form
	Path           string // of the login; its forms post below it
	App            string // the waiting app's name, "" for none
	Links          web.AppLinks
	Reauthenticate string // for a reauthentication: where to return to; "" for others
	Notice         *notice
}

// idp is a connection as a button or in a sentence.
type idp struct {
	Href, Name, Icon string
	Last             bool
}

// inLogin passes the language chosen in the login to the toolkit.
func (d *Handler) inLogin(r *http.Request, l broker.Login) *http.Request {
	if l.Locale == "" {
		return r
	}
	return d.toolkit.WithLocale(r, l.Locale)
}

// app returns the waiting app, a zero value if there is none.
func (s *service) app(ctx context.Context, l broker.Login) broker.Client {
	if l.Request == nil || l.ClientID == "" {
		return broker.Client{}
	}
	c, err := s.Store.Client(ctx, l.ClientID)
	if err != nil {
		return broker.Client{}
	}
	return c
}

// present shows the page of a scene on a GET.
func (d *Handler) present(w http.ResponseWriter, r *http.Request, v visit, sc scene) error {
	r = d.inLogin(r, sc.Login)
	if sc.No != nil {
		d.refuse(w, r, sc, broker.CodeOf(sc.No), "", sc.No)
		return nil
	}
	status := http.StatusOK
	if sc.Notice != "" {
		onLink := sc.Step == broker.StepLink && sc.Notice == broker.LinkConflict
		if !banner(sc.Notice) && sc.NoticeFor != "" && !onLink {
			d.refuse(w, r, sc, sc.Notice, sc.NoticeFor, sc.Notice)
			return nil
		}
		status = sc.Notice.Meaning().Status
	}
	return d.presentStatus(w, r, v, sc, web.Form{}, status)
}

// presentStatus shows the page of a step.
func (d *Handler) presentStatus(w http.ResponseWriter, r *http.Request, v visit, sc scene, f web.Form,
	status int) error {
	app := d.service.app(r.Context(), sc.Login)
	p := page{Form: f, Path: loginPath(sc.ID), App: app.Name, Links: web.LinksOf(app), Notice: d.noticeOf(r, sc)}
	if sc.Purpose == broker.PurposeReauthenticate {
		p.Reauthenticate = sc.Purpose.Ends()
	}
	view, err := d.view(r, v, sc, p)
	if err != nil {
		return err
	}
	d.pages.Show(w, r, status, string(sc.Step), view)
	return nil
}

func (d *Handler) view(r *http.Request, v visit, sc scene, p page) (any, error) {
	switch sc.Step {
	case broker.StepChoose:
		return d.viewChoose(r, v, sc, p)
	case broker.StepPick:
		s, a, err := d.service.current(r.Context(), v, sc.Login)
		if err == nil && a == nil {
			err = broker.StartAgain // the session ended just now
		}
		if err != nil {
			return nil, err
		}
		return pickView{page: p, Session: s.ID, Email: a.Email, Name: a.Name, Initial: initial(a.Name, a.Email)}, nil
	case broker.StepOrg:
		_, domain, _ := strings.Cut(sc.Email, "@")
		return orgView{page: p, Email: sc.Email, Domain: domain, Idp: d.idp(sc.ID, *sc.Facts.Org, false),
			Password: sc.Facts.Passwords}, nil
	case broker.StepPassword:
		idps, more, err := d.idps(r, sc.ID)
		return passwordView{page: p, Email: address(sc), Idps: append(idps, more...), Known: sc.Choice == broker.ChoiceNew,
			Again: sc.Presets() && sc.Facts.Acting != nil}, err
	case broker.StepLink:
		return d.viewLink(r, sc, p)
	case broker.StepUpstream:
		return d.viewUpstream(r, sc, p)
	case broker.StepFactor:
		return confirmView{page: p, Email: sc.Facts.Account.Email}, nil
	case broker.StepConfirm:
		c := confirmView{page: p, Email: sc.Facts.Account.Email, Password: knowsPassword(sc)}
		if sc.Code != nil && sc.Code.Email == c.Email {
			c.Code = codeOf(r, sc.Code)
		}
		return c, nil
	default:
		return d.viewNew(r, sc, p), nil
	}
}

// viewNew shows the pages that lead to a new account, or to an existing one under another address.
func (d *Handler) viewNew(r *http.Request, sc scene, p page) any {
	n := newView{page: p, Email: typed(r, "email", sc.Email), Confirmation: d.service.linkConfirmation(sc.Login, nil),
		Now: d.service.Now(), Local: sc.Claims == nil}
	if sc.Claims != nil {
		n.Theirs = sc.Claims.Email
		if n.Email == "" {
			n.Email = sc.Claims.Email
		}
		if c := sc.Facts.Connection; c != nil {
			n.Idp = d.idp(sc.ID, *c, false)
		}
	}
	switch sc.Step {
	case broker.StepCode:
		n.Email, n.Code, n.Maybe = sc.Code.Email, codeOf(r, sc.Code), !sc.Facts.Registers()
	case broker.StepRegister:
		n.Email, n.Verified = sc.VerifiedAddress(), sc.VerifiedEmail == "" && sc.Claims != nil
		if c := sc.Claims; c != nil {
			n.Given, n.Family = splitName(c.Name, c.GivenName, c.FamilyName)
		}
		n.Given, n.Family = typed(r, "given_name", n.Given), typed(r, "family_name", n.Family)
	}
	return n
}

// viewChoose shows the sign-in methods: those of one account where the login is for it, else all.
func (d *Handler) viewChoose(r *http.Request, v visit, sc scene, p page) (any, error) {
	a, err := d.ownerOf(r, v, sc)
	if err != nil {
		return nil, err
	}
	all, err := d.service.Store.Connections(r.Context())
	if err != nil {
		return nil, err
	}
	if a != nil {
		view, err := d.viewOwn(r, sc, p, *a, all)
		if err != nil || view.Ask || len(view.Idps) > 0 || sc.Purpose == broker.PurposeReauthenticate {
			return view, err
		}
	}
	idps, more, err := d.idps(r, sc.ID)
	routed := slices.ContainsFunc(all, func(c broker.Connection) bool { return c.Usable() == nil && len(c.Domains) > 0 })
	return chooseView{page: p, Email: typed(r, "email", cmp.Or(sc.Email, sc.Hint)), Idps: idps, More: more,
		Ask: d.service.PasswordSignIn || routed,
		New: d.service.PasswordSignIn && d.service.Registration != broker.RegisterInvite}, err
}

// ownerOf returns the account whose own sign-in methods are to be shown, nil for none. The browser is signed in to it,
// or a code has verified its address.
func (d *Handler) ownerOf(r *http.Request, v visit, sc scene) (*broker.Account, error) {
	switch {
	case sc.Choice == broker.ChoiceNew && sc.VerifiedEmail != "":
		return sc.Facts.Owner, nil
	case sc.Presets():
		return sc.Facts.Acting, nil
	case sc.Purpose != broker.PurposeReauthenticate:
		return nil, nil
	}
	_, a, err := d.service.current(r.Context(), v, sc.Login)
	//defence:E1
	if err == nil && (a == nil || a.ID != sc.For) {
		err = broker.StartAgain
	}
	return a, err
}

func (d *Handler) viewOwn(r *http.Request, sc scene, p page, a broker.Account, all []broker.Connection) (
	view chooseView, err error) {
	have, err := d.service.Store.IdentitiesOf(r.Context(), a.ID)
	if err != nil {
		return view, err
	}
	methods := broker.SignInMethodsOf(a, have, all, d.service.PasswordSignIn)
	view = chooseView{page: p, Email: typed(r, "email", sc.Hint), Ask: methods.Password,
		Known: sc.VerifiedEmail != ""}
	if sc.Purpose == broker.PurposeSignIn {
		view.Account = a.Email
	}
	for _, c := range all {
		if slices.ContainsFunc(have, func(i broker.Identity) bool {
			return i.Connection == c.ID && slices.Contains(methods.Identities, i.ID)
		}) {
			view.Idps = append(view.Idps, d.idp(sc.ID, c, c.ID == d.toolkit.LastUsed(r)))
		}
	}
	return view, nil
}

func (d *Handler) viewLink(r *http.Request, sc scene, p page) (any, error) {
	owner, c := *sc.Facts.Owner, *sc.Facts.Connection
	v := linkView{page: p, Idp: d.idp(sc.ID, c, false), Theirs: sc.Claims.Email, Email: owner.Email,
		Masked: mask(owner.Email),
		Year:   owner.CreatedAt.UTC().Year(), Confirmation: d.service.linkConfirmation(sc.Login, &owner), Proof: sc.Proof}
	if sc.Proof.Code && sc.Code != nil && sc.Code.Email == owner.Email {
		v.Code = codeOf(r, sc.Code)
	}
	v.Ready = !sc.Proof.Code || v.Code != nil
	if !sc.Proof.Other {
		return v, nil
	}
	have, err := d.service.Store.IdentitiesOf(r.Context(), owner.ID)
	if err != nil {
		return nil, err
	}
	for _, i := range have {
		other, err := broker.Found(d.service.Store.Connection(r.Context(), i.Connection))
		if err != nil {
			return nil, err
		}
		if other == nil || other.Usable() != nil || slices.ContainsFunc(v.Others,
			func(o idp) bool { return o.Name == other.Name }) {
			continue
		}
		b := d.idp(sc.ID, *other, false)
		b.Href += "?prove=1"
		v.Others = append(v.Others, b)
	}
	return v, nil
}

// viewUpstream is the page of a link for a signed-in account, before it goes to the upstream.
func (d *Handler) viewUpstream(r *http.Request, sc scene, p page) (any, error) {
	c, err := d.service.Store.Connection(r.Context(), sc.Connection)
	if errors.Is(err, broker.NotFound) {
		err = broker.ConnectionDisabled
	}
	if err != nil {
		return nil, err
	}
	view := upstreamView{page: p, Idp: d.idp(sc.ID, c, false), Live: c.Usable() == nil}
	if n := p.Notice; n != nil && n.Href != "" {
		view.Idp.Href = n.Href
	}
	return view, nil
}

// listed is how many connections are shown directly; the others are one click away.
const listed = 5

// idps returns the connections of the sign-in page: the last used first, then in order.
func (d *Handler) idps(r *http.Request, id string) (list, more []idp, err error) {
	all, err := d.service.Store.Connections(r.Context())
	if err != nil {
		return nil, nil, err
	}
	last := d.toolkit.LastUsed(r)
	for _, c := range all {
		if c.Hidden || c.Usable() != nil {
			continue
		}
		b := d.idp(id, c, c.ID == last)
		if b.Last {
			list = slices.Insert(list, 0, b)
		} else {
			list = append(list, b)
		}
	}
	if len(list) > listed {
		list, more = list[:listed-1], list[listed-1:]
	}
	return list, more, nil
}

func (d *Handler) idp(id string, c broker.Connection, last bool) idp {
	return idp{Href: upstreamPath(id, c.ID), Name: c.Name, Icon: d.service.Icon(c.Kind), Last: last}
}

// mask shows an address to its owner without revealing it: a•••@example.com.
func mask(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	if local == "" {
		return email
	}
	return local[:1] + "•••@" + domain
}

// initial returns the first letter of a name or, without one, of an address.
func initial(name, email string) string {
	for _, r := range cmp.Or(name, email) {
		return strings.ToUpper(string(r))
	}
	return ""
}

// sentCode describes a mailed code to its page.
type sentCode struct {
	Minutes int
	At      time.Time
	Resent  bool // the person just requested another one
}

func codeOf(r *http.Request, c *broker.MailedCode) *sentCode {
	return &sentCode{Minutes: int(broker.MailedLife / time.Minute), At: c.SentAt.UTC(),
		Resent: c.Renewed && r.Method == http.MethodGet && r.URL.Query().Get("sent") != ""}
}

// typed returns what was typed before, or the suggestion.
func typed(r *http.Request, name, suggestion string) string {
	if v, ok := r.Form[name]; ok && r.Method == http.MethodPost {
		return v[0]
	}
	return suggestion
}
