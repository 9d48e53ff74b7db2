package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// spoilt are proofs that must not pass, whatever they are shown with.
func spoilt(h *harness, method, path, token string) map[string][]string {
	p := newProver(h.t, signing.ES256)
	if h.prover != nil {
		p = h.prover
	}
	by := func(p *prover, edit func(*draft)) []string { return []string{p.proof(h, method, path, token, edit)} }
	claim := func(name string, v any) []string {
		return by(p, func(d *draft) {
			if d.claims[name] = v; v == nil {
				delete(d.claims, name)
			}
		})
	}
	head := func(name jose.HeaderKey, v any) []string { return by(p, func(d *draft) { d.header[name] = v }) }
	good := p.proof(h, method, path, token, nil)
	part := strings.Split(good, ".")
	raw := func(header string) []string {
		return []string{base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + part[1] + "." + part[2]}
	}
	now := h.clock.Now()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	h.must(err)
	return map[string][]string{
		"two": {good, p.proof(h, method, path, token, nil)}, "the same twice": {good, good}, "empty": {""},
		"nonsense": {"x.y.z"}, "two in one": {good + ", " + good},
		"alg none":      raw(`{"alg":"none","typ":"dpop+jwt"}`),
		"HS256":         raw(`{"alg":"HS256","typ":"dpop+jwt","jwk":{"kty":"oct","k":"AAAA"}}`),
		"typ JWT":       head("typ", "JWT"),
		"no typ":        head("typ", ""),
		"typ at+jwt":    head("typ", "at+jwt"),
		"critical":      raw(`{"alg":"ES256","typ":"dpop+jwt","crit":["exp"],"exp":1}`),
		"no key":        by(p, func(d *draft) { d.jwk = nil }),
		"another's key": by(p, func(d *draft) { d.jwk = jose.JSONWebKey{Key: private.Public()} }),
		"a private key": by(p, func(d *draft) { d.jwk = jose.JSONWebKey{Key: p.key} }),
		"a small key":   by(&prover{h.t, signing.RS256, small}, nil),
		"no jti":        claim("jti", nil), "empty jti": claim("jti", ""), "long jti": claim("jti",
			strings.Repeat("x", maxJTI+1)), "jti is a number": claim("jti", 1),
		"no htm": claim("htm", nil), "another htm": claim("htm", "PUT"), "htm in lower case": claim("htm",
			strings.ToLower(method)),
		"no htu": claim("htu", nil), "another path": claim("htu", issuer+"/other"), "another host": claim("htu",
			"https://evil.example"+path),
		"plain http": claim("htu", "http://id.example.com"+path), "no scheme": claim("htu", "//id.example.com"+path),
		"a user":        claim("htu", "https://x@id.example.com"+path),
		"a longer path": claim("htu", issuer+path+"/"), "escaped": claim("htu", issuer+"/%"+"74"+path[2:]),
		"no iat": claim("iat", nil), "iat is text": claim("iat", "now"), "too old": claim("iat",
			now.Add(-proofLife-time.Second).Unix()),
		"from the future": claim("iat", now.Add(proofLife+time.Second).Unix()), "from the far future": claim("iat", 1e300),
		"cut": {good[:len(good)-2]}, "edited": {part[0] + "." + part[1] + "AA." + part[2]}, "another spelling": {good + "="},
	}
}

func TestASpoiltProofIsRefusedAtTheTokenEndpoint(t *testing.T) {
	h := newHarness(t)
	code := h.browser().code(ask())
	redeem := form("grant_type", clients.GrantCode, "code", code, "redirect_uri", callback, "code_verifier", verifier)
	for name, proofs := range spoilt(h, http.MethodPost, "/token", "") {
		if a := h.tokenWith(proofs, redeem); a.StatusCode != http.StatusBadRequest ||
			a.text("error") != "invalid_dpop_proof" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	got := h.wants(h.tokenWith(nil, redeem), http.StatusOK, "") // nothing of it consumed the code
	if got.text("token_type") != "Bearer" {
		t.Errorf("%s", got.body)
	}
}

func TestASpoiltProofIsRefusedAtUserinfo(t *testing.T) {
	for _, k := range kinds()[2:] {
		h := newHarness(t).as(k)
		token := h.signIn().text("access_token")
		for name, proofs := range spoilt(h, http.MethodGet, "/userinfo", token) {
			a := h.shows("DPoP", token, proofs...)
			challenge := a.Header.Get("WWW-Authenticate")
			if a.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(challenge, "DPoP ") || !strings.Contains(challenge,
				`algs="ES256 EdDSA Ed25519 PS256 RS256"`) ||
				!strings.Contains(challenge, `error="`+a.text("error")+`"`) || a.text("error") != "invalid_dpop_proof" {
				t.Errorf("%s: %d %s %s", name, a.StatusCode, a.body, challenge)
			}
		}
		other := h.signIn().text("access_token")
		h.wants(h.shows("DPoP", token), http.StatusUnauthorized, "invalid_dpop_proof")
		h.wants(h.shows("DPoP", token, h.prover.proof(h, http.MethodGet, "/userinfo", "", nil)), http.StatusUnauthorized,
			"invalid_dpop_proof")
		h.wants(h.shows("DPoP", token, h.prover.proof(h, http.MethodGet, "/userinfo", other, nil)), http.StatusUnauthorized,
			"invalid_dpop_proof")
		h.wants(h.shows("DPoP", token, newProver(t, signing.ES256).proof(h, http.MethodGet, "/userinfo", token, nil)),
			http.StatusUnauthorized, "invalid_token")
		h.wants(h.userinfo(token), http.StatusOK, "")
	}
}

func TestABoundTokenIsNoBearerTokenAndABearerTokenIsNotBound(t *testing.T) {
	for _, k := range kinds()[2:] {
		h := newHarness(t).as(k)
		token, p := h.signIn().text("access_token"), h.prover
		proof := func() string { return p.proof(h, http.MethodGet, "/userinfo", token, nil) }
		for _, scheme := range []string{"Bearer", "bearer"} {
			for _, proofs := range [][]string{nil, {proof()}} {
				a := h.wants(h.shows(scheme, token, proofs...), http.StatusUnauthorized, "invalid_token")
				if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "DPoP ") {
					t.Errorf("%v", a.Header)
				}
			}
		}
		posted := newRequest(http.MethodPost, "/userinfo", url.Values{"access_token": {token}})
		posted.Header.Set("DPoP", p.proof(h, http.MethodPost, "/userinfo", token, nil))
		h.wants(h.send(posted), http.StatusUnauthorized, "invalid_token")
		h.wants(h.shows("dpop", token, proof()), http.StatusOK, "")
		h.prover = nil
		token = h.signIn().text("access_token")
		h.wants(h.shows("DPoP", token, proof()), http.StatusUnauthorized, "invalid_token")
		h.wants(h.shows("Bearer", token), http.StatusOK, "")
	}
}

func TestAProofMayBeALittleOldAndSayMore(t *testing.T) {
	h := newHarness(t)
	p := newProver(t, signing.ES256)
	machine := form("grant_type", clients.GrantClient)
	for name, edit := range map[string]func(*draft){
		"a minute old":     func(d *draft) { d.claims["iat"] = h.clock.Now().Add(-proofLife).Unix() },
		"a minute ahead":   func(d *draft) { d.claims["iat"] = h.clock.Now().Add(proofLife).Unix() },
		"parts of seconds": func(d *draft) { d.claims["iat"] = float64(h.clock.Now().Unix()) + 0.5 },
		"a query":          func(d *draft) { d.claims["htu"] = issuer + "/token?x=y#z" },
		"upper case":       func(d *draft) { d.claims["htu"] = "HTTPS://ID.example.com:443/token" },
		"nonce, exp, nbf": func(d *draft) {
			d.claims["nonce"], d.claims["exp"], d.claims["nbf"] = "x", 1, h.clock.Now().Unix()+8
		},
	} {
		a := h.tokenWith([]string{p.proof(h, http.MethodPost, "/token", "", edit)}, machine)
		if a.StatusCode != http.StatusOK || a.text("token_type") != "DPoP" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	for htu, status := range map[string]int{"https://evil.example/token": http.StatusBadRequest,
		issuer + "/token": http.StatusOK} {
		r := newRequest(http.MethodPost, "/token", machine)
		r.SetBasicAuth("app", h.secret)
		r.Host = "evil.example" // a name that its sender chose
		r.Header.Set("DPoP", p.proof(h, http.MethodPost, "/token", "", func(d *draft) { d.claims["htu"] = htu }))
		if a := h.send(r); a.StatusCode != status {
			t.Errorf("%s: %d %s", htu, a.StatusCode, a.body)
		}
	}
}

func TestA9_AProofWorksOnceOnAFleet(t *testing.T) {
	fleet(t, func(t *testing.T, one, two *harness) {
		one.as(kind{dpop: true})
		p := one.prover
		one.prover, two.prover = nil, nil
		token := one.tokenWith([]string{p.proof(one, http.MethodPost, "/token", "", nil)},
			form("grant_type", clients.GrantClient)).text("access_token")
		if !two.active(token) {
			t.Fatal("no token")
		}
		one.prover = p
		person := one.signIn().text("access_token")
		one.prover = nil
		for range 8 { // minutes: the access token lives for ten
			atToken := p.proof(one, http.MethodPost, "/token", "", nil)
			wonOnce(t, one, two, func(h *harness) answer {
				return h.tokenWith([]string{atToken}, form("grant_type", clients.GrantClient))
			})
			atUserinfo := p.proof(one, http.MethodGet, "/userinfo", person, nil)
			wonOnce(t, one, two, func(h *harness) answer { return h.shows("DPoP", person, atUserinfo) })
			one.clock.add(proofLife)
			for _, h := range []*harness{one, two, one.replica(ports{})} {
				h.wants(h.tokenWith([]string{atToken}, form("grant_type", clients.GrantClient)), http.StatusBadRequest,
					"invalid_dpop_proof")
				h.wants(h.shows("DPoP", person, atUserinfo), http.StatusUnauthorized, "invalid_dpop_proof")
			}
		}
	})
}

// wonOnce races one request on two replicas: one of twenty may succeed.
func wonOnce(t *testing.T, one, two *harness, try func(h *harness) answer) {
	t.Helper()
	won, said := onBoth(20, one, two, try)
	if len(won) != 1 || said["400invalid_dpop_proof"]+said["401invalid_dpop_proof"] != 19 {
		t.Errorf("%v", said)
	}
}

func TestA9_AProofIsRememberedForItsKeyAndAsLongAsItIsGood(t *testing.T) {
	h := newHarness(t)
	one, two := newProver(t, signing.ES256), newProver(t, signing.ES256)
	same := func(ahead time.Duration) func(*draft) {
		return func(d *draft) { d.claims["jti"], d.claims["iat"] = "chosen", h.clock.Now().Add(ahead).Unix() }
	}
	machine := form("grant_type", clients.GrantClient)
	ahead := one.proof(h, http.MethodPost, "/token", "", same(proofLife))
	h.wants(h.tokenWith([]string{ahead}, machine), http.StatusOK, "")
	// another's jti
	h.wants(h.tokenWith([]string{two.proof(h, http.MethodPost, "/token", "", same(0))}, machine), http.StatusOK, "")
	for range 4 {
		_, _, err := h.db.Purge(h.ctx(), h.clock.Now(), 100)
		h.must(err)
		h.wants(h.tokenWith([]string{ahead}, machine), http.StatusBadRequest, "invalid_dpop_proof")
		h.wants(h.tokenWith([]string{one.proof(h, http.MethodPost, "/token", "", same(0))}, machine), http.StatusBadRequest,
			"invalid_dpop_proof")
		h.clock.add(proofLife / 2)
	}
	h.wants(h.tokenWith([]string{ahead}, machine), http.StatusBadRequest, "invalid_dpop_proof")
}

func TestA9_AStrangersProofsAreNotKept(t *testing.T) {
	h := newHarness(t)
	p := newProver(t, signing.ES256)
	proof := p.proof(h, http.MethodPost, "/token", "", nil)
	r := newRequest(http.MethodPost, "/token", form("grant_type", clients.GrantClient))
	r.SetBasicAuth("app", "wrong")
	r.Header.Set("DPoP", proof)
	h.wants(h.send(r), http.StatusUnauthorized, "invalid_client")
	h.wants(h.tokenWith([]string{proof}, form("grant_type", clients.GrantCode, "code", "x", "redirect_uri", callback)),
		http.StatusBadRequest, "invalid_grant")
	h.wants(h.shows("DPoP", "nonsense", p.proof(h, http.MethodGet, "/userinfo", "nonsense", nil)), http.StatusUnauthorized,
		"invalid_token")
	h.wants(h.tokenWith([]string{proof}, form("grant_type", clients.GrantClient)), http.StatusOK, "")
}

func TestA5_ACodeOfEveryKindOfTokenIsConsumedOnceByAFleet(t *testing.T) {
	for _, k := range kinds()[1:] {
		t.Run(k.name, func(t *testing.T) {
			fleet(t, func(t *testing.T, one, two *harness) {
				two.prover = one.as(k).prover
				for range 3 {
					code := one.browser().code(ask())
					won, said := onBoth(20, one, two, func(at *harness) answer { return at.redeem(code) })
					if len(won) != 1 || said["400invalid_grant"] != 19 {
						t.Fatalf("%v", said)
					}
					for _, h := range []*harness{one, two} {
						if h.active(won[0].text("access_token")) || h.active(won[0].text("refresh_token")) {
							t.Fatal("what the first one got lives")
						}
						h.wants(h.userinfo(won[0].text("access_token")), http.StatusUnauthorized, "invalid_token")
					}
				}
			})
		})
	}
}

func TestA6_ReuseEndsTokensOfEveryKindOnEveryReplica(t *testing.T) {
	for _, k := range kinds()[1:] {
		t.Run(k.name, func(t *testing.T) {
			fleet(t, func(t *testing.T, one, two *harness) {
				two.prover = one.as(k).prover
				first := one.signIn().text("refresh_token")
				second := two.wants(two.refresh(first), http.StatusOK, "")
				if again := one.refresh(first); again.text("refresh_token") != second.text("refresh_token") {
					t.Errorf("a retry: %s", again.body)
				}
				one.clock.add(broker.RefreshGrace)
				one.wants(one.refresh(first), http.StatusBadRequest, "invalid_grant")
				for _, h := range []*harness{one, two, one.replica(ports{})} {
					h.wants(h.refresh(second.text("refresh_token")), http.StatusBadRequest, "invalid_grant")
					h.wants(h.userinfo(second.text("access_token")), http.StatusUnauthorized, "invalid_token")
					if h.active(second.text("access_token")) || h.active(second.text("refresh_token")) {
						t.Error("the family lives")
					}
				}
			})
		})
	}
}
