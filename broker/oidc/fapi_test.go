package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// bank is an app that is registered with the defaults and --fapi2: it authenticates by
// key, pushes every request, and binds its tokens to a DPoP key.
type bank struct {
	*harness
	b   *browser
	id  string
	key heldKey
}

func (h *harness) bank(id, alg string) *bank {
	h.t.Helper()
	k := &bank{harness: h, b: h.browser(), id: id, key: newHeldKey(h.t, id, alg)}
	idAlg := signing.ES256
	if alg == signing.EdDSA {
		idAlg = signing.EdDSA
	}
	c := broker.Client{ID: id, Name: "Bank " + id, AuthMethods: clients.SecretMethods(), AuthAlg: alg, IDTokenAlg: idAlg,
		SecretHashes: []string{}, Keys: keySetOf(h.t, k.key), FirstParty: true}
	clients.HoldToFAPI2(&c)
	h.client(c)
	if h.prover == nil {
		h.prover = newProver(h.t, signing.ES256)
	}
	return k
}

func newBank(t *testing.T) *bank { return newHarness(t).bank("bank", signing.ES256) }

// posts calls an endpoint with a fresh assertion, and with a proof.
func (k *bank) posts(path string, form url.Values) answer {
	k.t.Helper()
	return k.postsAs(path, k.key.signed(k.t, k.proof(k.id), nil), form)
}

func (k *bank) postsAs(path, assertion string, form url.Values) answer {
	k.t.Helper()
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	return k.send(k.prove(newRequest(http.MethodPost, path, form), ""))
}

func (k *bank) push(pairs ...string) answer {
	k.t.Helper()
	return k.posts(pathPush, ask(append([]string{"client_id", k.id}, pairs...)...))
}

// names is the request that the browser brings, for one that was pushed.
func (k *bank) names(a answer) string {
	k.t.Helper()
	if a.StatusCode != http.StatusCreated {
		k.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return url.Values{"client_id": {k.id}, "request_uri": {a.text("request_uri")}}.Encode()
}

func (k *bank) code(pairs ...string) string {
	k.t.Helper()
	q, err := url.ParseQuery(k.names(k.push(pairs...)))
	k.must(err)
	return k.b.code(q)
}

func (k *bank) redeem(code string, pairs ...string) answer {
	k.t.Helper()
	f := form("grant_type", clients.GrantCode, "code", code, "redirect_uri", callback, "code_verifier", verifier)
	for i := 0; i < len(pairs); i += 2 {
		if f.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			f.Del(pairs[i])
		}
	}
	return k.posts(pathToken, f)
}

func TestFAPI2_PushedRequestsOnlyEachGoodOnceForItsClientAndFor90Seconds(t *testing.T) {
	k := newBank(t)
	other := k.bank("other", signing.ES256)
	k.appHears(k.b.get("/authorize?"+ask("client_id", "bank").Encode()), "invalid_request")
	q := k.names(k.push())
	k.page(k.b.get("/authorize?"+strings.Replace(q, "client_id=bank", "client_id=other", 1)), broker.RequestURIInvalid)
	for range 2 { // a reload before the person is done does no harm
		if a := k.b.get("/authorize?" + q); !strings.HasPrefix(a.Header.Get("Location"), "/login/") {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	asked, err := url.ParseQuery(q)
	k.must(err)
	k.b.code(asked)
	k.page(k.b.get("/authorize?"+q), broker.RequestURIInvalid)
	q = k.names(k.push())
	k.clock.add(pushedLife)
	k.page(k.b.get("/authorize?"+q), broker.RequestURIInvalid)
	other.code()
}

func TestFAPI2_NothingInTheFrontChannelJoinsAPushedRequest(t *testing.T) {
	k := newBank(t)
	q := k.names(k.push())
	a := k.b.get("/authorize?" + q + "&" + url.Values{"nonce": {"evil"}, "state": {"evil"}, "scope": {"photos"},
		"redirect_uri": {"https://evil.example/"}, "dpop_jkt": {newProver(t, signing.ES256).thumbprint()}}.Encode())
	a = k.b.get("/authorize?login=" + strings.TrimPrefix(a.location().Path, "/login/"))
	got := k.wants(k.redeem(a.location().Query().Get("code")), http.StatusOK, "")
	if _, id := k.opened(got.text("id_token")); id["nonce"] != "the-nonce" ||
		a.location().Query().Get("state") != "the-state" || strings.Contains(got.text("scope"), "photos") {
		t.Errorf("%v %s %s", id, a.Header.Get("Location"), got.body)
	}
}

func TestFAPI2_StateMayBeMissingOrLongAndNonceTooAndIssIsThere(t *testing.T) {
	k := newBank(t)
	for _, pairs := range [][]string{{"state", "-"}, {"state", strings.Repeat("s", 1000), "nonce",
		strings.Repeat("n", 64)}, {"nonce", strings.Repeat("n", 384)}} {
		want := ask(pairs...)
		q, err := url.ParseQuery(k.names(k.push(pairs...)))
		k.must(err)
		said := k.b.authorize(q).location().Query()
		if said.Get("state") != want.Get("state") || said.Has("state") != want.Has("state") || said.Get("iss") != issuer {
			t.Fatalf("%v", said)
		}
		got := k.wants(k.redeem(said.Get("code")), http.StatusOK, "")
		if _, id := k.opened(got.text("id_token")); id["nonce"] != want.Get("nonce") {
			t.Errorf("nonce %v", id["nonce"])
		}
	}
	for _, pairs := range [][]string{{"state", strings.Repeat("s", maxState+1)},
		{"nonce", strings.Repeat("n", maxNonce+1)}} {
		k.wants(k.push(pairs...), http.StatusBadRequest, "invalid_request")
	}
}

func TestFAPI2_AssertionsAndIDTokensAreSignedAsRegisteredAndNotByRS256(t *testing.T) {
	h := newHarness(t)
	for _, alg := range []string{clients.PS256, signing.ES256, signing.EdDSA} {
		k := h.bank("bank-"+alg, alg)
		got := k.wants(k.redeem(k.code()), http.StatusOK, "")
		if head, _ := k.opened(got.text("id_token")); head.Algorithm == signing.RS256 {
			t.Errorf("%s: an ID token by %s", alg, head.Algorithm)
		}
		k.change(k.id, func(c *broker.Client) { c.AuthAlg = "" }) // not even for a client without one algorithm
		// The same RSA key where there is one, another algorithm.
		rs := heldKey{k.key.id, signing.RS256, rsaOfApps()}.signed(t, k.proof(k.id), nil)
		k.wants(k.postsAs(pathPush, rs, ask("client_id", k.id)), http.StatusUnauthorized, "invalid_client")
	}
	meta := h.discovered()
	for _, name := range []string{"id_token_signing_alg_values_supported",
		"token_endpoint_auth_signing_alg_values_supported", "dpop_signing_alg_values_supported"} {
		if all := " " + strings.Join(texts(meta[name]), " ") + " "; !strings.Contains(all, " ES256 ") ||
			!strings.Contains(all, " EdDSA ") || strings.Contains(all, "none") || strings.Contains(all, " HS") {
			t.Errorf("%s: %s", name, all)
		}
	}
}

func TestFAPI2_TheAudienceOfAnAssertionIsTheIssuerAsOneStringAndItsTimesHold(t *testing.T) {
	k := newBank(t)
	now := k.clock.Now().Unix()
	for name, c := range map[string]struct {
		claim string
		value any
		good  bool
	}{
		"the issuer": {"aud", issuer, true}, "a list": {"aud", []string{issuer}, false}, "the PAR endpoint": {"aud",
			issuer + pathPush, false}, "the token endpoint": {"aud", issuer + pathToken, false},
		"exp five minutes ago": {"exp", now - 300, false}, "nbf 8 s ahead": {"nbf", now + 8, true}, "iat 8 s ahead": {"iat",
			now + 8, true},
		"nbf a minute ahead": {"nbf", now + 60, false}, "iat a minute ahead": {"iat", now + 60, false}, "no exp": {"exp", nil,
			false}, "no jti": {"jti", nil, false},
	} {
		for _, path := range []string{pathPush, pathToken} {
			claims := k.proof(k.id)
			claims[c.claim] = c.value
			f := ask("client_id", k.id)
			if path == pathToken {
				f = form("grant_type", clients.GrantClient)
			}
			if a := k.postsAs(path, k.key.signed(t, claims, nil), f); (a.StatusCode < 300) != c.good || !c.good &&
				a.text("error") != "invalid_client" {
				t.Errorf("%s at %s: %d %s", name, path, a.StatusCode, a.body)
			}
		}
	}
}

func TestFAPI2_ACodeIsItsClientsLivesAMinuteAndIsGoodOnce(t *testing.T) {
	k := newBank(t)
	other := k.bank("other", signing.ES256)
	code := k.code()
	k.wants(other.redeem(code), http.StatusBadRequest, "invalid_grant")
	got := k.wants(k.redeem(code), http.StatusOK, "")
	k.clock.add(time.Second)
	k.wants(k.redeem(code), http.StatusBadRequest, "invalid_grant")
	k.wants(k.userinfo(got.text("access_token")), http.StatusUnauthorized, "invalid_token")
	code = k.code()
	k.clock.add(time.Minute)
	k.wants(k.redeem(code), http.StatusBadRequest, "invalid_grant")
}

func TestFAPI2_PKCEIsMandatoryAndAMissingVerifierIsInvalidGrant(t *testing.T) {
	k := newBank(t)
	k.wants(k.push("code_challenge", "-", "code_challenge_method", "-"), http.StatusBadRequest, "invalid_request")
	k.wants(k.push("code_challenge", verifier, "code_challenge_method", "plain"), http.StatusBadRequest, "invalid_request")
	for _, v := range []string{"-", "", verifier + "x"} {
		k.wants(k.redeem(k.code(), "code_verifier", v), http.StatusBadRequest, "invalid_grant")
	}
}

func TestFAPI2_TheCodeAndTheTokensAreBoundToTheDPoPKey(t *testing.T) {
	k := newBank(t)
	mine, thief := k.prover, newProver(t, signing.ES256)
	for name, code := range map[string]func() string{
		"by the proof of the push": func() string { return k.code() },
		"by dpop_jkt":              func() string { return k.code("dpop_jkt", mine.thumbprint()) },
		"by dpop_jkt alone": func() string {
			k.prover = nil
			defer func() { k.prover = mine }()
			return k.code("dpop_jkt", mine.thumbprint())
		},
	} {
		c := code()
		k.prover = nil
		k.wants(k.redeem(c), http.StatusBadRequest, "invalid_dpop_proof")
		k.prover = thief
		k.wants(k.redeem(c), http.StatusBadRequest, "invalid_grant")
		k.prover = mine
		got := k.wants(k.redeem(c), http.StatusOK, "")
		token := got.text("access_token")
		for _, scheme := range []string{"DPoP", "dpop", "DPOP", "dPoP"} { // RFC 9110 §11.1
			k.wants(k.shows(scheme, token, mine.proof(k.harness, http.MethodGet, pathUserinfo, token, nil)), http.StatusOK, "")
		}
		k.wants(k.shows("Bearer", token), http.StatusUnauthorized, "invalid_token")
		k.wants(k.shows("DPoP", token, thief.proof(k.harness, http.MethodGet, pathUserinfo, token, nil)),
			http.StatusUnauthorized, "invalid_token")
		if got.text("token_type") != "DPoP" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	k.wants(k.push("dpop_jkt", thief.thumbprint()), http.StatusBadRequest, "invalid_dpop_proof")
}

func TestFAPI2_AProofMayBeTenSecondsOffAndItsNbfAndExpMeanNothing(t *testing.T) {
	k := newBank(t)
	now := k.clock.Now().Unix()
	shows := func(edit func(*draft)) answer {
		r := newRequest(http.MethodPost, pathToken, form("grant_type", clients.GrantClient, "client_assertion_type",
			assertionType,
			"client_assertion", k.key.signed(t, k.proof(k.id), nil)))
		r.Header.Set(headerDPoP, k.prover.proof(k.harness, http.MethodPost, pathToken, "", edit))
		return k.send(r)
	}
	for name, claims := range map[string]map[string]any{"10 s ago": {"iat": now - 10}, "10 s ahead": {"iat": now + 10},
		"nbf": {"nbf": now + 5}, "exp": {"exp": now + 60}, "exp that is over": {"exp": now - 60}} {
		a := shows(func(d *draft) {
			for claim, v := range claims {
				d.claims[claim] = v
			}
		})
		if a.StatusCode != http.StatusOK || a.text("token_type") != "DPoP" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	for name, edit := range map[string]func(*draft){
		"an hour old":     func(d *draft) { d.claims["iat"] = now - 3600 },
		"an hour ahead":   func(d *draft) { d.claims["iat"] = now + 3600 },
		"another method":  func(d *draft) { d.claims["htm"] = http.MethodGet },
		"another address": func(d *draft) { d.claims["htu"] = issuer + pathPush },
		"no jti":          func(d *draft) { delete(d.claims, "jti") },
		"another type":    func(d *draft) { d.header["typ"] = "JWT" },
	} {
		if a := shows(edit); a.StatusCode != http.StatusBadRequest || a.text("error") != "invalid_dpop_proof" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
}

func TestFAPI2_ARefreshNeedsTheClientAndItsDPoPKeyAndDoesNotRotate(t *testing.T) {
	k := newBank(t)
	other := k.bank("other", signing.ES256)
	token := k.wants(k.redeem(k.code()), http.StatusOK, "").text("refresh_token")
	fresh := func() url.Values { return form("grant_type", clients.GrantRefresh, "refresh_token", token) }
	k.wants(other.posts(pathToken, fresh()), http.StatusBadRequest, "invalid_grant")
	first := k.wants(k.posts(pathToken, fresh()), http.StatusOK, "")
	again := k.wants(k.posts(pathToken, fresh()), http.StatusOK, "") // the answer was lost
	if first.text("token_type") != "DPoP" || first.text("refresh_token") != token || again.text("refresh_token") != token {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	mine := k.prover
	k.prover = nil
	k.wants(k.posts(pathToken, form("grant_type", clients.GrantRefresh, "refresh_token", first.text("refresh_token"))),
		http.StatusBadRequest, "invalid_dpop_proof")
	k.prover = mine
}

func TestFAPI2_OnlyCodeAndOnlyRegisteredAddresses(t *testing.T) {
	k := newBank(t)
	for _, kind := range []string{"token", "id_token", "code id_token", "code token", "none"} {
		k.wants(k.push("response_type", kind), http.StatusBadRequest, "unsupported_response_type")
	}
	// RFC 9126 §2.4 lets a server take unregistered addresses of clients that authenticate: we take none.
	for _, uri := range []string{"https://app.example.com/unregistered", "http://127.0.0.1:49152/callback",
		"http://localhost/callback", callback + "?x=1", "-"} {
		if a := k.wants(k.push("redirect_uri", uri), http.StatusBadRequest, "invalid_request"); strings.Contains(a.body,
			"request_uri\":") {
			t.Errorf("%s: %s", uri, a.body)
		}
	}
}

func TestFAPI2_APersonWhoSaysNoIsAccessDenied(t *testing.T) {
	k := newBank(t)
	k.change("bank", func(c *broker.Client) { c.FirstParty = false })
	a := k.b.get("/authorize?" + k.names(k.push()))
	a = k.b.get("/authorize?login=" + strings.TrimPrefix(a.location().Path, "/login/"))
	a = k.b.press(k.b.get(a.Header.Get("Location")), "cancel")
	to, err := url.Parse(attribute(k.element(a, "continue"), "href"))
	k.must(err)
	if q := to.Query(); q.Get("error") != "access_denied" || q.Get("iss") != issuer || q.Get("state") != "the-state" ||
		q.Has("code") {
		t.Errorf("%v", q)
	}
}
