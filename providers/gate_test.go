package providers

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/limit"
	"gatehouse/providers/fakeidp"
)

func panics(context.Context, *int) (int, time.Duration, error) { panic("over these bytes") }

func down(context.Context) error { return outage{broker.ConnectionUnavailable} }

func TestB22_AFailingUpstreamIsGivenARest(t *testing.T) {
	c := &clock{}
	g := newGate(c.now)
	asked := 0
	count := func(answer error) func(context.Context) error {
		return func(context.Context) error { asked++; return answer }
	}
	for range 100 {
		if err := g.pass(t.Context(),
			count(outage{broker.ConnectionUnavailable})); broker.CodeOf(err) != broker.ConnectionUnavailable {
			t.Fatal(err)
		}
	}
	if asked != requestAfter {
		t.Fatalf("asked %d times, want %d", asked, requestAfter)
	}
	c.advance(restFor)
	for range 10 {
		_ = g.pass(t.Context(), count(outage{broker.ConnectionUnavailable})) // still down; only the count matters
	}
	if asked != requestAfter+1 {
		t.Fatalf("asked %d times after the rest, want one probe", asked-requestAfter)
	}
	c.advance(restFor)
	for range 3 {
		if err := g.pass(t.Context(), count(nil)); err != nil {
			t.Fatalf("back again: %v", err)
		}
	}
}

func TestB22_OnlyAnUpstreamsOwnFailuresCount(t *testing.T) {
	g := newGate((&clock{}).now)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 3 * requestAfter {
		_ = g.pass(gone, down) // the browser disconnected, so the result does not count
		_ = g.pass(t.Context(), func(context.Context) error { return broker.UpstreamRejected })
	}
	if err := g.pass(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("closed by refusals and by people who left: %v", err)
	}
	for range 3 * requestAfter {
		func() {
			defer func() { _ = recover() }()
			_ = g.pass(t.Context(), func(context.Context) error { panic("bug") })
		}()
	}
	if err := g.pass(t.Context(), func(context.Context) error { return nil }); err != nil || g.slots.InUse() != 0 {
		t.Errorf("after panics: %v, %d slots taken", err, g.slots.InUse())
	}
}

func TestB22_ARefusalOfOneCodeSaysNothingOfAnOutage(t *testing.T) {
	g := newGate((&clock{}).now)
	for range requestAfter {
		_ = g.pass(t.Context(), down)
		_ = g.pass(t.Context(), func(context.Context) error { return broker.ConnectionUnavailable }) // no recovery
	}
	asked := false
	err := g.pass(t.Context(), func(context.Context) error { asked = true; return nil })
	if asked || broker.CodeOf(err) != broker.ConnectionUnavailable {
		t.Errorf("open after %d failures with refusals between: %v", requestAfter, err)
	}
}

func TestB22_AtMostSoManyWaitForOneUpstreamAndNoneForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(time.Now)
		var waited, turned atomic.Int32
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				began := time.Now()
				err := g.pass(t.Context(), func(ctx context.Context) error {
					<-ctx.Done()
					return broker.ConnectionUnavailable.Because(ctx.Err())
				})
				if broker.CodeOf(err) != broker.ConnectionUnavailable {
					t.Errorf("err %v", err)
				}
				switch time.Since(began) {
				case callTime:
					waited.Add(1)
				case queueTime:
					turned.Add(1)
				}
			})
		}
		wg.Wait()
		if waited.Load() != callsAtOnce || turned.Load() != 1000-callsAtOnce {
			t.Errorf("%d waited, %d were turned away after the queue", waited.Load(), turned.Load())
		}
	})
}

// B22, and G9 of PERFORMANCE.md: a hanging upstream does not affect another one.
func TestB22_AHangingUpstreamSlowsNoOther(t *testing.T) {
	hanging, other := oidcFixture(t), oidcFixture(t)
	other.set = hanging.set
	other.conn.ID = "other"
	other.signsIn("vera")
	hanging.idp.Misbehave(func(f *fakeidp.Fault) {
		f.Break(fakeidp.Break{Hang: time.Minute}, fakeidp.AtDiscovery, fakeidp.AtToken, fakeidp.AtJWKS)
	})
	u := hanging.open()
	guardOf(t, u).gate.slots = limit.NewSlots(callsAtOnce, limit.Unbounded, 0) // a full queue is refused at once
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var busy atomic.Int32
	refused := make(chan bool, 300)
	for range 300 {
		wg.Go(func() {
			if _, err := u.Begin(ctx, hanging.newRequest()); broker.CodeOf(err) == broker.ConnectionUnavailable {
				busy.Add(1)
				refused <- true
			}
		})
	}
	for range 300 - callsAtOnce { // the others are refused while the first still hang
		<-refused
	}
	for range 10 {
		other.signsIn("vera")
	}
	if n := busy.Load(); n != 300-callsAtOnce {
		t.Errorf("%d were answered before the upstream was given up", n)
	}
	leave()
	wg.Wait()
	if n := hanging.idp.Calls(fakeidp.AtDiscovery); n != 1 {
		t.Errorf("%d requests to the hanging upstream, want 1 for all", n)
	}
}

func TestOpeningUsesNoNetworkAndCachesUpstreams(t *testing.T) {
	r := oidcFixture(t)
	first := r.open()
	if n := r.idp.Calls(fakeidp.AtDiscovery); n != 0 {
		t.Error("opening asked the upstream")
	}
	if r.open() != first {
		t.Error("the same connection was opened twice")
	}
	r.reset()
	if r.open() == first {
		t.Error("a changed connection is still the old one")
	}
	r.conn.Settings = map[string]string{"nonsense": "x"}
	r.reset()
	if _, err := r.set.Open(t.Context(), r.conn); !errors.Is(err, broker.UpstreamMisconfigured) {
		t.Errorf("a connection with problems: %v", err)
	}
}

func TestAPersonWhoLeavesLeavesTheLoadRunning(t *testing.T) {
	r := oidcFixture(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := r.open().Begin(gone, r.newRequest()); err == nil {
		t.Log("the load was quicker than the person")
	}
	if _, err := r.open().Finish(gone, r.newRequest(), url.Values{"code": {"x"}}); err == nil {
		t.Error("finished after the browser disconnected")
	}
	r.signsIn("vera")
	if n := r.idp.Calls(fakeidp.AtDiscovery); n != 1 {
		t.Errorf("%d loads of the metadata", n)
	}
}

// Some upstreams answer 500 or 429 to a code that they did not issue, and anyone can send one.
func TestB22_GarbageCodesCloseNoConnection(t *testing.T) {
	for kind, settings := range map[string]map[string]string{
		fakeidp.KindOIDC: nil, fakeidp.KindGoogle: nil, fakeidp.KindMicrosoft: {"tenant": tenantA}, fakeidp.KindADFS: nil,
		fakeidp.KindFacebook: nil, fakeidp.KindGitHub: nil,
	} {
		for _, status := range []int{400, 429, 500, 503} {
			t.Run(kind+" "+strconv.Itoa(status), func(t *testing.T) {
				r := newFixture(t, fakeidp.Options{Kind: kind}, settings)
				r.idp.Misbehave(func(f *fakeidp.Fault) { f.UnknownCode = fakeidp.Break{Status: status, Body: "no"} })
				person := r.idp.Personas()[0].Login
				for range 5 {
					for range 10 { // two garbage callbacks a second, an honest sign-in every five seconds
						request := r.newRequest()
						answer := url.Values{"state": {request.State}, "code": {"garbage"}}
						if kind == fakeidp.KindOIDC {
							answer.Set("iss", r.idp.Issuer())
						}
						_, err := r.open().Finish(t.Context(), request, answer)
						if err == nil || strings.Contains(err.Error(), "paused") {
							t.Fatalf("garbage: %v", err)
						}
						r.clock.advance(time.Second / 2)
					}
					r.signsIn(person)
				}
			})
		}
	}
}
