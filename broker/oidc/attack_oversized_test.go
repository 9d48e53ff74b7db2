package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// oversized are texts that cost a careless reader more than their bytes.
func oversized() map[string]string {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return map[string]string{
		"open brackets": strings.Repeat("[", 30000), "deep lists": deep("[", "]", 15000), "deep objects": deep(`{"a":`, "}",
			6000), "deep and legal": `{"userinfo":` + deep(`{"a":`, "}", 500) + `}`,
		"a wide object": "{" + strings.TrimSuffix(strings.Repeat(`"a":null,`, 6000), ",") + "}", "a huge number": `{"exp":` +
			strings.Repeat("9", 30000) + `}`, "a huge exponent": `{"exp":1e999999999}`,
		"escapes": `{"` + strings.Repeat(`\u0041`, 5000) + `":1}`, "surrogates": `"` + strings.Repeat(`\ud800`, 5000) + `"`,
		"one long word": strings.Repeat("a", 60000) + "!",
		"many spaces":   strings.Repeat(" ", 60000), "many dots": strings.Repeat(".", 60000),
		"many commas": strings.Repeat(",", 60000), "entities": `<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>`,
		"a JWT of deep parts":    part(deep("[", "]", 5000)) + "." + part(deep("[", "]", 5000)) + ".x",
		"a JWT of a deep header": part(`{"alg":"ES256","x":`+deep("[", "]", 5000)+`}`) + ".e30.x",
		"a JWT of many parts":    strings.Repeat("eyJhbGciOiJFUzI1NiJ9.", 2000),
		"a JWE": "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJlbmMiOiJBMTI4R0NNIiwicDJjIjoyMTQ3NDgzNjQ3fQ" +
			".x.x.x.x",
		"a compressed JWE": part(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`) + "..x.x.x",
		"JSON for a JWS": `{"payload":"x","signatures":[` + strings.TrimSuffix(
			strings.Repeat(`{"protected":"e30","signature":"x"},`, 800), ",") + `]}`,
	}
}

// carriers is everywhere that a stranger's text is read by more than comparing it.
func (a *artifacts) carriers() map[string]func(payload string) answer {
	h := a.harness
	form := func(path string, pairs ...string) func(string) answer {
		return func(payload string) answer {
			f := url.Values{}
			for i := 0; i+1 < len(pairs); i += 2 {
				f.Set(pairs[i], strings.ReplaceAll(pairs[i+1], "PAYLOAD", payload))
			}
			return h.call(path, slices.Concat(flat(f))...)
		}
	}
	header := func(method, path, name, prefix string) func(string) answer {
		return func(payload string) answer {
			r := newRequest(method, path, url.Values{"grant_type": {clients.GrantClient}})
			if name == headerDPoP {
				r.SetBasicAuth("app", h.secret)
			}
			r.Header.Set(name, prefix+payload)
			return h.send(r)
		}
	}
	all := map[string]func(string) answer{
		"userinfo": header(http.MethodGet, "/userinfo", "Authorization", "Bearer "), "userinfo, DPoP": header(http.MethodGet,
			"/userinfo", "Authorization", "DPoP "),
		"a proof": header(http.MethodPost, "/token", headerDPoP, ""), "registration": header(http.MethodGet,
			pathRegister+"/"+a.self, "Authorization", "Bearer "),
		"register":   header(http.MethodPost, pathRegister, "Authorization", "Bearer "),
		"introspect": form("/introspect", "token", "PAYLOAD"), "revoke": form("/revoke", "token", "PAYLOAD"),
		"code": form("/token",
			"grant_type", clients.GrantCode, "code", "PAYLOAD"),
		"refresh": form("/token", "grant_type", clients.GrantRefresh, "refresh_token", "PAYLOAD"), "device": form("/token",
			"grant_type",
			clients.GrantDevice, "device_code", "PAYLOAD"),
		"grant": form("/token", "grant_type", "PAYLOAD"), "scope": form("/token", "grant_type", clients.GrantClient, "scope",
			"PAYLOAD"),
		"resource": form("/token", "grant_type", clients.GrantClient, "resource", "PAYLOAD"),
		"assertion": form("/token", "grant_type", clients.GrantClient, "client_id", "signer", "client_assertion_type",
			assertionType, "client_assertion", "PAYLOAD"),
		"device scope": form(pathDeviceAuthorization, "scope", "PAYLOAD"), "user code": func(s string) answer {
			return a.browser.post(pathDevice, url.Values{"user_code": {s}})
		},
		"metadata": func(s string) answer {
			r := httptest.NewRequest(http.MethodPost, issuer+pathRegister, strings.NewReader(s))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+a.all["initial token"])
			return h.send(r)
		},
		"jwks": func(s string) answer {
			return h.sends(http.MethodPost, pathRegister, a.all["initial token"],
				metadataOf(doc{"jwks": s, "token_endpoint_auth_method": clients.MethodKey}))
		},
		"hint at a sign-out": func(s string) answer {
			return a.browser.get("/end_session?id_token_hint=" + url.QueryEscape(s))
		},
	}
	for _, name := range []string{"claims", "id_token_hint", "request", "request_uri", "acr_values", "ui_locales",
		"claims_locales", "prompt", "max_age", "scope", "redirect_uri", "dpop_jkt", "resource", "code_challenge"} {
		all[name] = func(s string) answer { return a.browser.get("/authorize?" + ask(name, s).Encode()) }
		all[name+", pushed"] = func(s string) answer { return h.push(ask(name, s)) }
	}
	return all
}

func flat(f url.Values) (pairs []string) {
	for name := range f {
		pairs = append(pairs, name, f.Get(name))
	}
	return pairs
}

func TestH10_OversizedInputIsBoundedEverywhere(t *testing.T) {
	a := newArtifacts(t, ports{})
	for at, carry := range a.carriers() {
		for name, payload := range oversized() {
			r := carry(payload)
			if r.StatusCode >= 500 || r.json["access_token"] != nil || r.json["active"] == true || r.json["client_id"] != nil &&
				r.StatusCode == http.StatusCreated {
				t.Errorf("%s at %s: %d %.200s", name, at, r.StatusCode, r.body)
			}
		}
	}
	if !a.active(a.all["access token"]) {
		t.Error("nothing works any more")
	}
}

// A stranger chooses the key of a proof, and a huge one takes us seconds. The parser
// refuses it, and strong would.
func TestH10_A9_AProofByAHugeKeyIsNotVerified(t *testing.T) {
	h := newHarness(t)
	for bits, want := range map[int]int{2048: http.StatusOK, 3600: http.StatusOK, 4800: http.StatusBadRequest} {
		a := h.tokenWith([]string{proofOf(t, h, bits)}, form("grant_type", clients.GrantClient))
		if a.StatusCode != want || want != http.StatusOK && a.text("error") != "invalid_dpop_proof" {
			t.Errorf("%d bits: %d %s", bits, a.StatusCode, a.body)
		}
	}
}

// proofOf is a DPoP proof that is right, by an RSA key of so many bits. The key is made
// of many small primes, since a key of two large ones would take its time.
func proofOf(t *testing.T, h *harness, bits int) string {
	t.Helper()
	e, one := big.NewInt(65537), big.NewInt(1)
	n, phi, d := new(big.Int).Set(one), new(big.Int).Set(one), new(big.Int)
	for n.BitLen() < bits {
		p, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			t.Fatal(err)
		}
		n.Mul(n, p)
		phi.Mul(phi, p.Sub(p, one))
	}
	if d.ModInverse(e, phi) == nil {
		return proofOf(t, h, bits)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	head := mustJSON(map[string]any{"alg": "RS256", "typ": typProof, "jwk": map[string]string{"kty": "RSA",
		"n": b64(n.Bytes()), "e": b64(e.Bytes())}})
	body := mustJSON(map[string]any{"jti": broker.NewToken(), "htm": http.MethodPost, "htu": issuer + "/token",
		"iat": h.clock.Now().Unix()})
	text := b64([]byte(head)) + "." + b64([]byte(body))
	// EMSA-PKCS1-v1_5 (RFC 8017 §9.2).
	sum := sha256.Sum256([]byte(text))
	prefix, err := hex.DecodeString("003031300d060960864801650304020105000420")
	if err != nil {
		t.Fatal(err)
	}
	size := (n.BitLen() + 7) / 8
	tail := append(prefix, sum[:]...)
	em := slices.Concat([]byte{0, 1}, []byte(strings.Repeat("\xff", size-2-len(tail))), tail)
	signature := new(big.Int).Exp(new(big.Int).SetBytes(em), d, n).FillBytes(make([]byte, size))
	return text + "." + b64(signature)
}
