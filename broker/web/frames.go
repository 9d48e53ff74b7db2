package web

import (
	"errors"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/broker"
)

// FrameTime is how many seconds frames get before the page continues.
const FrameTime = 3

// Target returns an address that HandOff would accept, for a link; empty stays empty.
func (k *Toolkit) Target(address string) (template.URL, error) {
	if address == "" {
		return "", nil
	}
	safe, err := safeTarget(address)
	return template.URL(safe), err
}

// ShowFrames is Show for a page that embeds frames of other sites. Its frame-src lists exactly their origins. If
// there is a target (see Toolkit.Target), the page continues there after so many seconds.
func (p *Pages) ShowFrames(w http.ResponseWriter, r *http.Request, name string, view any, frames []string,
	target template.URL, seconds int) {
	var origins []string
	for _, f := range frames {
		u, err := url.Parse(f)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(u.Host, "; ,'\"*") {
			p.k.Fail(w, r, broker.Internal.Because(errors.New("a frame's host contains a separator of the "+
				"Content-Security-Policy")))
			return
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	if len(origins) > 0 {
		w.Header().Set("Content-Security-Policy", csp+"; frame-src "+strings.Join(origins, " "))
	}
	data := p.k.page(r, view)
	data.Languages = nil // the page cannot be requested a second time
	if target != "" {
		data.Refresh = template.HTML(fmt.Sprintf(`<meta http-equiv="refresh" content="%d;url=%s">`, seconds,
			html.EscapeString(string(target))))
	}
	if err := p.show(w, r, http.StatusOK, name, data); err != nil {
		p.k.Fail(w, r, err)
	}
}
