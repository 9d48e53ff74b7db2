package providers

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestEveryAlgorithmWeBelieveSignsIn(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, Alg: alg}, nil)
			if c := r.signsIn("vera"); c.Email != "vera@example.test" || c.Level != broker.EmailVerified {
				t.Errorf("claims %+v", c)
			}
		})
	}
}

func TestB4_ATokenOfAnotherLoginIsRefused(t *testing.T) {
	r := oidcFixture(t)
	for name, nonce := range map[string]any{"missing": nil, "empty": "", "another": "another", "number": 1,
		"list": []string{"x"}} {
		r.faulty(name, func(f *fakeidp.Fault) { f.SetClaim("nonce", nonce) },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
	t.Run("replayed", func(t *testing.T) {
		r.idp.Misbehave(func(f *fakeidp.Fault) { f.ReplayCodes, f.IgnorePKCE = true, true })
		defer r.idp.Behave()
		upstreamRequest, answer, err := r.begin("vera")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.open().Finish(t.Context(), upstreamRequest, answer); err != nil {
			t.Fatalf("first use: %v", err)
		}
		other := r.newRequest()
		answer.Set("state", other.State)
		c, err := r.open().Finish(t.Context(), other, answer)
		refusal(t, c, err, broker.UpstreamRejected)
	})
	t.Run("a trip without a nonce", func(t *testing.T) {
		r.request = func(upstreamRequest *broker.UpstreamRequest) { upstreamRequest.Nonce = "" }
		r.refused("vera", broker.UpstreamRejected)
	})
}

func TestB5_NoForgedSignatureIsBelieved(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256"} {
		r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, Alg: alg}, nil)
		r.signsIn("vera")
		for _, forge := range []fakeidp.Forgery{fakeidp.ForgeUnsigned, fakeidp.ForgeNoSig, fakeidp.ForgeHMACPEM,
			fakeidp.ForgeHMACDER,
			fakeidp.ForgeHMACJWK, fakeidp.ForgeHMACSecret, fakeidp.ForgeWrongKey, fakeidp.ForgeCorrupt} {
			r.faulty(alg+" "+string(forge), func(f *fakeidp.Fault) { f.Forge = forge },
				func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
		}
		for _, forge := range []fakeidp.Forgery{fakeidp.ForgeUnsigned, fakeidp.ForgeHMACPEM, fakeidp.ForgeHMACDER,
			fakeidp.ForgeHMACJWK, fakeidp.ForgeHMACSecret} {
			for _, name := range []string{"None", "nOnE", "NONE", "none ", "", "HS384", "HS512", "hs256", "RS256", "ES256"} {
				r.faulty(alg+" "+string(forge)+" as "+name, func(f *fakeidp.Fault) { f.Forge = forge; f.SetHeader("alg", name) },
					func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
			}
		}
		for _, name := range []string{"RS384", "RS512", "PS256", "PS384", "ES384", "ES512", "EdDSA", "RS1", "A128KW"} {
			r.faulty(alg+" signed as "+name, func(f *fakeidp.Fault) { f.Alg = name },
				func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
		}
	}
}

func TestB5_AnUpstreamCannotTalkUsIntoAnotherAlgorithm(t *testing.T) {
	r := oidcFixture(t)
	for name, algs := range map[string][]string{"none": {"none"}, "hmac": {"HS256"}, "both": {"none", "HS256", "RS1"},
		"empty": {}} {
		r.faulty(name, func(f *fakeidp.Fault) {
			f.Set(fakeidp.AtDiscovery, "id_token_signing_alg_values_supported", algs)
			f.Forge = fakeidp.ForgeHMACSecret
		}, func(r *fixture) {
			r.reset()
			if _, err := r.login("vera"); err == nil {
				t.Error("came in")
			}
		})
	}
}

func TestB5_AnAlgorithmThatTheUpstreamDidNotAnnounceIsRefused(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindADFS}, nil) // RS256, with keys that name only this use
	r.idp.Misbehave(func(f *fakeidp.Fault) {
		f.Rewrite(fakeidp.AtJWKS, func(b []byte) []byte {
			return []byte(strings.ReplaceAll(string(b), `"alg":"RS256",`,
				""))
		})
	})
	r.signsIn("hana")
	r.idp.Misbehave(func(f *fakeidp.Fault) {
		f.Set(fakeidp.AtDiscovery, "id_token_signing_alg_values_supported", []string{"PS256", "none"})
	})
	r.reset()
	r.refused("hana", broker.UpstreamRejected)
	r.idp.Misbehave(func(f *fakeidp.Fault) { f.Alg = "PS256" })
	r.signsIn("hana")
}

func TestB5_HeadersThatPlayTricksAreRefused(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	for name, header := range map[string]map[string]any{
		"crit": {"crit": []string{"exp"}}, "empty crit": {"crit": []string{}},
		"b64": {"b64": false, "crit": []string{"b64"}}, "zip": {"zip": "DEF"},
		"enc": {"enc": "A128GCM"}, "p2c": {"p2c": 2147483647}, "logout token": {"typ": "logout+jwt"},
		"access token":        {"typ": "at+jwt"},
		"typ of another sort": {"typ": 1}, "kid of another sort": {"kid": 1}, "long kid": {"kid": strings.Repeat("k", 300)},
		"empty kid":          {"kid": ""},
		"kid that is a path": {"kid": "../../dev/null"}, "kid that is SQL": {"kid": "' or 1=1 --"},
		"alg of another sort": {"alg": 256}, "no alg": {"alg": nil},
		"alg list": {"alg": []string{"ES256"}},
	} {
		r.faulty(name, func(f *fakeidp.Fault) { f.Header = header },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
	r.faulty("alg twice", func(f *fakeidp.Fault) { f.RawHeader = fakeidp.DuplicateMember("alg", "ES256") },
		func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	for _, typ := range []any{"JWT", "jwt", nil} {
		r.faulty("a usual typ", func(f *fakeidp.Fault) { f.SetHeader("typ", typ) }, func(r *fixture) { r.signsIn("vera") })
	}
}

func TestB6_ATokenCannotBringItsOwnKey(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	for _, forge := range []fakeidp.Forgery{fakeidp.ForgeJWK, fakeidp.ForgeX5C, fakeidp.ForgeJKU, fakeidp.ForgeX5U} {
		r.faulty(string(forge), func(f *fakeidp.Fault) { f.Forge = forge },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
	for _, header := range []string{"jku", "x5u"} {
		r.faulty("honest signature beside "+header, func(f *fakeidp.Fault) {
			f.SetHeader(header,
				r.idp.BaseURL()+"/fakeidp/rogue-keys")
		},
			func(r *fixture) { r.signsIn("vera") })
	}
	if n := r.idp.Calls(fakeidp.AtRogueKeys); n != 0 {
		t.Errorf("the address in the header was asked %d times", n)
	}
}

func TestB12_ATokenForAnotherClientIsRefused(t *testing.T) {
	r := oidcFixture(t)
	id, _ := r.idp.Client()
	for name, c := range map[string]struct {
		aud, azp any
		ok       bool
	}{
		"another":                {"another", nil, false},
		"missing":                {nil, nil, false},
		"empty":                  {"", nil, false},
		"empty list":             {[]string{}, nil, false},
		"prefix":                 {id + "x", nil, false},
		"substring":              {id[:len(id)-1], nil, false},
		"other case":             {strings.ToUpper(id), nil, false},
		"number":                 {1, nil, false},
		"list of mixed sorts":    {[]any{id, 1}, id, false},
		"list of one":            {[]string{id}, nil, true},
		"two without azp":        {[]string{id, "another"}, nil, false},
		"two with another's azp": {[]string{id, "another"}, "another", false},
		"two with our azp":       {[]string{id, "another"}, id, true},
		"another's azp":          {id, "another", false},
		"azp of another sort":    {id, []string{id}, false},
		"our azp":                {id, id, true},
		"too many":               {strings.Split(id+strings.Repeat(" x", 30), " "), id, false},
	} {
		r.faulty(name, func(f *fakeidp.Fault) { f.SetClaim("aud", c.aud); f.SetClaim("azp", c.azp) }, func(r *fixture) {
			if c.ok {
				r.signsIn("vera")
				return
			}
			r.refused("vera", broker.UpstreamRejected)
		})
	}
}

func TestB13_ATokenIsGoodOnlyNow(t *testing.T) {
	r := oidcFixture(t)
	at := func(d time.Duration) any { return r.clock.now().Add(d).Unix() }
	const year = 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		claims map[string]any
		ok     bool
	}{
		"no exp":               {map[string]any{"exp": nil}, false},
		"no iat":               {map[string]any{"iat": nil}, false},
		"exp 59 s ago":         {map[string]any{"exp": at(-59 * time.Second), "iat": at(-2 * time.Minute)}, true},
		"exp 61 s ago":         {map[string]any{"exp": at(-61 * time.Second), "iat": at(-2 * time.Minute)}, false},
		"exp an hour ago":      {map[string]any{"exp": at(-time.Hour), "iat": at(-2 * time.Hour)}, false},
		"exp in ten years":     {map[string]any{"exp": at(10 * year)}, true},
		"a life of a month":    {map[string]any{"exp": at(year / 12)}, true},
		"exp before iat":       {map[string]any{"exp": at(0), "iat": at(30 * time.Second)}, false},
		"iat in 59 s":          {map[string]any{"iat": at(59 * time.Second)}, true},
		"iat in 61 s":          {map[string]any{"iat": at(61 * time.Second)}, false},
		"iat 10 min ago":       {map[string]any{"iat": at(-10 * time.Minute)}, true},
		"iat 12 min ago":       {map[string]any{"iat": at(-12 * time.Minute)}, false},
		"iat ten years ago":    {map[string]any{"iat": at(-10 * year)}, false},
		"nbf in 59 s":          {map[string]any{"nbf": at(59 * time.Second)}, true},
		"nbf in 61 s":          {map[string]any{"nbf": at(61 * time.Second)}, false},
		"nbf in an hour":       {map[string]any{"nbf": at(time.Hour)}, false},
		"nbf of another sort":  {map[string]any{"nbf": "soon"}, false},
		"exp as text":          {map[string]any{"exp": "9999999999"}, false},
		"iat as text":          {map[string]any{"iat": "1"}, false},
		"exp with a fraction":  {map[string]any{"exp": json.Number("1795340000.5")}, true},
		"exp negative":         {map[string]any{"exp": -1}, false},
		"exp beyond numbers":   {map[string]any{"exp": json.Number("1e400")}, false},
		"exp beyond any clock": {map[string]any{"exp": json.Number("1e30")}, false},
		"exp null":             {map[string]any{"exp": json.RawMessage("null")}, false},
	} {
		r.faulty(name, func(f *fakeidp.Fault) { f.Claims = c.claims }, func(r *fixture) {
			if c.ok {
				r.signsIn("vera")
				return
			}
			r.refused("vera", broker.UpstreamRejected)
		})
	}
}

func TestASubjectIsThereAndShort(t *testing.T) {
	r := oidcFixture(t)
	for name, sub := range map[string]any{"missing": nil, "empty": "", "number": 7, "long": strings.Repeat("s", 256),
		"with a NUL": "a\x00b"} {
		r.faulty(name, func(f *fakeidp.Fault) { f.SetClaim("sub", sub) },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
}

func TestB20_HostileClaimsAreRefusedOrMadeHarmless(t *testing.T) {
	r := oidcFixture(t)
	refuse := func(r *fixture) { r.refused("vera", broker.UpstreamRejected) }
	r.faulty("a megabyte of name", func(f *fakeidp.Fault) {
		f.SetClaim("name", fakeidp.LongText(1<<20))
	}, func(r *fixture) {
		if _, err := r.login("vera"); err == nil {
			r.Error("came in")
		}
	})
	r.faulty("a token of 257 KiB", func(f *fakeidp.Fault) { f.SetClaim("name", fakeidp.LongText(193<<10)) }, refuse)
	r.faulty("deep", func(f *fakeidp.Fault) { f.SetClaim("x", fakeidp.DeepJSON(8)) }, refuse)
	r.faulty("not that deep", func(f *fakeidp.Fault) { f.SetClaim("x", fakeidp.DeepJSON(7)) },
		func(r *fixture) { r.signsIn("vera") })
	r.faulty("thousands of groups", func(f *fakeidp.Fault) { f.SetClaim("groups", fakeidp.ManyGroups(4000)) },
		func(r *fixture) { r.signsIn("vera") })
	r.faulty("a thousand claims", func(f *fakeidp.Fault) { f.Claims = fakeidp.ManyClaims(1000) },
		func(r *fixture) { r.signsIn("vera") })
	r.faulty("brackets up to the limit of bytes", func(f *fakeidp.Fault) {
		f.SetClaim("x", json.RawMessage("["+strings.Repeat("[],", 60000)+"1]"))
	}, func(r *fixture) { r.signsIn("vera") })
	r.faulty("sub twice", func(f *fakeidp.Fault) { f.RawPayload = fakeidp.DuplicateMember("sub", "victim") }, refuse)
	r.faulty("email twice", func(f *fakeidp.Fault) {
		f.RawPayload = fakeidp.DuplicateMember("email",
			"victim@example.test")
	}, refuse)
	r.faulty("a name twice, spelled with an escape", func(f *fakeidp.Fault) {
		f.RawPayload = func(b []byte) []byte { return append(b[:len(b)-1], `,"\u0073ub":"victim"}`...) }
	}, refuse)
	r.faulty("not UTF-8", func(f *fakeidp.Fault) { f.RawPayload = fakeidp.InvalidUTF8("name") }, refuse)
	r.faulty("cut", func(f *fakeidp.Fault) { f.RawPayload = fakeidp.Truncated }, refuse)
	r.faulty("a list", func(f *fakeidp.Fault) { f.RawPayload = func([]byte) []byte { return []byte(`["x"]`) } }, refuse)
	r.faulty("hostile name", func(f *fakeidp.Fault) { f.SetClaim("name", fakeidp.HostileName) }, func(r *fixture) {
		got := r.signsIn("vera").Name
		if got != "Ana[31m Set-Cookie: x=y txt.exe<script>alert(1)</script>" {
			r.Errorf("name %q", got)
		}
	})
	r.faulty("long name", func(f *fakeidp.Fault) { f.SetClaim("name", strings.Repeat("ü", 400)) }, func(r *fixture) {
		if got := r.signsIn("vera").Name; got != strings.Repeat("ü", 200) {
			r.Errorf("%d characters of name", len([]rune(got)))
		}
	})
	r.faulty("name in pieces", func(f *fakeidp.Fault) { f.SetClaim("name", "Zoe\u0308") }, func(r *fixture) {
		if got := r.signsIn("vera").Name; got != "Zo\u00eb" {
			r.Errorf("name %+q is not NFC", got)
		}
	})
	for _, bad := range []any{1, true, []string{"Vera"}, map[string]any{"first": "Vera"}} {
		r.faulty("name of another sort", func(f *fakeidp.Fault) {
			f.SetClaim("name", bad)
			f.SetClaim("locale", bad)
			f.SetClaim("amr", map[string]any{"x": bad})
		}, func(r *fixture) {
			if c := r.signsIn("vera"); c.Locale != "" || len(c.AMR) != 0 {
				r.Errorf("claims %+v", c)
			}
		})
	}
	for name, email := range map[string]any{"two ats": "a@b@example.test", "a NUL": "a\x00@example.test",
		"not ASCII": "vıctim@example.test", "long": strings.Repeat("a", 300) + "@example.test", "number": 1} {
		r.faulty("email with "+name, func(f *fakeidp.Fault) {
			f.SetClaim("email", email)
			f.Set(fakeidp.AtUserInfo, "email", email)
		}, func(r *fixture) {
			if c := r.signsIn("vera"); c.Email != "" || c.Level != broker.None {
				r.Errorf("e-mail %q at level %d", c.Email, c.Level)
			}
		})
	}
}

func TestB21_EncryptedAndCompressedTokensAreRefusedBeforeParsing(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	for _, forge := range []fakeidp.Forgery{fakeidp.ForgeEncrypted, fakeidp.ForgeEncryptedZip,
		fakeidp.ForgeEncryptedPBES2} {
		r.faulty(string(forge), func(f *fakeidp.Fault) { f.Forge = forge },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
	// Only the token's header is decoded, so an oversized payload costs nothing.
	part := base64.RawURLEncoding.EncodeToString
	oversized := part([]byte(`{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A128GCM"}`)) + ".x.x.x.x"
	if _, _, err := parseHeader(oversized, typID, algorithms); err == nil || !strings.Contains(err.Error(), "compact") {
		t.Errorf("a JWE got as far as %v", err)
	}
}

func TestAnAccessTokenThatIsNotTheIDTokensIsRefused(t *testing.T) {
	r := oidcFixture(t)
	r.faulty("at_hash", func(f *fakeidp.Fault) { f.SetClaim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA") },
		func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	r.faulty("no id token", func(f *fakeidp.Fault) { f.Remove(fakeidp.AtToken, "id_token") },
		func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	r.faulty("id token of another sort", func(f *fakeidp.Fault) { f.Set(fakeidp.AtToken, "id_token", 7) },
		func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
}

func TestALocaleIsALanguageTagOrNothing(t *testing.T) {
	r := oidcFixture(t)
	for said, want := range map[any]string{"pl": "pl", "pt-br": "pt-BR", "en_US": "en-US",
		"nonsense that is long enough to be no tag": "", "../../etc": "", "": "", 7: ""} {
		r.faulty("locale", func(f *fakeidp.Fault) { f.SetClaim("locale", said) }, func(r *fixture) {
			if got := r.signsIn("vera").Locale; got != want {
				r.Errorf("%v became %q, want %q", said, got, want)
			}
		})
	}
}
