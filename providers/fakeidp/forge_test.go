package fakeidp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// forged signs in under a forgery.
func forged(t *testing.T, s *Server, change func(*Fault)) string {
	t.Helper()
	s.Behave()
	s.Misbehave(change)
	return text(signIn(t, s, "vera"), "id_token")
}

// published returns the only public key of a provider.
func published(t *testing.T, s *Server) jose.JSONWebKey {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(get(t, s.BaseURL()+"/jwks", nil).body), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v %v", set, err)
	}
	return set.Keys[0]
}

func TestB5_EvilIDPLeavesTokensUnsigned(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	token := forged(t, s, func(f *Fault) { f.Forge = ForgeUnsigned })
	header, claims := parts(t, token)
	expect(t, header, map[string]any{"alg": "none", "kid": nil})
	expect(t, claims, map[string]any{"nonce": "a-nonce"})
	if !strings.HasSuffix(token, ".") {
		t.Error("it has a signature")
	}
	header, _ = parts(t, forged(t, s, func(f *Fault) { f.Forge = ForgeUnsigned; f.SetHeader("alg", "nOnE") }))
	expect(t, header, map[string]any{"alg": "nOnE"})
	token = forged(t, s, func(f *Fault) { f.Forge = ForgeNoSig })
	header, _ = parts(t, token)
	if header["alg"] != "RS256" || !strings.HasSuffix(token, ".") {
		t.Errorf("%v", header)
	}
}

func TestB5_EvilIDPKeysHMACWithWhatIsPublic(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	public := published(t, s)
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		t.Fatal(err)
	}
	for forge, secret := range map[Forgery][]byte{
		ForgeHMACDER: der, ForgeHMACPEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		ForgeHMACSecret: []byte(s.opts.ClientSecret),
	} {
		token := forged(t, s, func(f *Fault) { f.Forge = forge })
		header, _ := parts(t, token)
		expect(t, header, map[string]any{"alg": "HS256", "kid": public.KeyID})
		cut := strings.LastIndex(token, ".")
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(token[:cut]))
		if token[cut+1:] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("%s: the key is another", forge)
		}
	}
	header, _ := parts(t, forged(t, s, func(f *Fault) { f.Forge = ForgeHMACJWK }))
	expect(t, header, map[string]any{"alg": "HS256"})
}

func TestB5_B8_EvilIDPSignsWrongly(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	for _, forge := range []Forgery{ForgeWrongKey, ForgeCorrupt} {
		token := forged(t, s, func(f *Fault) { f.Forge = forge })
		header, _ := parts(t, token)
		expect(t, header, map[string]any{"alg": "RS256", "kid": published(t, s).KeyID})
		if _, err := verify(t, s, "/jwks", "RS256", token); err == nil {
			t.Errorf("%s: the signature holds", forge)
		}
	}
}

func TestB5_EvilIDPUsesOtherAlgorithmsWithItsRealKey(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512"} {
		token := forged(t, s, func(f *Fault) { f.Alg = alg })
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		// The key alone, because go-jose checks a JWK's own alg.
		if _, err := signed.Verify(published(t, s).Key); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	header, _ := parts(t, forged(t, s, func(f *Fault) { f.Alg = "ES256" }))
	expect(t, header, map[string]any{"alg": "ES256", "kid": published(t, s).KeyID})
}

func TestB5_EvilIDPWritesOddHeaders(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	token := forged(t, s, func(f *Fault) {
		f.SetHeader("crit", []string{"b64"})
		f.SetHeader("b64", false)
		f.RawHeader = DuplicateMember("alg", "none")
	})
	raw, err := base64.RawURLEncoding.DecodeString(token[:strings.Index(token, ".")])
	if err != nil || strings.Count(string(raw), `"alg":`) != 2 || !strings.Contains(string(raw), `"b64":false`) {
		t.Errorf("%s %v", raw, err)
	}
}

func TestB6_EvilIDPNamesItsOwnKeyInTheHeader(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	var rogue jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(get(t, s.BaseURL()+roguePath, nil).body), &rogue); err != nil {
		t.Fatal(err)
	}
	for forge, member := range map[Forgery]string{ForgeJWK: "jwk", ForgeX5C: "x5c", ForgeJKU: "jku", ForgeX5U: "x5u"} {
		token := forged(t, s, func(f *Fault) { f.Forge = forge })
		header, _ := parts(t, token)
		if header[member] == nil || header["kid"] != rogue.Keys[0].KeyID {
			t.Errorf("%s: %v", forge, header)
		}
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatalf("%s: %v", forge, err)
		}
		if _, err := signed.Verify(rogue.Keys[0]); err != nil {
			t.Errorf("%s: a verifier that trusts the header must accept it: %v", forge, err)
		}
		if _, err := verify(t, s, "/jwks", "RS256", token); err == nil {
			t.Errorf("%s: the published key verifies it", forge)
		}
	}
	if s.Calls(AtRogueKeys) != 1 {
		t.Errorf("%d calls", s.Calls(AtRogueKeys))
	}
	header, _ := parts(t, forged(t, s, func(f *Fault) { f.SetHeader("kid", "../../etc/passwd") }))
	expect(t, header, map[string]any{"kid": "../../etc/passwd"})
}

func TestB7_EvilIDPUsesAnUnknownKidEachTime(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	first, _ := parts(t, forged(t, s, func(f *Fault) { f.Forge = ForgeUnknownKid }))
	second, _ := parts(t, forged(t, s, func(f *Fault) { f.Forge = ForgeUnknownKid }))
	if first["kid"] == second["kid"] || first["kid"] == published(t, s).KeyID {
		t.Errorf("%v %v", first, second)
	}
}

func TestB21_EvilIDPEncryptsAndCompresses(t *testing.T) {
	s := stage(t, Options{Kind: KindOIDC})
	key := sha256.Sum256([]byte(s.opts.ClientSecret))
	open := func(token string) []byte {
		t.Helper()
		object, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.DIRECT},
			[]jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := object.Decrypt(key[:])
		if err != nil && !strings.Contains(err.Error(), "decompress") {
			t.Fatal(err)
		}
		return payload
	}
	inner := open(forged(t, s, func(f *Fault) { f.Forge = ForgeEncrypted }))
	if _, err := verify(t, s, "/jwks", "RS256", string(inner)); err != nil {
		t.Errorf("inside is no good token: %v", err)
	}
	oversized := forged(t, s, func(f *Fault) { f.Forge = ForgeEncryptedZip })
	header, err := base64.RawURLEncoding.DecodeString(oversized[:strings.Index(oversized, ".")])
	if err != nil || !strings.Contains(string(header), `"zip":"DEF"`) || len(oversized) > 64<<10 {
		t.Errorf("%s, %d bytes, %v", header, len(oversized), err)
	}
	open(oversized)
	slow := forged(t, s, func(f *Fault) { f.Forge = ForgeEncryptedPBES2 })
	header, err = base64.RawURLEncoding.DecodeString(slow[:strings.Index(slow, ".")])
	if err != nil || !strings.Contains(string(header), `"p2c":2147483647`) || strings.Count(slow, ".") != 4 {
		t.Errorf("%s %v", header, err)
	}
}

func TestEveryKeySortSignsAndForges(t *testing.T) {
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		s := stage(t, Options{Kind: KindOIDC, Alg: alg})
		for _, forge := range []Forgery{ForgeWrongKey, ForgeCorrupt, ForgeJWK, ForgeX5C, ForgeHMACPEM} {
			token := forged(t, s, func(f *Fault) { f.Forge = forge })
			if _, err := verify(t, s, "/jwks", alg, token); err == nil {
				t.Errorf("%s %s verifies", alg, forge)
			}
		}
	}
}
