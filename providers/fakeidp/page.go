package fakeidp

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed page
var pageFiles embed.FS

const (
	personaParam = "persona" // names the chosen person in a link of the page
	stylePath    = "/fakeidp/style.css"
	scriptPath   = "/fakeidp/autopost.js"
)

// pages are the templates of the simulator's pages.
type pages struct{ *template.Template }

func parsePages() pages {
	return pages{template.Must(template.ParseFS(pageFiles, "page/*.html"))}
}

// view is what every page shows: the simulated provider.
type view struct{ Kind, Label string }

type listView struct {
	view
	Client string
	People []personView
	Cancel string
}

type personView struct{ Name, Email, Note, Href string }

type postView struct {
	view
	Action string
	Fields []field
}

type field struct{ Name, Value string }

type messageView struct {
	view
	Title, Text string
}

func (s *Server) mountAssets() {
	for path, file := range map[string][2]string{
		stylePath:  {"style.css", "text/css; charset=utf-8"},
		scriptPath: {"autopost.js", "text/javascript; charset=utf-8"},
	} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			body, err := pageFiles.ReadFile("page/" + file[0])
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", file[1])
			w.Header().Set("Cache-Control", "max-age=300")
			_, _ = w.Write(body) // the browser may have disconnected
		})
	}
	s.handle("GET "+roguePath, AtRogueKeys, s.rogueKeys)
}

// list shows the people as plain links. Each link carries the whole request, so that a page never expires.
func (c *call) list(a *authRequest) {
	page := listView{view: c.view(), Client: a.redirectURI, Cancel: a.path + "/cancel?" + c.r.Form.Encode()}
	if target, err := url.Parse(a.redirectURI); err == nil && target.Host != "" {
		page.Client = target.Host
	}
	for _, persona := range c.Personas() {
		query := copyValues(c.r.Form) // a pushed request stays a reference
		query.Set(personaParam, persona.Login)
		name := persona.Name
		if name == "" {
			name = persona.Login
		}
		page.People = append(page.People, personView{
			Name: name, Email: persona.Email, Note: persona.Note, Href: a.path + "/choose?" + query.Encode(),
		})
	}
	c.page(http.StatusOK, "list.html", page)
}

// post shows a form that carries the response by POST. A script submits it, or the person presses the button.
func (c *call) post(action string, values url.Values) {
	page := postView{view: c.view(), Action: action}
	for name := range values {
		page.Fields = append(page.Fields, field{name, values.Get(name)})
	}
	slices.SortFunc(page.Fields, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	c.page(http.StatusOK, "post.html", page)
}

// message shows the person an error that cannot be reported to the client.
func (c *call) message(status int, title, text string) {
	c.page(status, "message.html", messageView{c.view(), title, text})
}

func (c *call) view() view { return view{c.opts.Kind, c.provider.label} }

func (c *call) page(status int, name string, data any) {
	var body bytes.Buffer
	if err := c.pages.ExecuteTemplate(&body, name, data); err != nil {
		c.serverError(err)
		return
	}
	header := c.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	// No form-action: Chromium would apply it to every redirect that follows the form_post, and those are the
	// client's.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "+
		"base-uri 'none'; frame-ancestors 'none'")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body.Bytes()) // the browser may have disconnected
}
