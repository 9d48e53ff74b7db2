// Command zitadel is an app on zitadel/oidc's relying party, as its example shows it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// app keeps the tokens of its only person.
type app struct {
	party  rp.RelyingParty
	origin string

	mu     sync.Mutex
	tokens *oidc.Tokens[*oidc.IDTokenClaims]
	info   *oidc.UserInfo
}

func main() {
	a := &app{origin: "http://127.0.0.1:" + os.Getenv("PORT")}
	key := []byte("0123456789abcdef0123456789abcdef")
	party, err := rp.NewRelyingPartyOIDC(context.Background(), os.Getenv("ISSUER"), os.Getenv("CLIENT_ID"),
		os.Getenv("CLIENT_SECRET"), a.origin+"/callback", []string{"openid", "profile", "email", "offline_access"},
		rp.WithPKCE(httphelper.NewCookieHandler(key, key, httphelper.WithUnsecure())))
	if err != nil {
		log.Fatal(err)
	}
	a.party = party
	http.Handle("/login", rp.AuthURLHandler(func() string { return "state" }, party))
	http.Handle("/callback", rp.CodeExchangeHandler(rp.UserinfoCallback(a.signedIn), party))
	http.HandleFunc("/me", a.me)
	http.HandleFunc("/refresh", a.refresh)
	http.HandleFunc("/logout", a.logout)
	http.HandleFunc("/", a.home)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func (a *app) signedIn(w http.ResponseWriter, r *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], _ string,
	_ rp.RelyingParty, info *oidc.UserInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens, a.info = tokens, info
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *app) home(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := "Welcome"
	if a.info != nil {
		text = "Signed in"
	}
	fmt.Fprintf(w, "<h1>%s</h1>", text)
}

func (a *app) me(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	reply(w, a.info)
}

func (a *app) refresh(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tokens, err := rp.RefreshTokens[*oidc.IDTokenClaims](r.Context(), a.party, a.tokens.RefreshToken, "", "")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	reply(w, map[string]bool{"refreshed": tokens.AccessToken != a.tokens.AccessToken})
	a.tokens = tokens
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	to, err := rp.EndSession(r.Context(), a.party, a.tokens.IDToken, a.origin+"/", "", "", nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	a.tokens, a.info = nil, nil
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err)
	}
}
