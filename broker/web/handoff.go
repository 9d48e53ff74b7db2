package web

import (
	"errors"
	"html"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

type handOffView struct {
	App    string
	Target template.URL
	Fields []hidden
}

type hidden struct{ Name, Value string }

// HandOff responds 200 with a page that continues to target (UX.md E-30): our own path, an https or http URL, or
// an app's custom scheme. Use it after a POST, because Chromium applies form-action to redirects. app may be
// empty.
func (k *Toolkit) HandOff(w http.ResponseWriter, r *http.Request, target, app string) {
	safe, err := safeTarget(target)
	if err != nil {
		k.Fail(w, r, err)
		return
	}
	p := k.page(r, handOffView{App: app, Target: template.URL(safe)})
	p.Languages = nil
	p.Refresh = template.HTML(`<meta http-equiv="refresh" content="0;url=` + html.EscapeString(safe) + `">`)
	if err := k.pages.show(w, r, http.StatusOK, "handoff", p); err != nil {
		k.Fail(w, r, err)
	}
}

// PostOff responds 200 with a form that posts fields to target (response_mode form_post, or a provider that
// wants a POST). A script submits it, or the person presses the button. The page's form-action lists only
// target.
func (k *Toolkit) PostOff(w http.ResponseWriter, r *http.Request, target string, fields url.Values, app string) {
	u, err := url.Parse(target)
	if err == nil && (u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		err = errors.New("the target of a form must be http or https")
	}
	if err == nil && strings.ContainsAny(u.Host, "; ,'\"") {
		err = errors.New("the target's host contains a separator of the Content-Security-Policy")
	}
	if err != nil {
		k.Fail(w, r, broker.Internal.Because(err))
		return
	}
	view := handOffView{App: app, Target: template.URL(u.String())}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, v := range fields[name] {
			view.Fields = append(view.Fields, hidden{name, v})
		}
	}
	source := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	source = strings.NewReplacer(";", "%3B", ",", "%2C", "'", "%27").Replace(source)
	w.Header().Set("Content-Security-Policy",
		//defence:A8 = "default-src 'none'; script-src 'self'"
		strings.Replace(csp, "form-action 'self'", "form-action "+source, 1))
	p := k.page(r, view)
	p.Languages = nil
	if err := k.pages.show(w, r, http.StatusOK, "post", p); err != nil {
		k.Fail(w, r, err)
	}
}

// safeTarget refuses schemes that execute or read something, and escapes what could end the URL in a meta
// refresh.
func safeTarget(target string) (string, error) {
	bad := broker.Internal.Because(errors.New("the hand-off target is not a safe URL"))
	u, err := url.Parse(target)
	if err != nil || strings.ContainsAny(target, "\\\t\r\n") {
		return "", bad
	}
	switch {
	case u.Scheme == "" && u.Host == "" && local(target):
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
	case strings.Contains(u.Scheme, "."):
	default:
		return "", bad
	}
	return strings.NewReplacer(" ", "%20", `"`, "%22", "'", "%27", "<", "%3C", ">", "%3E", "`", "%60").Replace(target), nil
}
