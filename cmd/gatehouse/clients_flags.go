package main

import (
	"context"
	"flag"
	"strconv"

	"gatehouse/broker"
	"gatehouse/broker/clients"
)

// maxKeysFile is more than a JWK Set may have, so that its own check tells.
const maxKeysFile = 128 << 10

// applyFlags copies the flags that were given into a client.
type applyFlags func(ctx context.Context, t *tool, c *broker.Client) error

// clientFlags are the flags that describe an app.
func clientFlags(fs *flag.FlagSet) applyFlags {
	var f broker.Client
	fs.StringVar(&f.Name, "name", "", "name that people see")
	fs.Var((*list)(&f.AuthMethods), "auth-method", "`METHOD`: client_secret_basic, client_secret_post, private_key_jwt, or none (public); repeat for more; without it the first")
	fs.StringVar(&f.AuthAlg, "auth-alg", "", "the one `ALG` that private_key_jwt may use: RS256, PS256, ES256, EdDSA or Ed25519; any where empty")
	fs.StringVar(&f.KeysURI, "jwks-uri", "", "`URL` where the app publishes its keys, in place of --jwks-file")
	fs.Var((*list)(&f.RedirectURIs), "redirect-uri", "redirect `URI`, compared byte for byte; repeat for more")
	fs.Var((*list)(&f.PostLogoutRedirectURIs), "post-logout-redirect-uri", "`URI` that /end_session may return to; repeat for more")
	fs.StringVar(&f.BackchannelLogoutURI, "backchannel-logout-uri", "", "`URL` that is told of a sign-out")
	fs.StringVar(&f.FrontchannelLogoutURI, "frontchannel-logout-uri", "", "`URL` that the signed-out page frames")
	fs.Var((*list)(&f.GrantTypes), "grant", "grant `TYPE`: authorization_code, refresh_token, client_credentials, urn:ietf:params:oauth:grant-type:device_code; repeat for more; without it the first two")
	fs.Var((*list)(&f.Scopes), "scope", "scope it may ask for; repeat for more; without it openid profile email offline_access")
	fs.Var((*list)(&f.Audience), "audience", "who its access tokens are for, beside itself; repeat for more")
	fs.StringVar(&f.IDTokenAlg, "id-token-alg", "RS256", "RS256, ES256 or EdDSA")
	fs.BoolVar(&f.Native, "native", false, "a native app: loopback and reverse-DNS redirect URIs")
	fs.BoolVar(&f.FirstParty, "first-party", false, "your own app: no consent page")
	fs.BoolVar(&f.SkipPKCE, "no-pkce", false, "let an older confidential app do without PKCE")
	fs.BoolVar(&f.PushedOnly, "require-par", false, "only pushed authorization requests (RFC 9126)")
	fs.BoolVar(&f.DPoPBound, "dpop", false, "only tokens that are bound to a key of the app (RFC 9449)")
	fs.StringVar(&f.LogoURI, "logo-uri", "", "`URL` of the app's logo")
	fs.StringVar(&f.ClientURI, "client-uri", "", "`URL` of the app's home page")
	fs.StringVar(&f.PolicyURI, "policy-uri", "", "`URL` of the app's privacy policy")
	fs.StringVar(&f.TosURI, "tos-uri", "", "`URL` of the app's terms of service")
	fs.StringVar(&f.InitiateLoginURI, "initiate-login-uri", "", "`URL` where a sign-in that starts elsewhere begins")
	fs.Var((*list)(&f.Contacts), "contact", "whom to ask about the app; repeat for more")
	file := fs.String("jwks-file", "", "`FILE` with the app's public JWK Set, - for standard input")
	access := fs.String("access-token", "opaque", "`KIND` of its access tokens: opaque, or jwt (RFC 9068)")
	age := fs.String("default-max-age", "", "greatest age of a sign-in in `SECONDS` where the request says none; none takes it away")
	return func(ctx context.Context, t *tool, c *broker.Client) (err error) {
		copies := copiesOf(&f, c)
		copies["jwks-file"] = func() { err = t.readKeys(ctx, *file, c) }
		copies["jwks-uri"] = func() {
			if c.KeysURI = f.KeysURI; f.KeysURI != "" && *file == "" {
				c.Keys = "" // one in place of the other
			}
		}
		copies["access-token"] = func() {
			if c.JWTAccess = *access == "jwt"; !c.JWTAccess && *access != "opaque" {
				err = misuse("--access-token: want opaque or jwt")
			}
		}
		copies["default-max-age"] = func() {
			n, wrong := strconv.Atoi(*age)
			if c.DefaultMaxAge = &n; *age == "none" {
				c.DefaultMaxAge = nil
			} else if wrong != nil {
				err = misuse("--default-max-age: want a number of seconds, or none")
			}
		}
		fs.Visit(func(given *flag.Flag) {
			if copy := copies[given.Name]; copy != nil && err == nil {
				copy()
			}
		})
		if *file != "" && f.KeysURI == "" && err == nil {
			c.KeysURI = ""
		}
		return err
	}
}

func copiesOf(f, c *broker.Client) map[string]func() {
	return map[string]func(){
		"name":                     func() { c.Name = f.Name },
		"auth-method":              func() { c.AuthMethods = f.AuthMethods },
		"auth-alg":                 func() { c.AuthAlg = f.AuthAlg },
		"redirect-uri":             func() { c.RedirectURIs = f.RedirectURIs },
		"post-logout-redirect-uri": func() { c.PostLogoutRedirectURIs = f.PostLogoutRedirectURIs },
		"backchannel-logout-uri":   func() { c.BackchannelLogoutURI = f.BackchannelLogoutURI },
		"frontchannel-logout-uri":  func() { c.FrontchannelLogoutURI = f.FrontchannelLogoutURI },
		"grant":                    func() { c.GrantTypes = f.GrantTypes },
		"scope":                    func() { c.Scopes = f.Scopes },
		"audience":                 func() { c.Audience = f.Audience },
		"id-token-alg":             func() { c.IDTokenAlg = f.IDTokenAlg },
		"native":                   func() { c.Native = f.Native },
		"first-party":              func() { c.FirstParty = f.FirstParty },
		"no-pkce":                  func() { c.SkipPKCE = f.SkipPKCE },
		"require-par":              func() { c.PushedOnly = f.PushedOnly },
		"dpop":                     func() { c.DPoPBound = f.DPoPBound },
		"logo-uri":                 func() { c.LogoURI = f.LogoURI },
		"client-uri":               func() { c.ClientURI = f.ClientURI },
		"policy-uri":               func() { c.PolicyURI = f.PolicyURI },
		"tos-uri":                  func() { c.TosURI = f.TosURI },
		"initiate-login-uri":       func() { c.InitiateLoginURI = f.InitiateLoginURI },
		"contact":                  func() { c.Contacts = f.Contacts },
	}
}

// readKeys reads a JWK Set; an empty name takes the keys away.
func (t *tool) readKeys(ctx context.Context, file string, c *broker.Client) error {
	if c.Keys = ""; file == "" {
		return nil
	}
	set, _, err := t.read(ctx, file, "JWK Set", maxKeysFile)
	if err != nil {
		return err
	}
	if c.Keys = clients.CompactKeys(string(set)); len(set) == 0 {
		c.Keys = " " // an empty file is no keys, and no set
	}
	return nil
}
