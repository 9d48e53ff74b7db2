package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/broker"
	"gatehouse/broker/signing"
)

// cachingApp keeps the JWKS for an hour, as an app does that asks no more often,
// whatever it meets meanwhile.
type cachingApp struct {
	read time.Time
	keys jose.JSONWebKeySet
	ask  int // which replica it comes to next
}

func (c *cachingApp) at(now time.Time, fleet []*harness) {
	if now.Sub(c.read) < time.Hour {
		return
	}
	h := fleet[c.ask%len(fleet)]
	c.read, c.keys, c.ask = now, jose.JSONWebKeySet{}, c.ask+1
	h.must(json.Unmarshal([]byte(h.send(newRequest(http.MethodGet, "/jwks", nil)).body), &c.keys))
}

// rotation drives a whole rotation of a fleet by a clock of its own.
type rotation struct {
	t        *testing.T
	now      time.Time
	fleet    []*harness
	apps     []*cachingApp
	alive    []*jose.JSONWebSignature // signed and not expired, oldest first
	expires  []time.Time
	signed   int
	failures int
	kids     map[string]int
}

const replicaSkew = 5 * time.Second // the most that readiness lets clocks differ

// newRotation has two replicas, the second one's clock ahead, and an app for each
// minute of the hour.
func newRotation(t *testing.T) *rotation {
	one := newHarness(t)
	fast := *one
	fast.clock = &clock{at: one.clock.Now().Add(replicaSkew)}
	fast.open(ports{})
	r := &rotation{t: t, now: one.clock.Now(), fleet: []*harness{one, &fast}, kids: map[string]int{}}
	for i := range 60 {
		app := &cachingApp{ask: i}
		app.at(r.now, r.fleet)
		app.read = app.read.Add(time.Duration(i-60) * time.Minute)
		r.apps = append(r.apps, app)
	}
	return r
}

func (r *rotation) to(now time.Time) {
	for _, h := range r.fleet {
		h.clock.add(now.Sub(r.now))
	}
	r.now = now
}

// sign has one replica sign, and every app meet the token at once and at the end of its life.
func (r *rotation) sign() {
	r.t.Helper()
	h := r.fleet[r.signed%len(r.fleet)]
	alg := signing.ES256
	if r.signed%40 == 0 {
		alg = signing.RS256
	}
	key, err := h.handler.keys.Signer(alg)
	h.must(err)
	now := h.clock.Now()
	token, err := key.Sign(idToken{Issuer: issuer, Subject: "ana", Audience: "app", Issued: now.Unix(),
		Expires: now.Add(broker.IDTokenLife).Unix()})
	h.must(err)
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{signing.RS256, signing.ES256})
	h.must(err)
	r.verify(jws, true)
	r.alive, r.expires = append(r.alive, jws), append(r.expires, now.Add(broker.IDTokenLife+replicaSkew))
	r.signed++
	r.kids[jws.Signatures[0].Protected.KeyID]++
}

// verify looks for the key in what every app holds, and checks the signature in one.
func (r *rotation) verify(jws *jose.JSONWebSignature, whole bool) {
	r.t.Helper()
	kid := jws.Signatures[0].Protected.KeyID
	for i, app := range r.apps {
		app.at(r.now, r.fleet)
		found := app.keys.Key(kid)
		bad := len(found) != 1
		if !bad && whole && i == r.signed%len(r.apps) {
			_, err := jws.Verify(found[0])
			bad = err != nil
		}
		if bad {
			if r.failures++; r.failures <= 5 {
				r.t.Errorf("%v: an app that read the JWKS %v ago cannot verify a token of %s", r.now, r.now.Sub(app.read), kid)
			}
		}
	}
}

// live moves on by step until end: tokens are signed, and each replica looks at the
// keys once a minute, half a minute apart.
func (r *rotation) live(end time.Time, step time.Duration) {
	r.t.Helper()
	for next := r.now.Add(step); !next.After(end); next = next.Add(step) {
		for i, h := range r.fleet {
			due := time.Duration(i) * 30 * time.Second
			if next.Add(-due).Truncate(time.Minute) != r.now.Add(-due).Truncate(time.Minute) {
				r.to(next)
				h.tick()
			}
		}
		r.to(next)
		for len(r.alive) > 0 && r.expires[0].Before(next) {
			r.verify(r.alive[0], false)
			r.alive, r.expires = r.alive[1:], r.expires[1:]
		}
		r.sign()
	}
}

func TestA22_AnAppThatCachesTheKeysForAnHourNeverMeetsAnUnknownOne(t *testing.T) {
	r := newRotation(t)
	const busy = 5 * time.Millisecond // 200 in a second
	created := r.now
	r.to(created.Add(29*24*time.Hour - 2*time.Minute)) // nothing happens until the next key is published
	for _, h := range r.fleet {
		h.tick()
	}
	for _, app := range r.apps { // it has read them every hour in the meantime
		app.read = app.read.Add(29*24*time.Hour - 2*time.Minute)
	}
	before := r.fleet[0].signs(signing.ES256)
	r.live(r.now.Add(3*time.Minute), time.Second)
	r.live(r.now.Add(23*time.Hour+57*time.Minute), 30*time.Second)
	switched := r.now.Add(2*time.Minute + 10*time.Second)
	for r.now.Before(switched) && r.fleet[0].signs(signing.ES256) == before && r.fleet[1].signs(signing.ES256) == before {
		r.live(r.now.Add(time.Second), 50*time.Millisecond)
	}
	r.live(r.now.Add(35*time.Second), busy) // one has switched and the other has not
	if r.fleet[0].signs(signing.ES256) == before || r.fleet[1].signs(signing.ES256) == before {
		t.Fatal("a day after it was published the new key does not sign")
	}
	r.live(r.now.Add(20*time.Minute), time.Second)
	r.live(r.now.Add(2*time.Hour), 10*time.Second)
	if r.fleet[0].signs(signing.ES256) != r.fleet[1].signs(signing.ES256) || slices.Contains(r.fleet[0].published(),
		before) ||
		slices.Contains(r.fleet[1].published(), before) {
		t.Error("the rotation is not over")
	}
	if len(r.kids) != 4 || r.signed < 10000 {
		t.Errorf("%d tokens of the keys %v", r.signed, r.kids)
	}
	t.Logf("%d tokens, each met by %d apps when new and when old: %d failures", r.signed, len(r.apps), r.failures)
}

func TestA22_AnEmergencyIsOverInAMinuteOnEveryReplica(t *testing.T) {
	h := newHarness(t)
	fast := *h
	fast.clock = &clock{at: h.clock.Now().Add(replicaSkew)}
	fast.open(ports{})
	fleet := []*harness{h, &fast}
	got := h.as(kind{jwt: true}).signIn()
	id, access := got.text("id_token"), got.text("access_token")
	if strings.Count(access, ".") != 2 || !h.active(access) {
		t.Fatalf("no JWT access token that lives: %s", got.body)
	}
	old := h.published()
	operator := &signing.Keys{Store: h.db, Leases: h.db, Atomic: h.db, AuditLog: h.db, Now: h.clock.Now}
	h.must(operator.Start(h.ctx()))
	h.must(operator.RotateNow(h.ctx(), true))
	if signing.RefreshInterval+signing.RefreshInterval > time.Minute/2 {
		t.Errorf("a replica that fails to read the keys once is behind by up to %v", 2*signing.RefreshInterval)
	}
	for i, r := range fleet {
		h.clock.add(signing.RefreshInterval)
		r.tick()
		doc := r.send(newRequest(http.MethodGet, "/jwks", nil))
		for _, kid := range old {
			if slices.Contains(r.published(), kid) || r.handler.keys.Find(kid) != nil {
				t.Errorf("replica %d vouches for %s", i, kid)
			}
		}
		if got := doc.Header.Get("Cache-Control"); got != "public, max-age=900, s-maxage=15" {
			t.Errorf("a cache in front may keep the JWKS: %q", got)
		}
		if _, err := r.handler.readHint(id); err == nil {
			t.Errorf("replica %d takes an old ID token as a hint", i)
		}
		if r.active(id) || r.active(access) {
			t.Errorf("replica %d calls a token of an old key active", i)
		}
		r.wants(r.userinfo(access), http.StatusUnauthorized, "invalid_token")
		if !slices.Contains(r.published(), r.signs(signing.RS256)) {
			t.Errorf("replica %d signs with a key that it does not publish", i)
		}
	}
	if h.signs(signing.ES256) != fast.signs(signing.ES256) {
		t.Error("the replicas sign with different keys")
	}
}

func TestA22_AKeyThatOnlyANewerVersionKnowsIsPublishedAndLeftAlone(t *testing.T) {
	h := newHarness(t)
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	h.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	h.must(err)
	now := h.clock.Now()
	h.must(h.db.AddSigningKey(h.ctx(), broker.SigningKey{ID: "newer", Alg: "ES384", State: broker.KeyActive, Private: der,
		CreatedAt: now, ActiveAt: now}))
	old := h.signs(signing.RS256)
	again := h.replica(ports{}) // a restart beside it
	for _, r := range []*harness{h, again} {
		if r.tick(); !slices.Contains(r.published(), "newer") {
			t.Error("an app that asks this replica cannot verify what the newer one signs")
		}
	}
	h.clock.add(30 * 24 * time.Hour)
	h.tick()
	h.clock.add(24 * time.Hour)
	h.tick()
	if h.signs(signing.RS256) == old || len(h.published()) != 7 {
		t.Errorf("the keys that are known rotate as ever: %v", h.published())
	}
}
