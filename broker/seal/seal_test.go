package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func fresh(t testing.TB) *Keyring {
	t.Helper()
	k, err := New(noon)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestG17_ASealedValueOpensOnlyInItsOwnPlace(t *testing.T) {
	k := fresh(t)
	plain := []byte("upstream client secret")
	sealed := must[[]byte](t)(k.Seal(plain, "connections", "client_secret", "42"))
	if bytes.Contains(sealed, plain) {
		t.Fatal("the sealed value shows its content")
	}
	if got := must[[]byte](t)(k.Open(sealed, "connections", "client_secret", "42")); !bytes.Equal(got, plain) {
		t.Fatalf("opened %q", got)
	}
	places := map[string][]string{
		"another row":              {"connections", "client_secret", "43"},
		"another column":           {"connections", "other", "42"},
		"another table":            {"keys", "client_secret", "42"},
		"nowhere":                  nil,
		"a part less":              {"connections", "client_secret"},
		"a part more":              {"connections", "client_secret", "42", ""},
		"the parts cut otherwise":  {"connections", "client_secret4", "2"},
		"the parts joined":         {"connectionsclient_secret42"},
		"the parts in other order": {"client_secret", "connections", "42"},
	}
	for name, place := range places {
		if _, err := k.Open(sealed, place...); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v, want ErrOpen", name, err)
		}
	}
}

func TestG17_AnAlteredSealedValueDoesNotOpen(t *testing.T) {
	k := fresh(t)
	sealed := must[[]byte](t)(k.Seal([]byte("totp seed"), "row"))
	for i := range sealed {
		altered := slices.Clone(sealed)
		altered[i] ^= 1
		if _, err := k.Open(altered, "row"); err == nil {
			t.Fatalf("byte %d changed, and it still opens", i)
		}
		if _, err := k.Open(sealed[:i], "row"); err == nil {
			t.Fatalf("cut to %d bytes, and it still opens", i)
		}
	}
	if _, err := k.Open(nil, "row"); !errors.Is(err, ErrOpen) {
		t.Errorf("nothing: %v", err)
	}
}

func TestG17_TheSameValueIsNeverSealedTheSameWay(t *testing.T) {
	k := fresh(t)
	a, b := must[[]byte](t)(k.Seal([]byte("x"))), must[[]byte](t)(k.Seal([]byte("x")))
	if bytes.Equal(a, b) {
		t.Fatal("two sealed values are equal")
	}
}

func TestG17_AnotherKeyringOpensNothing(t *testing.T) {
	sealed := must[[]byte](t)(fresh(t).Seal([]byte("x")))
	if _, err := fresh(t).Open(sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("another id: %v, want ErrUnknownKey", err)
	}
	one, two := keySetOf(t, "k1", 1), keySetOf(t, "k1", 2)
	if _, err := two.Open(must[[]byte](t)(one.Seal([]byte("x")))); !errors.Is(err, ErrOpen) {
		t.Errorf("the same id, another secret: %v, want ErrOpen", err)
	}
}

func TestHashesArePerPurposeAndNameTheirKey(t *testing.T) {
	k := keySetOf(t, "k1", 1)
	hash := k.Hash("session", []byte("token"))
	if !strings.HasPrefix(hash, "k1.") || len(hash) != len("k1.")+43 {
		t.Fatalf("hash %q", hash)
	}
	if k.Hash("session", []byte("token")) != hash {
		t.Error("the same value has another hash")
	}
	others := map[string]string{
		"another purpose":   k.Hash("ticket", []byte("token")),
		"another value":     k.Hash("session", []byte("tokeN")),
		"another cut":       k.Hash("sessiont", []byte("oken")),
		"another keyring":   keySetOf(t, "k1", 2).Hash("session", []byte("token")),
		"a MAC, not a hash": macText(k.MAC("session", []byte("token"))),
	}
	for name, other := range others {
		if other == hash {
			t.Errorf("%s: the same hash", name)
		}
	}
	if !k.Same(hash, "session", []byte("token")) {
		t.Error("Same refuses its own hash")
	}
	for _, wrong := range []string{"", ".", "k1", "k1.", hash[:len(hash)-1], hash + "A", "k2" + hash[2:],
		strings.ToUpper(hash)} {
		if k.Same(wrong, "session", []byte("token")) {
			t.Errorf("Same accepts %q", wrong)
		}
	}
	if k.Same(hash, "ticket", []byte("token")) {
		t.Error("Same accepts another purpose")
	}
}

func macText(id string, mac []byte) string {
	return id + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// The vectors were computed with another program (Python's hmac and hkdf), to detect a change of the format.
func TestTheFormatStaysAsItIs(t *testing.T) {
	k := keySetOf(t, "k1", 1)
	if got := k.Hash("session", []byte("token")); got != hashVector {
		t.Errorf("hash %s", got)
	}
	if got := macText(k.MAC("refresh", []byte("token"))); got != macVector {
		t.Errorf("mac %s", got)
	}
	sealed := must[[]byte](t)(base64.RawURLEncoding.DecodeString(sealedVector))
	if got := must[[]byte](t)(k.Open(sealed, "table", "column", "1")); string(got) != "hello" {
		t.Errorf("opened %q", got)
	}
}

func TestMACs(t *testing.T) {
	k := fresh(t)
	id, mac := k.MAC("cursor", []byte("data"))
	if !k.CheckMAC(id, "cursor", []byte("data"), mac) {
		t.Fatal("its own MAC is refused")
	}
	if k.CheckMAC(id, "other", []byte("data"), mac) || k.CheckMAC(id, "cursor", []byte("datA"), mac) ||
		k.CheckMAC("k0", "cursor", []byte("data"), mac) || k.CheckMAC(id, "cursor", []byte("data"), mac[:31]) ||
		k.CheckMAC(id, "cursor", []byte("data"), nil) {
		t.Fatal("a wrong MAC is accepted")
	}
	if err := k.Rotate(noon); err != nil {
		t.Fatal(err)
	}
	if again, err := k.MACWith(id, "cursor", []byte("data")); err != nil || !bytes.Equal(again, mac) {
		t.Fatalf("derived again after a rotation: %x, %v", again, err)
	}
	if _, err := k.MACWith("k0", "cursor", nil); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("unknown key: %v", err)
	}
}

func TestRotationKeepsEverythingThatWasMadeBefore(t *testing.T) {
	k := fresh(t)
	old := k.Primary()
	sealed, hash := must[[]byte](t)(k.Seal([]byte("x"), "row")), k.Hash("session", []byte("token"))
	if err := k.Rotate(noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if k.Primary() == old || !slices.Equal(k.IDs(), []string{k.Primary(), old}) {
		t.Fatalf("keys %v after %s", k.IDs(), old)
	}
	if !k.Created(k.Primary()).Equal(noon.Add(time.Hour)) || !k.Created("k0").IsZero() {
		t.Error("the time of creation is wrong")
	}
	if _, err := k.Open(sealed, "row"); err != nil {
		t.Errorf("sealed before: %v", err)
	}
	if !k.Same(hash, "session", []byte("token")) {
		t.Error("hashed before: not the same")
	}
	hashes := k.Hashes("session", []byte("token"))
	if len(hashes) != 2 || hashes[0] != k.Hash("session", []byte("token")) || hashes[1] != hash {
		t.Errorf("hashes %v", hashes)
	}
	again := must[[]byte](t)(k.Seal([]byte("x"), "row"))
	if KeyOfSealed(again) != k.Primary() || KeyOfSealed(sealed) != old || KeyOfHash(hash) != old ||
		KeyOfSealed(nil) != "" || KeyOfHash("x") != "" {
		t.Error("a value names the wrong key")
	}
	if err := k.Retire(k.Primary()); err == nil {
		t.Error("the primary was retired")
	}
	if err := k.Retire(old); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(sealed, "row"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("sealed with a retired key: %v", err)
	}
	if k.Same(hash, "session", []byte("token")) {
		t.Error("a hash of a retired key still counts")
	}
	if err := k.Retire(old); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("retired twice: %v", err)
	}
}

func TestAKeyIsAddedBeforeItSeals(t *testing.T) {
	k := fresh(t)
	old := k.Primary()
	id := must[string](t)(k.Add(noon))
	if k.Primary() != old || !slices.Equal(k.IDs(), []string{old, id}) {
		t.Fatalf("added: %v", k.IDs())
	}
	if err := k.Promote(id); err != nil || !slices.Equal(k.IDs(), []string{id, old}) {
		t.Fatalf("promoted: %v, %v", k.IDs(), err)
	}
	if err := k.Promote("k0"); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("promoted a stranger: %v", err)
	}
}

func TestTheCanaryDetectsAForeignKeyring(t *testing.T) {
	k := fresh(t)
	sealed := must[[]byte](t)(k.Canary())
	if err := k.CheckCanary(sealed); err != nil {
		t.Fatal(err)
	}
	if err := fresh(t).CheckCanary(sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("another keyring: %v", err)
	}
	if err := k.CheckCanary(must[[]byte](t)(k.Seal([]byte("other"), canary))); !errors.Is(err, ErrOpen) {
		t.Errorf("another word: %v", err)
	}
	if err := k.Rotate(noon); err != nil {
		t.Fatal(err)
	}
	if err := k.CheckCanary(sealed); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
}

func TestG16_NothingPrintsAKey(t *testing.T) {
	k := fresh(t)
	secret := k.current.Load().keys[0].secret
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "ring", k, "in", struct{ K *Keyring }{k})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "ring", k, "in", struct{ K *Keyring }{k})
	asJSON := must[[]byte](t)(json.Marshal(map[string]any{"ring": k}))
	prints := log.String() + string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		prints += fmt.Sprintf(verb, k) + fmt.Sprintf(verb, struct{ K *Keyring }{k})
	}
	for _, form := range []string{string(secret), base64.RawURLEncoding.EncodeToString(secret),
		base64.StdEncoding.EncodeToString(secret), fmt.Sprintf("%x", secret), fmt.Sprint(secret),
		strings.Trim(fmt.Sprintf("%#v", secret[:8]), "[]byte{}")} {
		if strings.Contains(prints, form) {
			t.Fatalf("a key is printed as %q", form)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	k, plain := fresh(b), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(plain, "connections", "client_secret", "0197"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := fresh(b)
	sealed := must[[]byte](b)(k.Seal(make([]byte, 64), "connections", "client_secret", "0197"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(sealed, "connections", "client_secret", "0197"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	k, token := fresh(b), make([]byte, 43)
	b.ReportAllocs()
	for b.Loop() {
		k.Hash("session", token)
	}
}

func BenchmarkSame(b *testing.B) {
	k, token := fresh(b), make([]byte, 43)
	hash := k.Hash("session", token)
	b.ReportAllocs()
	for b.Loop() {
		if !k.Same(hash, "session", token) {
			b.Fatal("not the same")
		}
	}
}

// The allocations are part of the contract, because every request hashes.
func TestHashingIsAllocationLight(t *testing.T) {
	k, token, id := fresh(t), []byte("a token"), "0197"
	hash := k.Hash("session", token)
	costs := map[string]struct {
		most float64
		run  func()
	}{
		"Hash": {8, func() { k.Hash("session", token) }},
		"Same": {8, func() { k.Same(hash, "session", token) }},
		"Seal": {4, func() { k.Seal(token, "table", "column", id) }},
	}
	for name, c := range costs {
		// Hash allocates once, and 13 times without its pool; under the race detector a pool drops a quarter of
		// its items.
		if got := testing.AllocsPerRun(1000, c.run); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, c.most)
		}
	}
}

const (
	hashVector   = "k1.htdZJ3tww5vaekYoU9QU-xdyox2w0rWwlB-AIW_mdnk"
	macVector    = "k1.P-MoOgMkD7C6i7Vr6WFED-71kNwWJaWYC-EwYO4cay4"
	sealedVector = "AQJrMQABAgMEBQYHCAkKCzqri-nzP93dlufYelbbkzZa_1805A"
)
