// Package web is the HTTP toolkit of all handlers: error responses, pages, cookies, languages, limits and
// assets.
package web

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/access"
	"gatehouse/broker/seal"
	"gatehouse/broker/text"
)

// Handler is an HTTP handler that may fail. It returns a broker.Code, or an error that wraps one, before it has
// written anything.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Site describes the deployment to the pages. Empty URLs are not shown.
type Site struct {
	Name       string // the product's display name
	SupportURL string
	PrivacyURL string
	TermsURL   string
}

// Store is what the toolkit writes to.
type Store interface {
	broker.Sessions
	broker.Grants
	broker.AuditLog
	broker.Atomic
}

// Options configure a Toolkit. All are required except TrustedProxies, InternalHosts and Count.
type Options struct {
	// Issuer is the origin of this deployment, with its path if it has one.
	Issuer         *url.URL
	Site           Site
	Texts          *text.Catalog
	Keyring        *seal.Keyring
	Gate           *access.Gate
	Store          Store
	TrustedProxies []netip.Prefix
	// InternalHosts are other values of the Host header, in lower case, for the routes of HandleAPI.
	InternalHosts []string
	Now           func() time.Time
	Log           *slog.Logger
	Count         func(broker.Code) // called for every refusal
}

// Toolkit is the toolkit of one deployment. It is safe for concurrent use.
type Toolkit struct {
	Options
	host   string // of the issuer, lower case, without the scheme's default port
	origin string
	// headers of every response. Responses share the value slices: set a header to change it, never append to its
	// slice.
	headers http.Header
	assets  assets
	cross   *http.CrossOriginProtection
	pages   *Pages
}

// New returns a Toolkit. It panics if embedded pages or texts are broken.
func New(o Options) *Toolkit {
	if o.Count == nil {
		o.Count = func(broker.Code) {}
	}
	k := &Toolkit{Options: o, headers: headersOf(o.Issuer.Scheme), cross: http.NewCrossOriginProtection(),
		assets: loadAssets()}
	k.host = normalHost(o.Issuer.Host, o.Issuer.Scheme)
	k.origin = o.Issuer.Scheme + "://" + o.Issuer.Host
	k.pages = k.Pages(ownPages)
	return k
}

// normalHost returns a Host header in lower case, without the scheme's default port.
func normalHost(host, scheme string) string {
	host = strings.ToLower(host)
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// Secure reports whether the issuer is https.
func (k *Toolkit) Secure() bool { return k.Issuer.Scheme == "https" }

// Printer returns a printer in the language of the request.
func (k *Toolkit) Printer(r *http.Request) text.Printer { return k.Texts.Printer(k.Locale(r)) }

// The limits of a request body (SECURITY.md H1).
const (
	maxBody = 64 << 10
	maxKeys = 100
)

// Handle is for routes that use our cookies. It sets the security headers and no-store, limits and parses the
// form, refuses unsafe cross-origin methods, and turns every error and panic into a response.
func (k *Toolkit) Handle(h Handler) http.Handler {
	return k.handle(func(w http.ResponseWriter, r *http.Request) error {
		//defence:E15 C5
		if err := k.cross.Check(r); err != nil && !k.ownForm(r) {
			return broker.CrossOrigin.Because(err)
		}
		return h(w, r)
	}, false)
}

// hashForm is the purpose of the keyed hash in form_token.
const hashForm = "form"

// formToken returns the token of the forms for a browser, "" for a browser without a key. Another site can neither read
// nor derive it.
func (k *Toolkit) formToken(r *http.Request) string {
	key := k.token(r, cookieBrowser)
	if key == "" {
		return ""
	}
	return k.Keyring.Hash(hashForm, []byte(key))
}

// ownForm reports whether a form comes from a page of ours, by its token, where the headers do not say. Safari up to
// 16.3 sends no Sec-Fetch headers and, because of our Referrer-Policy, "Origin: null".
func (k *Toolkit) ownForm(r *http.Request) bool {
	//defence:E15
	if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "null" {
		return false
	}
	key := k.token(r, cookieBrowser)
	return key != "" &&
		//defence:E15
		k.Keyring.Same(r.PostFormValue("form_token"), hashForm, []byte(key))
}

// HandleOpen is Handle without the cross-origin check, for routes that do not use our cookies: the token
// endpoint, posted callbacks. A client that does not accept text/html gets errors as JSON (RFC 6749 §5.2).
func (k *Toolkit) HandleOpen(h Handler) http.Handler {
	return k.handle(h, true)
}

// HandleAPI is HandleOpen for the routes of apps' servers, which they may also call by one of the InternalHosts.
func (k *Toolkit) HandleAPI(h Handler) http.Handler { return api{k.handle(h, true)} }

// api marks the routes of HandleAPI for Guard.
type api struct{ http.Handler }

func (k *Toolkit) handle(h Handler, open bool) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := k.track(rw)
		w.open = open
		defer k.recovered(w, r)
		err := k.readForm(w, r)
		if err == nil {
			if lang, ok := k.Switched(r); ok {
				k.setCookie(w, cookieLang, lang, halfYear)
			}
			err = h(w, r)
		}
		if err != nil {
			k.Fail(w, r, err)
		}
	})
}

// readForm limits the body and parses a form. Other bodies are limited too, and left to the handler.
func (k *Toolkit) readForm(w http.ResponseWriter, r *http.Request) error {
	if r.Body != nil && r.Body != http.NoBody {
		//defence:H1
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	//defence:H1
	if len(r.URL.RawQuery) > maxBody {
		return broker.TooLarge
	}
	if contentType := r.Header.Get("Content-Type"); contentType != "" {
		kind, _, err := mime.ParseMediaType(contentType)
		switch {
		case err != nil:
			return broker.RequestInvalid.Because(fmt.Errorf("content type: %w", err))
		//defence:H1
		case kind == "multipart/form-data" || kind == "multipart/mixed":
			// We have no upload forms, and parsers disagree about multipart.
			return broker.RequestInvalid.Because(errors.New("multipart bodies are not accepted"))
		}
	}
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return broker.TooLarge
		}
		return broker.RequestInvalid.Because(errors.New("the form cannot be parsed"))
	}
	n := 0
	for _, values := range r.Form {
		n += len(values)
	}
	//defence:H1
	if n > maxKeys {
		return broker.RequestInvalid.Because(fmt.Errorf("more than %d form values", maxKeys))
	}
	return nil
}
