package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

// FuzzIDToken signs any header and payload with a trusted key. Every accepted token is for us, valid now, for
// this login, and has a subject.
func FuzzIDToken(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	now := (&clock{}).now
	v := verifier{clientID: "us", now: now, issued: issuedBy,
		keys: &cache[keySet]{now: now, load: func(context.Context, *keySet) (keySet, time.Duration, error) {
			return keySet{all: []key{{id: "k", public: &private.PublicKey}}}, time.Hour, nil
		}}}
	const header = `{"alg":"ES256","kid":"k","typ":"JWT"}`
	good :=
		`{"iss":"https://up","aud":"us","sub":"s","nonce":"n","iat":1795338000,"exp":1795341600,"email":"a@example.test",` +
			`"email_verified":true,"name":"A"}`
	for _, payload := range []string{good, strings.Replace(good, `"us"`, `["us","x"],"azp":"us"`, 1),
		strings.Replace(good, "179534", "1e9", 1), `{}`, `[]`, `{"a":{"a":{"a":{}}}}`} {
		f.Add(header, payload, false)
	}
	f.Add(`{"alg":"none"}`, good, false)
	f.Add(`{"alg":"ES256","alg":"none"}`, good, false)
	f.Add(`{"alg":"HS256"}`, good, true)
	f.Add(`{"alg":"ES256","crit":["b64"],"b64":false}`, good, false)
	part := base64.RawURLEncoding.EncodeToString
	if _, err := v.verify(context.Background(), &metadata{issuer: "https://up", algs: algorithms}, "n",
		signed(f, private, part([]byte(header))+"."+part([]byte(good)))); err != nil {
		f.Fatalf("the seed is not good: %v", err)
	}
	f.Fuzz(func(t *testing.T, header, payload string, corrupt bool) {
		input := part([]byte(header)) + "." + part([]byte(payload))
		public, _ := x509.MarshalPKIXPublicKey(&private.PublicKey)
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		for who, forged := range map[string]string{"nobody": input + ".", "another key": signed(t, foreign, input),
			"our public key as a secret": input + "." + part(mac.Sum(nil))} {
			if id, err := v.verify(t.Context(), &metadata{issuer: "https://up", algs: algorithms}, "n", forged); err == nil ||
				id.subject != "" {
				t.Fatalf("believed %q %q, signed by %s", header, payload, who)
			}
		}
		raw := signed(t, private, input)
		if corrupt {
			raw = raw[:len(raw)-4] + "AAAA"
		}
		id, err := v.verify(t.Context(), &metadata{issuer: "https://up", algs: algorithms}, "n", raw)
		if err != nil {
			if id.subject != "" || broker.CodeOf(err) != broker.UpstreamRejected {
				t.Fatalf("%q with %v", id.subject, err)
			}
			return
		}
		exp, _ := id.date("exp")
		if corrupt || id.issuer != "https://up" || id.subject == "" || id.document["nonce"] != "n" ||
			!strings.Contains(payload, "us") || now().Sub(exp) > skew || len(raw) > maxToken {
			t.Fatalf("believed %q %q", header, payload)
		}
		for _, shown := range []string{id.name("name"), id.name("given_name"), id.locale("locale"), id.email("email")} {
			if !utf8.ValidString(shown) || len([]rune(shown)) > broker.MaxEmail ||
				strings.ContainsFunc(shown, unicode.IsControl) || strings.ContainsAny(shown, "\u202e\u2066\u200b") {
				t.Fatalf("%q is shown to people", shown)
			}
		}
	})
}

func signed(t testing.TB, private *ecdsa.PrivateKey, input string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// FuzzRawToken feeds unsigned bytes: none are accepted, and nothing panics.
func FuzzRawToken(f *testing.F) {
	now := (&clock{}).now
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	v := verifier{clientID: "us", now: now, issued: issuedBy,
		keys: &cache[keySet]{now: now, load: func(context.Context, *keySet) (keySet, time.Duration, error) {
			return keySet{all: []key{{id: "k", public: &private.PublicKey}}}, time.Hour, nil
		}}}
	for _, raw := range []string{"", "a.b.c", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
		`{"payload":"e30","signatures":[]}`, strings.Repeat(".", 9)} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := v.verify(t.Context(), &metadata{issuer: "https://up", algs: algorithms}, "n",
			raw); broker.CodeOf(err) != broker.UpstreamRejected {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

// FuzzDiscovery: accepted metadata have our issuer and safe endpoints.
func FuzzDiscovery(f *testing.F) {
	good :=
		`{"issuer":"https://up","authorization_endpoint":"https://up/a","token_endpoint":"https://up/t",` +
			`"jwks_uri":"https://up/k","userinfo_endpoint":"https://up/u"}`
	if _, err := parseMetadata([]byte(good), exactly("https://up")); err != nil {
		f.Fatal(err)
	}
	for _, doc := range []string{good, strings.ReplaceAll(good, "https", "http"),
		strings.Replace(good, "https://up/a", "javascript:x", 1), `{"issuer":"https://up","issuer":"https://x"}`, `{}`, `[]`,
		``} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := parseMetadata(doc, exactly("https://up"))
		if err != nil {
			return
		}
		for _, e := range []string{m.authorize, m.token, m.jwks, m.userinfo} {
			if m.issuer != "https://up" || e != "" && !strings.HasPrefix(e, "https://") ||
				strings.ContainsAny(e, " \n\\\"'<>") && checkURL(e) != "" {
				t.Fatalf("%q of %q is taken", e, m.issuer)
			}
		}
	})
}

// FuzzKeys: an accepted set contains public keys of supported types.
func FuzzKeys(f *testing.F) {
	f.Add(
		[]byte(
			`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
				`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"e"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := parseKeys(doc)
		if err != nil {
			return
		}
		for _, k := range set.all {
			for _, alg := range []string{"HS256", "none", ""} {
				if k.fits(alg) {
					t.Fatalf("a key fits %q", alg)
				}
			}
		}
	})
}

// FuzzSignedRequest: without the secret no subject is returned.
func FuzzSignedRequest(f *testing.F) {
	now := (&clock{}).now()
	payload := map[string]any{"algorithm": "HMAC-SHA256", "user_id": "42", "issued_at": now.Unix()}
	if id, err := readSignedRequest(fakeidp.SignRequest("secret", payload), []broker.Secret{"secret"}, now); err != nil ||
		id != "42" {
		f.Fatalf("the seed is not good: %q, %v", id, err)
	}
	f.Add(fakeidp.SignRequest("another", payload))
	f.Add("." + strings.Split(fakeidp.SignRequest("secret", payload), ".")[1])
	for _, s := range []string{"", ".", "a.b", "a.b.c", "=.=", strings.Repeat("a", 9000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		if id, err := readSignedRequest(message, []broker.Secret{"never seen by the fuzzer", ""}, now); err == nil ||
			id != "" {
			t.Fatalf("%q names %q", message, id)
		}
	})
}
