package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/text"
)

//go:embed layout/*.html
var layoutFiles embed.FS

//go:embed page/*.html
var ownPages embed.FS

// Pages are the parsed pages of one package.
type Pages struct {
	k   *Toolkit
	set map[string]*template.Template
}

// Problem is one error in a submitted form.
type Problem struct {
	Field string // the id of the input, empty for the form as a whole
	Text  string // in the language of the page
}

// Form is embedded in the view of a page with a form. If it holds problems, its title says "Error", and each is shown
// at its field. Several, or one of no field, are summarized at the top, with links to the fields.
type Form struct {
	Problems []Problem
}

func (f Form) problems() []Problem { return f.Problems }

// AppLinks are what an app registered for people to read (RFC 7591 §2). The zero value shows nothing.
type AppLinks struct{ App, Home, Policy, Terms string }

// LinksOf returns the links of an app.
func LinksOf(c broker.Client) AppLinks { return AppLinks{c.Name, c.ClientURI, c.PolicyURI, c.TosURI} }

// Page is the dot of a template.
type Page struct {
	text.Printer
	Site      Site
	V         any // the handler's view
	Problem   []Problem
	Languages []Language
	Refresh   template.HTML
	// FormToken is the value of form_token in every form that posts to us, see formToken.
	FormToken string
}

// Language is a link to this page in another language.
type Language struct {
	Code, Name, Href string
	Current          bool
}

// T returns the text of a key. Its arguments fill {0}, {1} … or, if built with args, names.
func (p Page) T(key string, args ...any) string { return p.Text(key, args...) }

// TH returns the text of a key that ends in _html, with its arguments escaped.
func (p Page) TH(key string, args ...any) template.HTML { return p.HTML(key, args...) }

// Clock, Date and Moment return a time as the argument of a text with markup.
func (p Page) Clock(t time.Time) text.When { return text.When{At: t, Shape: text.Clock} }

// Date is explained at Clock.
func (p Page) Date(t time.Time) text.When { return text.When{At: t, Shape: text.Date} }

// Moment is explained at Clock.
func (p Page) Moment(t time.Time) text.When { return text.When{At: t, Shape: text.Moment} }

// Pages parses page/*.html of a package. Each file defines "title", the only heading, and "main", the content
// below it; layout and partials are shared. It panics on a template that does not parse, an unknown text, and
// anything inline.
func (k *Toolkit) Pages(pages fs.FS) *Pages {
	base := template.Must(template.New("layout").Funcs(k.funcs()).ParseFS(layoutFiles, "layout/*.html"))
	names, err := fs.Glob(pages, "page/*.html")
	if err == nil && len(names) == 0 {
		err = errors.New("no file matches page/*.html")
	}
	if err != nil {
		panic("web: " + err.Error())
	}
	p := &Pages{k: k, set: map[string]*template.Template{}}
	for _, name := range names {
		t, err := template.Must(base.Clone()).ParseFS(pages, name)
		if err == nil {
			err = k.checkPage(t, pages, name)
		}
		if err != nil {
			panic(fmt.Sprintf("web: %s: %v", name, err))
		}
		p.set[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return p
}

// Show writes a page. The view is the page's .V; its problems come from an embedded Form. The response is
// complete, or an Internal refusal, never partial.
func (p *Pages) Show(w http.ResponseWriter, r *http.Request, status int, name string, view any) {
	if err := p.show(w, r, status, name, p.k.page(r, view)); err != nil {
		p.k.Fail(w, r, err)
	}
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data Page) error {
	t := p.set[name]
	if t == nil {
		return broker.Internal.Because(fmt.Errorf("unknown page %q", name))
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", data); err != nil {
		return broker.Internal.Because(fmt.Errorf("page %q: %w", name, err))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", data.Lang())
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// An error means that the browser has disconnected.
		_, _ = w.Write(b.Bytes())
	}
	return nil
}

func (k *Toolkit) page(r *http.Request, view any) Page {
	p := Page{Printer: k.Printer(r), Site: k.Site, V: view, FormToken: k.formToken(r)}
	if f, ok := view.(interface{ problems() []Problem }); ok {
		p.Problem = f.problems()
	}
	p.Languages = k.languages(r, p.Lang())
	return p
}

// languages returns the links of the footer, or none if the page cannot be requested again, such as a response
// to a callback.
func (k *Toolkit) languages(r *http.Request, current string) []Language {
	at := self(r)
	if at == nil {
		return nil
	}
	for _, once := range []string{"code", "posted", "error", "token", "SAMLResponse"} {
		if at.Query().Has(once) {
			return nil
		}
	}
	var links []Language
	for _, code := range k.Texts.Languages() {
		q := at.Query()
		q.Set("lang", code)
		to := *at
		to.RawQuery = q.Encode()
		links = append(links, Language{Code: code, Name: k.Texts.Printer(code).Text("web.language"), Href: to.String(),
			Current: code == current})
	}
	return links
}
