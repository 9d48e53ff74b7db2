package fakeidp

import (
	"maps"
	"net/http"
	"time"
)

// Fault holds everything that a simulated provider can be told to do wrong. The zero Fault is honest.
//
// Attack rows of SECURITY.md and their switches: B4 Claims["nonce"]; B5 Forge, Alg, Header, RawHeader; B6 Forge,
// Header; B7 ForgeUnknownKid; B8 ForgeCorrupt; B9 Documents[AtDiscovery]; B10 Claims, V1Token, KeyIssuer; B11
// ForgeConsumerKey; B12 Claims["aud"], Claims["azp"], Documents[AtDebugToken]; B13 Claims; B14 and B15 Claims,
// Documents[AtUserInfo]; B20 Claims, RawPayload, Raw and the functions of hostile.go; B21 ForgeEncrypted…; B22
// Breaks; C1, C2, C21 SetPersonas.
type Fault struct {
	// ID token.
	Claims     map[string]any           // replaces claims, after everything else; nil removes
	Header     map[string]any           // replaces members of the JOSE header, after Forge; nil removes
	Forge      Forgery                  // how the signature is forged
	Alg        string                   // the algorithm named in the header and, if the key can, used
	RawHeader  func(json []byte) []byte // rewrites the header's JSON before it is signed
	RawPayload func(json []byte) []byte // rewrites the payload's JSON before it is signed
	V1Token    bool                     // Microsoft: a v1.0 token, of the sts.windows.net issuer
	AuthTime   AuthTimeRule             // when it has auth_time
	AuthAge    time.Duration            // the person signed in this long ago, whatever prompt and max_age say

	// Documents and answers.
	// replaces members; nil removes. AtAuthorize: of the response to the client
	Documents map[Endpoint]map[string]any
	Raw       map[Endpoint]func(json []byte) []byte // rewrites a JSON body before it is sent
	Breaks    map[Endpoint]Break                    // the transport misbehaves
	KeyIssuer string                                // Microsoft: the issuer member of the JWKS' work keys

	// Refusals and negligence.
	AuthorizeError OAuthError // sent without asking the person
	TokenError     OAuthError // sent for every token request
	RefuseSecret   bool       // the token endpoint rejects every secret
	WrongSecret    Break      // how it answers to wrong credentials, if not in the kind's own words
	UnknownCode    Break      // how it answers to a code that it did not issue, likewise
	IgnorePKCE     bool       // no code_verifier is required
	ReplayCodes    bool       // a code can be redeemed more than once
}

// AuthTimeRule says when an ID token has auth_time. To skew the provider's clock, set AuthAge to some seconds, which
// may be negative.
type AuthTimeRule int

// The rules. The zero one is the provider's default: never at Google and Microsoft, on max_age at kind oidc, always
// at AD FS.
const (
	AuthTimeDefault AuthTimeRule = iota
	// AuthTimeEnabled: the administrator enabled it. That is Google's "Session age claims", for requests whose
	// claims parameter names auth_time, and Microsoft's optional claim. The other kinds always have it.
	AuthTimeEnabled
	AuthTimeNever
)

// tellsAuthTime reports whether an ID token has auth_time. byDefault is the answer of AuthTimeDefault.
func (f *Fault) tellsAuthTime(byDefault bool) bool {
	return f.AuthTime == AuthTimeEnabled || f.AuthTime == AuthTimeDefault && byDefault
}

// Break is a fault of an endpoint's transport. Hang comes first, then Drop, Redirect and Status.
type Break struct {
	Drop     bool          // close the connection without a response
	Hang     time.Duration // delay before the response; ends early if the client or the server leaves
	Redirect string        // respond with 302 to this address
	Status   int           // respond with this status and Body instead of the document
	Body     string
	Pad      int // number of spaces sent before the JSON document, which stays valid
}

// Set replaces one member of an endpoint's document.
func (f *Fault) Set(at Endpoint, member string, value any) {
	if f.Documents == nil {
		f.Documents = map[Endpoint]map[string]any{}
	}
	if f.Documents[at] == nil {
		f.Documents[at] = map[string]any{}
	}
	f.Documents[at][member] = value
}

// Remove drops one member of an endpoint's document.
func (f *Fault) Remove(at Endpoint, member string) { f.Set(at, member, nil) }

// SetClaim replaces one claim of the ID token; nil removes it.
func (f *Fault) SetClaim(claim string, value any) {
	if f.Claims == nil {
		f.Claims = map[string]any{}
	}
	f.Claims[claim] = value
}

// SetHeader replaces one member of the ID token's header; nil removes it.
func (f *Fault) SetHeader(member string, value any) {
	if f.Header == nil {
		f.Header = map[string]any{}
	}
	f.Header[member] = value
}

// Rewrite changes the JSON of an endpoint's document just before it is sent.
func (f *Fault) Rewrite(at Endpoint, rewrite func(json []byte) []byte) {
	if f.Raw == nil {
		f.Raw = map[Endpoint]func([]byte) []byte{}
	}
	f.Raw[at] = rewrite
}

// Break adds a transport fault to some endpoints.
func (f *Fault) Break(b Break, endpoints ...Endpoint) {
	if f.Breaks == nil {
		f.Breaks = map[Endpoint]Break{}
	}
	for _, at := range endpoints {
		f.Breaks[at] = b
	}
}

// Down makes some endpoints respond with 503.
func (f *Fault) Down(endpoints ...Endpoint) {
	f.Break(Break{Status: http.StatusServiceUnavailable, Body: "Service Unavailable"}, endpoints...)
}

// Misbehave adds faults to those already set. Running requests keep the faults they started with.
func (s *Server) Misbehave(change func(*Fault)) {
	for {
		old := s.fault.Load()
		next := old.clone()
		change(next)
		if s.fault.CompareAndSwap(old, next) {
			return
		}
	}
}

// Behave removes all faults.
func (s *Server) Behave() { s.fault.Store(&Fault{}) }

// clone copies what Misbehave may change, because running requests still read the original.
func (f *Fault) clone() *Fault {
	next := *f
	next.Claims, next.Header = maps.Clone(f.Claims), maps.Clone(f.Header)
	next.Raw, next.Breaks = maps.Clone(f.Raw), maps.Clone(f.Breaks)
	next.Documents = maps.Clone(f.Documents)
	for at, members := range next.Documents {
		next.Documents[at] = maps.Clone(members)
	}
	return &next
}

// OAuthError is an error response of RFC 6749 §4.1.2.1 or §5.2.
type OAuthError struct{ Code, Description string }
