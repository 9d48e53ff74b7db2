package fakeidp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

//go:embed demo
var demoFiles embed.FS

// AppOptions describe the sample app as the broker knows it.
type AppOptions struct {
	Issuer   string // of the broker
	Origin   string // of the app
	ClientID string
	Secret   string
}

// sampleApp is an app of the broker, for the demo. It signs people in with a code and PKCE
// and shows the tokens that it got. Its sessions are in memory.
type sampleApp struct {
	AppOptions
	page *template.Template

	mu       sync.Mutex
	sessions map[string]*appSession
}

type appSession struct {
	state, nonce, verifier string
	tokens                 appTokens
	userinfo               map[string]any
}

type appTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Error   string `json:"error"`
	Text    string `json:"error_description"`
}

type appRow struct{ Name, Value string }

type appPage struct {
	Name, Access, Refresh, IDToken, Error, ErrorText string
	Claims, Userinfo                                 []appRow
}

// NewApp returns the sample app.
func NewApp(o AppOptions) http.Handler {
	a := &sampleApp{AppOptions: o, sessions: map[string]*appSession{}}
	a.page = template.Must(template.ParseFS(demoFiles, "demo/app.html"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app.css", demoCSS)
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /refresh", a.refresh)
	mux.HandleFunc("GET /logout", a.logout)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock() // one request at a time is enough for a sample
		defer a.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

func demoCSS(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, demoFiles, "demo/app.css")
}

func (a *sampleApp) session(w http.ResponseWriter, r *http.Request) *appSession {
	if c, err := r.Cookie("courts"); err == nil && a.sessions[c.Value] != nil {
		return a.sessions[c.Value]
	}
	id, s := rand.Text(), &appSession{}
	a.sessions[id] = s
	http.SetCookie(w, &http.Cookie{Name: "courts", Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return s
}

func (a *sampleApp) home(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	v := appPage{Error: r.FormValue("error"), ErrorText: r.FormValue("error_description")}
	if s.tokens.ID != "" {
		claims := unverifiedClaims(s.tokens.ID)
		v = appPage{Access: s.tokens.Access, Refresh: s.tokens.Refresh, IDToken: s.tokens.ID,
			Claims: appRows(claims), Userinfo: appRows(s.userinfo)}
		if v.Name, _ = s.userinfo["name"].(string); v.Name == "" {
			v.Name, _ = s.userinfo["email"].(string)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if err := a.page.Execute(w, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (a *sampleApp) login(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	s.state, s.nonce, s.verifier = rand.Text(), rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(s.verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {a.ClientID}, "redirect_uri": {a.Origin + "/callback"},
		"scope": {"openid profile email offline_access"}, "state": {s.state}, "nonce": {s.nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
	for _, extra := range []string{"prompt", "login_hint", "connection", "ui_locales", "max_age"} {
		if v := r.FormValue(extra); v != "" {
			q.Set(extra, v)
		}
	}
	http.Redirect(w, r, a.Issuer+"/authorize?"+q.Encode(), http.StatusSeeOther)
}

func (a *sampleApp) callback(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	switch {
	case s.state == "" || r.FormValue("state") != s.state:
		a.fail(w, r, "state_mismatch", "This answer does not belong to a sign-in that this browser started.")
		return
	case r.FormValue("iss") != a.Issuer: // RFC 9207 §2.4
		a.fail(w, r, "iss_mismatch", "This answer comes from another issuer.")
		return
	case r.FormValue("error") != "":
		a.fail(w, r, r.FormValue("error"), r.FormValue("error_description"))
		return
	}
	s.state = ""
	t, err := a.token(r.Context(), url.Values{"grant_type": {"authorization_code"}, "code": {r.FormValue("code")},
		"redirect_uri": {a.Origin + "/callback"}, "code_verifier": {s.verifier}})
	if err != nil {
		a.fail(w, r, "token_request_failed", err.Error())
		return
	}
	if nonce, _ := unverifiedClaims(t.ID)["nonce"].(string); nonce != s.nonce {
		a.fail(w, r, "nonce_mismatch", "The ID token was made for another sign-in.")
		return
	}
	a.keep(r.Context(), s, t)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *sampleApp) refresh(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	t, err := a.token(r.Context(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.tokens.Refresh}})
	if err != nil {
		s.tokens = appTokens{}
		a.fail(w, r, "refresh_failed", err.Error())
		return
	}
	a.keep(r.Context(), s, t)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *sampleApp) logout(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	q := url.Values{"id_token_hint": {s.tokens.ID}, "post_logout_redirect_uri": {a.Origin + "/"}}
	s.tokens, s.userinfo = appTokens{}, nil
	http.Redirect(w, r, a.Issuer+"/end_session?"+q.Encode(), http.StatusSeeOther)
}

func (a *sampleApp) fail(w http.ResponseWriter, r *http.Request, code, text string) {
	http.Redirect(w, r, "/?"+url.Values{"error": {code}, "error_description": {text}}.Encode(), http.StatusSeeOther)
}

func (a *sampleApp) keep(ctx context.Context, s *appSession, t appTokens) {
	s.tokens = t
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Issuer+"/userinfo", nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+t.Access)
	s.userinfo = map[string]any{}
	if res, err := http.DefaultClient.Do(req); err == nil {
		defer res.Body.Close()
		_ = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&s.userinfo)
	}
}

func (a *sampleApp) token(ctx context.Context, form url.Values) (t appTokens, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return t, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(a.ClientID), url.QueryEscape(a.Secret))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return t, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&t); err != nil {
		return t, err
	}
	if t.Error != "" {
		return t, fmt.Errorf("%s: %s", t.Error, t.Text)
	}
	return t, nil
}

// unverifiedClaims reads an ID token that came straight from the token endpoint, where TLS
// replaces the signature (OIDC Core §3.1.3.7 item 6). An app that gets a token in another
// way must verify its signature.
func unverifiedClaims(jwt string) map[string]any {
	claims := map[string]any{}
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return claims
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(b, &claims) != nil {
		return map[string]any{}
	}
	return claims
}

func appRows(m map[string]any) []appRow {
	out := make([]appRow, 0, len(m))
	for k, v := range m {
		b, _ := json.Marshal(v)
		out = append(out, appRow{k, strings.Trim(string(b), `"`)})
	}
	slices.SortFunc(out, func(x, y appRow) int { return strings.Compare(x.Name, y.Name) })
	return out
}
