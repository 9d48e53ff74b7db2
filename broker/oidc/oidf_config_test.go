package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/text/language"

	"gatehouse/broker/signing"
)

// These tests have the names of the OpenID Foundation's conformance modules.

func (h *harness) discovered() map[string]any {
	h.t.Helper()
	a := h.send(newRequest(http.MethodGet, pathConfiguration, nil))
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		h.t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	return a.json
}

func texts(v any) (all []string) {
	list, _ := v.([]any)
	for _, one := range list {
		s, _ := one.(string)
		all = append(all, s)
	}
	return all
}

// knownMetadata are the names that the specifications registered for what we may
// advertise: the suite warns of any other.
const knownMetadata = `issuer authorization_endpoint token_endpoint userinfo_endpoint jwks_uri registration_endpoint
	scopes_supported response_types_supported
	response_modes_supported grant_types_supported acr_values_supported subject_types_supported
	id_token_signing_alg_values_supported
	token_endpoint_auth_methods_supported token_endpoint_auth_signing_alg_values_supported display_values_supported
	claim_types_supported claims_supported
	service_documentation claims_locales_supported ui_locales_supported claims_parameter_supported
	request_parameter_supported request_uri_parameter_supported
	require_request_uri_registration op_policy_uri op_tos_uri prompt_values_supported
	revocation_endpoint revocation_endpoint_auth_methods_supported revocation_endpoint_auth_signing_alg_values_supported
	introspection_endpoint introspection_endpoint_auth_methods_supported
	introspection_endpoint_auth_signing_alg_values_supported
	code_challenge_methods_supported device_authorization_endpoint pushed_authorization_request_endpoint
	require_pushed_authorization_requests
	authorization_response_iss_parameter_supported dpop_signing_alg_values_supported
	end_session_endpoint backchannel_logout_supported backchannel_logout_session_supported frontchannel_logout_supported
	frontchannel_logout_session_supported`

func TestOIDF_oidcc_discovery_endpoint_verification(t *testing.T) {
	newHarness(t).validMetadata()
	h := newHarnessWith(t, ports{register: true})
	h.validMetadata()
	if meta := h.discovered(); meta["registration_endpoint"] == nil {
		t.Error("where apps register themselves is not advertised")
	}
}

// validMetadata checks the discovery document as the suite does.
func (h *harness) validMetadata() {
	t := h.t
	t.Helper()
	meta := h.discovered()
	if meta["issuer"] != issuer {
		t.Errorf("issuer %v", meta["issuer"])
	}
	known := strings.Fields(knownMetadata)
	for name, v := range meta {
		if !slices.Contains(known, name) {
			t.Errorf("no specification knows %s", name)
		}
		if strings.HasSuffix(name, "_endpoint") || name == "jwks_uri" {
			s, _ := v.(string)
			if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
				t.Errorf("%s is %v", name, v)
			}
		}
		if v == nil {
			t.Errorf("%s is null", name)
		}
		if list := texts(v); reflect.TypeOf(v).Kind() == reflect.Slice {
			if len(list) == 0 || slices.Contains(list, "") || len(slices.Compact(slices.Sorted(slices.Values(list)))) != len(
				list) {
				t.Errorf("%s is %v", name, v)
			}
		}
	}
	for name, must := range map[string]string{"id_token_signing_alg_values_supported": "RS256",
		"response_types_supported": "code", "subject_types_supported": "public",
		"scopes_supported": "openid", "claims_supported": "sub", "grant_types_supported": "authorization_code",
		"code_challenge_methods_supported":      "S256",
		"token_endpoint_auth_methods_supported": "client_secret_basic"} {
		if !slices.Contains(texts(meta[name]), must) {
			t.Errorf("%s is %v, without %s", name, meta[name], must)
		}
	}
	for _, list := range []string{"ui_locales_supported", "claims_locales_supported"} {
		for _, tag := range texts(meta[list]) {
			if parsed, err := language.Parse(tag); err != nil || parsed.String() != tag {
				t.Errorf("%q is no canonical language tag", tag)
			}
		}
	}
	for _, name := range []string{"claims_parameter_supported", "request_parameter_supported",
		"request_uri_parameter_supported", "authorization_response_iss_parameter_supported"} {
		if _, is := meta[name].(bool); !is {
			t.Errorf("%s is %v", name, meta[name])
		}
	}
	if len(texts(meta["ui_locales_supported"])) == 0 {
		t.Error("no language is advertised")
	}
	for _, scope := range []string{"address", "phone"} {
		if slices.Contains(texts(meta["scopes_supported"]), scope) {
			t.Errorf("%s is advertised, and there is no such claim", scope)
		}
	}
	if strings.Contains(strings.Join(texts(meta["id_token_signing_alg_values_supported"]), " "), "none") {
		t.Error("unsigned ID tokens are advertised")
	}
	if a := h.send(newRequest(http.MethodGet, pathServer, nil)); !reflect.DeepEqual(a.json, meta) {
		t.Error("RFC 8414 metadata differ")
	}
}

func TestOIDF_common_the_jwks_is_valid(t *testing.T) {
	h := newHarness(t)
	h.validKeys()
	h.clock.add(signing.KeyLife - signing.KeyLead) // while the next keys are published beside those that sign
	h.tick()
	h.validKeys()
	if n := len(h.published()); n != 2*len(signing.Algorithms()) {
		t.Errorf("%d keys", n)
	}
}

// validKeys checks the JWKS as the suite does.
func (h *harness) validKeys() {
	t := h.t
	t.Helper()
	a := h.send(newRequest(http.MethodGet, pathKeys, nil))
	var raw struct{ Keys []map[string]any }
	h.must(json.Unmarshal([]byte(a.body), &raw))
	if len(raw.Keys) < len(signing.Algorithms()) {
		t.Fatalf("%d keys", len(raw.Keys))
	}
	seen := map[any]bool{}
	for _, k := range raw.Keys {
		if kid, _ := k["kid"].(string); kid == "" || seen[kid] || k["use"] != "sig" || k["alg"] == nil {
			t.Errorf("%v", k)
		}
		seen[k["kid"]] = true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := k[private]; there {
				t.Errorf("the private part %s of %v", private, k["kid"])
			}
		}
		one, err := json.Marshal(k)
		h.must(err)
		var parsed jose.JSONWebKey
		if err := parsed.UnmarshalJSON(one); err != nil || !parsed.Valid() {
			t.Errorf("%v: %v", k["kid"], err)
		}
	}
	advertised := texts(h.discovered()["id_token_signing_alg_values_supported"])
	for _, alg := range advertised {
		if !slices.ContainsFunc(raw.Keys, func(k map[string]any) bool { return k["alg"] == alg }) {
			t.Errorf("there is no key for %s", alg)
		}
	}
}
