package providers

import (
	"testing"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestASignedUserinfoResponseIsRead(t *testing.T) {
	for _, alg := range []string{"ES256", "PS512", "Ed25519"} {
		t.Run(alg, func(t *testing.T) {
			r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, Alg: alg, SignedUserInfo: true}, nil)
			r.faulty("it has the address alone", func(f *fakeidp.Fault) { f.SetClaim("email", nil) }, func(r *fixture) {
				if c := r.signsIn("vera"); c.Email != "vera@example.test" || c.Level != broker.EmailVerified {
					r.Errorf("claims %+v", c)
				}
			})
		})
	}
}

func TestB14_AForgedUserinfoResponseIsRefused(t *testing.T) {
	r := newFixture(t, fakeidp.Options{Kind: fakeidp.KindOIDC, Alg: "ES256", SignedUserInfo: true}, nil)
	noAddress := func(f *fakeidp.Fault) { f.SetClaim("email", nil) }
	for name, change := range map[string]func(*fakeidp.Fault){
		"another subject":  func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, "sub", "victim") },
		"no subject":       func(f *fakeidp.Fault) { f.Remove(fakeidp.AtUserInfo, "sub") },
		"another issuer":   func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, "iss", "https://evil.example") },
		"another audience": func(f *fakeidp.Fault) { f.Set(fakeidp.AtUserInfo, "aud", "another") },
		"unsigned": func(f *fakeidp.Fault) {
			f.Rewrite(fakeidp.AtUserInfo, func([]byte) []byte { return []byte("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ2In0.") })
		},
		"a flipped bit": func(f *fakeidp.Fault) {
			f.Rewrite(fakeidp.AtUserInfo, func(b []byte) []byte { b[len(b)-20] ^= 1; return b })
		},
		"no JWT": func(f *fakeidp.Fault) {
			f.Rewrite(fakeidp.AtUserInfo, func([]byte) []byte { return []byte(`{"sub":"v"}`) })
		},
	} {
		r.faulty(name, func(f *fakeidp.Fault) { noAddress(f); change(f) },
			func(r *fixture) { r.refused("vera", broker.UpstreamRejected) })
	}
}
