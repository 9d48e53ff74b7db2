package main

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/broker/admin"
)

// maxKeysFile is the longest JWK Set that is read, in bytes. It is more than a client may
// have, so that the operation reports one that is too long.
const maxKeysFile = 128 << 10

// appFlags describe an app. A pointer is nil if its flag is not given.
type appFlags struct {
	Name       *string  `help:"Name that people see."`
	AuthMethod []string `sep:"none" placeholder:"METHOD" help:"client_secret_basic, client_secret_post, private_key_jwt, or none (a public app). Default: either way to send the secret. Repeatable."`

	AuthAlg  *string `group:"app-keys" placeholder:"ALG" help:"The algorithm of private_key_jwt: RS256, PS256, ES256, EdDSA or Ed25519. Any if empty."`
	JWKSFile *string `group:"app-keys" name:"jwks-file" placeholder:"FILE" help:"File with the app's public JWK Set, - for standard input."`
	JWKSURI  *string `group:"app-keys" name:"jwks-uri" placeholder:"URL" help:"Where the app publishes its keys instead."`

	RedirectURI           []string `name:"redirect-uri" sep:"none" placeholder:"URI" help:"Redirect URI, compared byte for byte. Repeatable."`
	PostLogoutRedirectURI []string `group:"app-out" name:"post-logout-redirect-uri" sep:"none" placeholder:"URI" help:"URI to which sign-out may return. Repeatable."`
	BackchannelLogoutURI  *string  `group:"app-out" name:"backchannel-logout-uri" placeholder:"URL" help:"URL that gets sign-out notices."`
	FrontchannelLogoutURI *string  `group:"app-out" name:"frontchannel-logout-uri" placeholder:"URL" help:"URL that the signed-out page frames."`

	Grant    []string `group:"app-tokens" sep:"none" placeholder:"TYPE" help:"authorization_code and refresh_token (the default), client_credentials, or the device grant. Repeatable."`
	Scope    []string `group:"app-tokens" sep:"none" help:"Scope it may ask for. Default: openid profile email offline_access. Repeatable."`
	Audience []string `group:"app-tokens" sep:"none" help:"Whom its access tokens are for, beside itself. Repeatable."`

	IDTokenAlg        *string `group:"app-tokens" name:"id-token-alg" placeholder:"ALG" help:"RS256 (the default), ES256 or EdDSA."`
	IDTokenClaims     *string `group:"app-tokens" name:"id-token-claims" placeholder:"KIND" help:"Claims about the person in ID tokens: scopes (those of the granted scopes, the default) or minimal (none)."`
	PreferredUsername *string `group:"app-tokens" placeholder:"KIND" help:"The preferred_username: email (the default), local_part or none."`
	ErrorIss          *string `group:"app-protocol" name:"error-iss" placeholder:"ON|OFF" help:"off leaves iss out of error responses, for apps that fail at it."`
	AccessToken       *string `group:"app-tokens" placeholder:"KIND" help:"Kind of its access tokens: opaque (the default) or jwt (RFC 9068)."`
	Native            *bool   `help:"A native app: loopback and reverse-DNS redirect URIs."`
	FirstParty        *bool   `help:"Your own app: no consent page."`
	PKCE              *string `group:"app-protocol" name:"pkce" placeholder:"WHEN" help:"required; default (PKCE or a nonce, for apps with a secret); or off (neither)."`
	FAPI2             *bool   `group:"app-protocol" name:"fapi2" help:"Hold it to the FAPI 2.0 Security Profile: private_key_jwt, PAR, PKCE, DPoP, no RS256, no refresh token rotation."`
	RequirePAR        *bool   `group:"app-protocol" name:"require-par" help:"Only pushed authorization requests (RFC 9126)."`
	DPoP              *bool   `group:"app-protocol" name:"dpop" help:"Only tokens bound to a key of the app (RFC 9449)."`

	DefaultMaxAge    *string  `group:"app-tokens" placeholder:"SECONDS" help:"Greatest age of a sign-in if the request names none. The word none removes it."`
	LogoURI          *string  `group:"app-about" name:"logo-uri" placeholder:"URL" help:"The app's logo."`
	ClientURI        *string  `group:"app-about" name:"client-uri" placeholder:"URL" help:"The app's home page."`
	PolicyURI        *string  `group:"app-about" name:"policy-uri" placeholder:"URL" help:"The app's privacy policy."`
	TosURI           *string  `group:"app-about" name:"tos-uri" placeholder:"URL" help:"The app's terms of service."`
	InitiateLoginURI *string  `group:"app-about" name:"initiate-login-uri" placeholder:"URL" help:"Where a sign-in that starts elsewhere begins."`
	Contact          []string `group:"app-about" sep:"none" help:"Whom to ask about the app. Repeatable."`
}

// edit returns the flags as the input of an operation. keys is the JWK Set of --jwks-file.
func (f *appFlags) edit(keys *string) (e admin.EditClient, _ error) {
	e = admin.EditClient{Name: f.Name, AuthMethods: f.AuthMethod, AuthAlg: f.AuthAlg, Keys: keys, KeysURI: f.JWKSURI,
		RedirectURIs: f.RedirectURI, PostLogout: f.PostLogoutRedirectURI, Backchannel: f.BackchannelLogoutURI,
		Frontchannel: f.FrontchannelLogoutURI, GrantTypes: f.Grant, Scopes: f.Scope, Audience: f.Audience,
		IDTokenAlg: f.IDTokenAlg, IDTokenClaims: f.IDTokenClaims, Username: f.PreferredUsername, ErrorIss: f.ErrorIss,
		Native: f.Native, FirstParty: f.FirstParty, PKCE: f.PKCE, FAPI2: f.FAPI2, PushedOnly: f.RequirePAR,
		DPoPBound: f.DPoP, LogoURI: f.LogoURI, ClientURI: f.ClientURI, PolicyURI: f.PolicyURI, TosURI: f.TosURI,
		InitiateLogin: f.InitiateLoginURI, Contacts: f.Contact}
	if f.AccessToken != nil {
		if *f.AccessToken != "jwt" && *f.AccessToken != "opaque" {
			return e, misuse("--access-token: must be opaque or jwt")
		}
		e.JWTAccess = new(*f.AccessToken == "jwt")
	}
	if f.DefaultMaxAge != nil {
		age, err := strconv.Atoi(*f.DefaultMaxAge)
		switch {
		case *f.DefaultMaxAge == "none":
			age = -1
		case err != nil || age < 0:
			return e, misuse("--default-max-age: must be a number of seconds, or none")
		}
		e.DefaultMaxAge = &age
	}
	return e, nil
}

// keys reads the JWK Set of --jwks-file: nil if the flag is not given, and empty for an
// empty name, which removes the keys.
func (t *tool) keys(ctx context.Context, file *string) (*string, error) {
	if file == nil || *file == "" {
		return file, nil
	}
	set, _, err := t.read(ctx, *file, "JWK Set", maxKeysFile)
	if err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return new(" "), nil // an empty file is not a JWK Set, but an empty string would remove the keys
	}
	return new(string(set)), nil
}

// inClientFlags replaces the names of metadata, which the registry of apps speaks of, by flags.
func inClientFlags(err error) error {
	p, ok := errors.AsType[admin.Problem](err)
	if !ok {
		return err
	}
	flags := map[string]string{"redirect_uris": "redirect-uri", "post_logout_redirect_uris": "post-logout-redirect-uri",
		"grant_types": "grant", "token_endpoint_auth_method": "auth-method", "token_endpoint_auth_methods": "auth-method",
		"token_endpoint_auth_signing_alg": "auth-alg", "id_token_signed_response_alg": "id-token-alg", "jwks": "jwks-file",
		"contacts": "contact", "client_name": "name", "client_id": "id",
		"require_pushed_authorization_requests": "require-par", "dpop_bound_access_tokens": "dpop"}
	p.Text = regexp.MustCompile(`(?m)^  [a-z_]+:`).ReplaceAllStringFunc(p.Text, func(field string) string {
		name := strings.Trim(field, " :")
		return "  --" + or(flags[name], strings.ReplaceAll(name, "_", "-")) + ":"
	})
	return p
}
