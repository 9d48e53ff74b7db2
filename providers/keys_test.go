package providers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/broker"
	"gatehouse/providers/fakeidp"
)

func TestKeysRotateWithoutALostLogin(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	for range 3 {
		if err := r.idp.RotateKeys(false); err != nil {
			t.Fatal(err)
		}
		r.signsIn("vera")
		r.clock.advance(retryRenew)
	}
	if n := r.idp.Calls(fakeidp.AtJWKS); n != 4 {
		t.Errorf("%d loads of the keys for three rotations", n)
	}
}

func TestAWithdrawnKeyIsForgottenWithItsLife(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	old, err := r.idp.Mint("JWT", map[string]any{"iss": r.idp.Issuer(), "aud": r.conn.ClientID, "sub": "s", "nonce": "n",
		"iat": r.clock.now().Add(2 * time.Hour).Unix(), "exp": r.clock.now().Add(3 * time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.idp.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(2 * time.Hour) // the simulator sends max-age=3600
	u := unwrap(t, r.open())
	m, err := u.meta.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.verifier.verify(t.Context(), m, "n", old); broker.CodeOf(err) != broker.UpstreamRejected {
		t.Errorf("a withdrawn key still verifies: %v", err)
	}
}

func guardOf(t *testing.T, u broker.Upstream) *guarded {
	t.Helper()
	if notifier, ok := u.(struct {
		*guarded
		broker.Notifier
	}); ok {
		u = notifier.guarded
	}
	g, ok := u.(*guarded)
	if !ok {
		t.Fatalf("%T is not guarded", u)
	}
	return g
}

func unwrap(t *testing.T, u broker.Upstream) *openID {
	t.Helper()
	g := guardOf(t, u)
	o, ok := g.Upstream.(*openID)
	if !ok {
		t.Fatalf("%T is no OpenID upstream", g.Upstream)
	}
	return o
}

// flood verifies n tokens of one forgery, fifty at a time, mixed with valid ones.
func flood(t *testing.T, r *fixture, forge fakeidp.Forgery, n int) {
	t.Helper()
	r.signsIn("vera")
	u := unwrap(t, r.open())
	m, err := u.meta.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": r.idp.Issuer(), "aud": r.conn.ClientID, "sub": "s", "nonce": "n",
		"iat": r.clock.now().Unix(), "exp": r.clock.now().Add(time.Hour).Unix()}
	good, err := r.idp.Mint("JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	r.idp.Misbehave(func(f *fakeidp.Fault) { f.Forge = forge })
	var bad []string
	for range 50 {
		b, err := r.idp.Mint("JWT", claims)
		if err != nil {
			t.Fatal(err)
		}
		bad = append(bad, b)
	}
	r.idp.Behave()
	r.idp.ResetRecord()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for range n / 50 {
				if _, err := u.verifier.verify(t.Context(), m, "n", bad[i]); err == nil {
					t.Error("a forged token was believed")
				}
			}
			if _, err := u.verifier.verify(t.Context(), m, "n", good); err != nil {
				t.Errorf("a good token among the forged: %v", err)
			}
		})
	}
	wg.Wait()
	if loads := r.idp.Calls(fakeidp.AtJWKS); loads != 1 {
		t.Errorf("%d loads of the keys for %d forged tokens, want 1", loads, n)
	}
	r.clock.advance(retryRenew)
	for _, b := range bad {
		_, _ = u.verifier.verify(t.Context(), m, "n", b) // refused above; only the loads are counted here
	}
	if loads := r.idp.Calls(fakeidp.AtJWKS); loads != 2 {
		t.Errorf("%d loads half a minute later, want 2", loads)
	}
}

func TestB7_AStormOfUnknownKeysLoadsTheKeysOnce(t *testing.T) {
	flood(t, oidcFixture(t), fakeidp.ForgeUnknownKid, 10000)
}

func TestB8_AStormOfBadSignaturesLoadsTheKeysOnce(t *testing.T) {
	flood(t, oidcFixture(t), fakeidp.ForgeCorrupt, 10000)
}

func TestB7_NoOtherLoginWaitsWhileKeysAreLoaded(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	r.idp.Misbehave(func(f *fakeidp.Fault) {
		f.Break(fakeidp.Break{Hang: time.Minute}, fakeidp.AtJWKS)
		f.Forge = fakeidp.ForgeUnknownKid
	})
	upstreamRequest, answer, err := r.begin("vera")
	if err != nil {
		t.Fatal(err)
	}
	forged := make(chan error, 1)
	go func() {
		_, err := r.open().Finish(t.Context(), upstreamRequest, answer)
		forged <- err
	}()
	u := unwrap(t, r.open())
	for loading := false; !loading; { // until the forged token triggers a load, which hangs
		u.verifier.keys.mu.Lock()
		loading = u.verifier.keys.flight != nil
		u.verifier.keys.mu.Unlock()
	}
	r.idp.Misbehave(func(f *fakeidp.Fault) { f.Forge = "" })
	for range 5 {
		r.signsIn("vera")
	}
	select {
	case err := <-forged:
		t.Fatalf("the forged login did not wait (%v), so nothing was shown", err)
	default:
	}
	r.idp.Close()
	if err := <-forged; broker.CodeOf(err) != broker.UpstreamRejected {
		t.Errorf("forged: %v", err)
	}
}

func TestCachedMetadataAndKeysOutliveAnUpstreamThatIsDown(t *testing.T) {
	r := oidcFixture(t)
	r.signsIn("vera")
	r.idp.Misbehave(func(f *fakeidp.Fault) { f.Down(fakeidp.AtDiscovery, fakeidp.AtJWKS) })
	for range 20 {
		r.clock.advance(time.Hour)
		r.signsIn("vera")
	}
	r.clock.advance(staleKeys)
	r.refused("vera", broker.ConnectionUnavailable)
	r.idp.Behave()
	r.clock.advance(retryRenew)
	r.signsIn("vera")
}

func TestOnlyOneLoginWaitsForARenewalWhileTheUpstreamHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		var loads atomic.Int32
		c := &cache[int]{now: time.Now, load: func(ctx context.Context, _ *int) (int, time.Duration, error) {
			if hang.Load() {
				<-ctx.Done()
				return 0, 0, ctx.Err()
			}
			return int(loads.Add(1)), time.Hour, nil
		}}
		get := func() (int, time.Duration) {
			began := time.Now()
			v, err := c.get(t.Context())
			if err != nil {
				t.Error(err)
				return 0, 0
			}
			return *v, time.Since(began)
		}
		get()
		hang.Store(true)
		time.Sleep(2 * time.Hour)
		var waited atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				v, took := get()
				if v != 1 || took != 0 && took != patience {
					t.Errorf("served %d after %v", v, took)
				}
				if took > 0 {
					waited.Add(1)
				}
			})
		}
		wg.Wait()
		if waited.Load() != 1 {
			t.Errorf("%d logins waited", waited.Load())
		}
		if !c.fresh() {
			t.Error("not settled although it would be served at once")
		}
		hang.Store(false)
		time.Sleep(retryRenew)
		if v, _ := get(); v != 2 {
			t.Errorf("served %d once the upstream was back", v)
		}
	})
}

func TestAnUpstreamThatWasDownIsAskedAgainSoon(t *testing.T) {
	r := oidcFixture(t)
	r.idp.Misbehave(func(f *fakeidp.Fault) { f.Down(fakeidp.AtDiscovery) })
	for range 3 {
		r.refused("vera", broker.ConnectionUnavailable)
	}
	if n := r.idp.Calls(fakeidp.AtDiscovery); n != 1 {
		t.Errorf("%d requests to an upstream that had just failed", n)
	}
	r.idp.Behave()
	r.clock.advance(retryFirst)
	r.signsIn("vera")
}

func TestKeysOfAllSorts(t *testing.T) {
	const (
		ec = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
			`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"e"%s}`
		oct = `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",` +
			`"kid":"o"}`
	)
	with := func(more string) string { return fmt.Sprintf(ec, more) }
	for name, c := range map[string]struct {
		keys string
		n    int // usable ones; -1: the set is refused
	}{
		"one":                      {with(""), 1},
		"for signatures":           {with(`,"use":"sig"`), 1},
		"for encryption":           {with(`,"use":"enc"`), -1},
		"symmetric":                {oct, -1},
		"symmetric beside a good":  {oct + "," + with(""), 1},
		"private":                  {with(`,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`), -1},
		"unknown beside a good":    {`{"kty":"XYZ","kid":"x"},7,null,"x",` + with(""), 1},
		"off the curve":            {strings.Replace(with(""), "f83O", "f84O", 1), -1},
		"bad certificate":          {with(`,"x5c":["nonsense"]`), 1},
		"a short RSA key":          {`{"kty":"RSA","n":"` + strings.Repeat("q", 170) + `","e":"AQAB","kid":"r"}`, -1},
		"an enormous RSA key":      {`{"kty":"RSA","n":"` + strings.Repeat("q", 3000) + `","e":"AQAB","kid":"r"}`, -1},
		"a member twice":           {with(`,"kid":"other"`), -1},
		"none":                     {``, -1},
		"more than anybody needs":  {strings.TrimSuffix(strings.Repeat(with("")+",", maxKeys+1), ","), -1},
		"a kid beyond all measure": {strings.Replace(with(""), `"e"`, `"`+strings.Repeat("k", 300)+`"`, 1), -1},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := parseKeys([]byte(`{"keys":[` + c.keys + `]}`))
			switch {
			case c.n < 0 && err == nil:
				t.Errorf("%d keys were taken", len(set.all))
			case c.n >= 0 && (err != nil || len(set.all) != c.n):
				t.Errorf("set %v, %v", set, err)
			}
		})
	}
	set, err := parseKeys([]byte(`{"keys":[` + with(``) + `,` + strings.Replace(with(``), `"e"`, `"f"`, 1) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := set.candidates("", "ES256"); got != nil {
		t.Error("a token without a kid was tried with several keys")
	}
	if got := set.candidates("f", "ES256"); len(got) != 1 {
		t.Errorf("%d candidates by kid", len(got))
	}
	for _, alg := range []string{"RS256", "HS256", "EdDSA", "ES384", "none", ""} {
		if got := set.candidates("f", alg); len(got) != 0 {
			t.Errorf("an EC key was taken for %s", alg)
		}
	}
}

func TestHowLongADocumentIsGood(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": defaultLife, "max-age=600": 10 * time.Minute, "public, max-age=1": time.Second, `max-age="7200"`: 2 * time.Hour,
		"no-store":   minLife,
		"max-age=-1": defaultLife, "max-age=99999999999999999999": defaultLife, "MAX-AGE=60": time.Minute,
	} {
		if got := lifeOf(map[string][]string{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestAPanicOverAnUpstreamsBytesIsARefusal(t *testing.T) {
	c := cache[int]{now: (&clock{}).now, load: panics}
	if _, err := c.get(t.Context()); !errors.Is(err, broker.UpstreamRejected) {
		t.Errorf("err %v", err)
	}
}
