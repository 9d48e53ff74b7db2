package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// upstream is a cheap OpenID Provider: ES256, no pages, and an authorization endpoint that is a function call,
// because the bench is its own browser.
type upstream struct {
	issuer, clientID, secret string
	key                      *ecdsa.PrivateKey
	server                   *http.Server
	stalls                   atomic.Bool // the token endpoint accepts the request and never responds

	mu    sync.Mutex
	codes map[string]upstreamCode
}

type upstreamCode struct{ nonce, email string }

func startUpstream() (*upstream, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{issuer: "http://" + listener.Addr().String(), clientID: "gatehouse", secret: rand.Text(), key: key,
		codes: map[string]upstreamCode{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": u.issuer, "authorization_endpoint": u.issuer + "/authorize",
			"token_endpoint": u.issuer + "/token", "jwks_uri": u.issuer + "/jwks",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
			"scopes_supported":                      []string{"openid", "email", "profile"},
			"code_challenge_methods_supported":      []string{"S256"}})
	})
	mux.HandleFunc("GET /jwks", u.jwks)
	mux.HandleFunc("POST /token", u.token)
	u.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = u.server.Serve(listener) }() // ends with close
	return u, nil
}

func (u *upstream) close() { _ = u.server.Close() }

// authorize responds to an authorization request with the address to return to.
func (u *upstream) authorize(request *url.URL, email string) (string, error) {
	q := request.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Host == "" {
		return "", errors.New("upstream: no redirect_uri")
	}
	code := rand.Text()
	u.mu.Lock()
	u.codes[code] = upstreamCode{q.Get("nonce"), email}
	u.mu.Unlock()
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {u.issuer}}.Encode()
	return back.String(), nil
}

func (u *upstream) token(w http.ResponseWriter, r *http.Request) {
	if u.stalls.Load() {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client disconnected
		<-r.Context().Done()
		return
	}
	u.mu.Lock()
	c, ok := u.codes[r.FormValue("code")]
	delete(u.codes, r.FormValue("code"))
	u.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now().Unix()
	id, err := u.sign(map[string]any{"iss": u.issuer, "aud": u.clientID, "sub": c.email, "nonce": c.nonce, "iat": now,
		"exp": now + 600, "auth_time": now,
		"email": c.email, "email_verified": true, "name": "Bench Person", "given_name": "Bench", "family_name": "Person"})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 600, "id_token": id})
}

func (u *upstream) sign(claims map[string]any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := b64([]byte(`{"alg":"ES256","kid":"bench","typ":"JWT"}`)) + "." + b64(body)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, u.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64(signature), nil
}

func (u *upstream) jwks(w http.ResponseWriter, _ *http.Request) {
	point, err := u.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "bench", "use": "sig",
		"alg": "ES256",
		"x":   b64(point[1:33]), "y": b64(point[33:])}}})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have disconnected
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
