// Package config reads the configuration: a YAML file, then GATEHOUSE_… variables, which override it.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/broker"
)

// Config holds the operator's settings. The tag of a field is its key in the file. Its variable is GATEHOUSE_
// and the key in capitals, with "_" for ".": mail.from is GATEHOUSE_MAIL_FROM. In a variable, a list is
// separated by commas; an empty variable counts as not set. A Secret is written env:NAME or file:/path in the
// file, and as it is in a variable.
type Config struct {
	// Issuer is the URL that apps know the broker by and that all links start with: https, or http on a loopback
	// host; scheme, host and port only. Default: http://localhost with the port of listen.
	Issuer string `yaml:"issuer"`
	// Listen is the public listener, host:port. Default localhost:8080; ":8080" listens on every interface.
	Listen string `yaml:"listen"`
	// Operations is the second listener, for health and metrics.
	Operations Operations `yaml:"operations"`
	// TLS holds the certificate of the public listener. Without it an https issuer needs trusted_proxies.
	TLS TLS `yaml:"tls"`
	// InternalHosts are other hosts, with their ports, under which the apps' servers reach /token, /userinfo, /jwks,
	// discovery and the like: gatehouse:8080 inside a compose file, say. The issuer stays as it is. None by default.
	InternalHosts []string `yaml:"internal_hosts"`
	// TrustedProxies are the addresses or networks whose X-Forwarded-For is trusted. None by default.
	TrustedProxies Networks `yaml:"trusted_proxies"`
	// DataDir is the folder for database, keyring and mailbox unless they are configured. Default
	// ./gatehouse-data.
	DataDir string `yaml:"data_dir"`
	// Database is sqlite:PATH or postgres://… . Default: gatehouse.db in data_dir.
	Database broker.Secret `yaml:"database"`
	// DatabasePool is the largest number of open database connections. Default 10.
	DatabasePool int `yaml:"database_pool"`
	// SQLiteSynchronous is normal or full. With normal, a power cut may undo the last moments. PostgreSQL has
	// its own setting. Default normal.
	SQLiteSynchronous string `yaml:"sqlite_synchronous"`
	// Redis is redis://… or rediss://… for ephemeral data. Without it they are in the database.
	Redis broker.Secret `yaml:"redis"`
	// Keyring is the path of the keyring file, or env:NAME for a variable that contains the keyring itself.
	// Default: keyring.json in data_dir, created at the first start with SQLite only. With PostgreSQL it must be
	// configured, because all replicas share it.
	Keyring string `yaml:"keyring"`
	// Mail configures outgoing mail.
	Mail Mail `yaml:"mail"`
	// Product describes the operator to people.
	Product Product `yaml:"product"`
	// Registration is how people without an account get one, unless a tenant decides: invite (by invitation
	// only, the default), form (a short registration) or silent (from the provider's claims).
	Registration string `yaml:"registration"`
	// ClientRegistration lets apps register themselves (RFC 7591), with a token from gatehouse clients token.
	// Default false.
	ClientRegistration bool `yaml:"client_registration"`
	// Passwords enables sign-in with a password. Default true.
	Passwords bool `yaml:"passwords"`
	// Languages are the languages offered, as BCP 47 tags; the first is the default. Default en, fr, es, de.
	Languages []string `yaml:"languages"`
	// UpstreamNetworks are private networks in which providers, and the addresses that apps register, may be
	// reached, also over http and on any port. None by default.
	UpstreamNetworks Networks `yaml:"upstream_networks"`
	// Log configures the log.
	Log Log `yaml:"log"`
	// Audit configures the audit log.
	Audit Audit `yaml:"audit"`
	// Connections are upstream connections that are created or updated at start. No variable can set them.
	// Connections made with commands are not listed here.
	Connections []Connection `yaml:"connections"`
	// Clients are apps that are created or updated at start. No variable can set them. Apps made with commands are
	// not listed here.
	Clients []Client `yaml:"clients"`

	// CreateKeyring: the keyring file may be created if it does not exist. True with SQLite, if keyring is not set.
	// Not a configuration key.
	CreateKeyring bool `yaml:"-"`
	// KeyringData is the keyring itself if keyring is env:NAME; Keyring is then empty. Not a configuration key.
	KeyringData broker.Secret `yaml:"-"`
}

// Operations is the second listener.
type Operations struct {
	// Listen is host:port of /healthz and /metrics, or off. Default 127.0.0.1:9090. It has no authentication.
	Listen string `yaml:"listen"`
}

// TLS names the two PEM files of the public listener; both or none.
type TLS struct {
	// Cert is the path of the certificate chain.
	Cert string `yaml:"cert"`
	// Key is the path of its private key.
	Key string `yaml:"key"`
}

// Mail configures outgoing mail: over SMTP, or into a folder.
type Mail struct {
	// From is the sender, such as Gatehouse <login@example.com>. Required with smtp.
	From string `yaml:"from"`
	// SMTP is smtp://user:password@host:port (with STARTTLS) or smtps://… . Without it no mail is sent.
	SMTP broker.Secret `yaml:"smtp"`
	// Folder receives the mails if smtp is not set. Default: mailbox in data_dir.
	Folder string `yaml:"folder"`
}

// Product describes the operator to people.
type Product struct {
	// Name is the name on every page and in every mail. Default Gatehouse.
	Name string `yaml:"name"`
	// SupportURL is where people get help: https or mailto. Optional.
	SupportURL string `yaml:"support_url"`
	// PrivacyURL is the privacy policy. Optional.
	PrivacyURL string `yaml:"privacy_url"`
	// TermsURL is the terms of use. Optional.
	TermsURL string `yaml:"terms_url"`
}

// Log configures the log.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `yaml:"level"`
}

// Threshold is the level as log/slog has it: info if none is set.
func (l Log) Threshold() (level slog.Level) {
	_ = level.UnmarshalText([]byte(l.Level)) // Load has validated it; the zero level is info
	return level
}

// Audit configures the audit log.
type Audit struct {
	// Retention is how many days events are kept, with their network addresses; 0 keeps them for ever. Default 400:
	// a year, for yearly reviews, and a month to hold them.
	Retention int `yaml:"retention"`
	// Refusals is how many refusals of one kind from one network are recorded in an hour if they concern no account;
	// of the others, only the 1,000th, the 10,000th and so on. Default 100.
	Refusals int `yaml:"refusals"`
}

// Connection is an upstream declared in the file.
type Connection struct {
	// ID is part of the callback path: lower-case letters, digits and dashes. It never changes.
	ID string `yaml:"id"`
	// Kind is google, microsoft, adfs, meta, oidc, saml, or another kind that this version has.
	Kind string `yaml:"kind"`
	// Name is what people see on the button.
	Name string `yaml:"name"`
	// Issuer is the upstream's issuer, for the kinds that need one.
	Issuer string `yaml:"issuer"`
	// ClientID is the client id that the upstream issued.
	ClientID string `yaml:"client_id"`
	// ClientSecret is the client secret that the upstream issued.
	ClientSecret broker.Secret `yaml:"client_secret"`
	// Settings are the kind's own fields. None of them is secret.
	Settings map[string]string `yaml:"settings"`
	// Domains are e-mail domains whose people are sent to this connection. They grant nothing.
	Domains []string `yaml:"domains"`
}

// Client is an app declared in the file.
type Client struct {
	// ID is the client_id.
	ID string `yaml:"id"`
	// Name is what people see on the sign-in and consent pages.
	Name string `yaml:"name"`
	// Secret is the client_secret, at least 32 characters; none for a public client.
	Secret broker.Secret `yaml:"secret"`
	// RedirectURIs are compared byte for byte.
	RedirectURIs []string `yaml:"redirect_uris"`
	// PostLogoutRedirectURIs are compared byte for byte.
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris"`
	// Scopes that the app may request. Default openid, profile, email, offline_access.
	Scopes []string `yaml:"scopes"`
	// GrantTypes that the app may use. Default authorization_code, refresh_token.
	GrantTypes []string `yaml:"grant_types"`
	// AuthMethod is client_secret_basic, client_secret_post, private_key_jwt, or several of them separated by
	// spaces; none for a public client. Default: client_secret_basic and client_secret_post.
	AuthMethod string `yaml:"auth_method"`
	// AuthAlg is the only algorithm that private_key_jwt may use: RS256, PS256, ES256, EdDSA or Ed25519.
	// Default: any of them.
	AuthAlg string `yaml:"auth_alg"`
	// Keys is the app's public JWK Set as JSON, or file:/path of it, for private_key_jwt.
	Keys string `yaml:"jwks"`
	// KeysURI is where the app publishes its keys instead.
	KeysURI string `yaml:"jwks_uri"`
	// BackchannelLogoutURI receives the logout tokens.
	BackchannelLogoutURI string `yaml:"backchannel_logout_uri"`
	// FrontchannelLogoutURI is framed by the signed-out page.
	FrontchannelLogoutURI string `yaml:"frontchannel_logout_uri"`
	// FAPI2 holds the app to the FAPI 2.0 Security Profile: private_key_jwt, RequirePAR, PKCE and DPoP, no RS256,
	// and refresh without rotation.
	FAPI2 bool `yaml:"fapi2"`
	// RequirePAR refuses authorization requests that were not pushed (RFC 9126).
	RequirePAR bool `yaml:"require_par"`
	// DPoP refuses bearer tokens for this app (RFC 9449).
	DPoP bool `yaml:"dpop"`
	// AccessToken is opaque (the default) or jwt (RFC 9068).
	AccessToken string `yaml:"access_token"`
	// Audience are the recipients of the access tokens, besides the app.
	Audience []string `yaml:"audience"`
	// DefaultMaxAge is the greatest age of a sign-in in seconds, if the request has no max_age.
	DefaultMaxAge *int `yaml:"default_max_age"`
	// LogoURI is the app's logo.
	LogoURI string `yaml:"logo_uri"`
	// ClientURI is the app's home page.
	ClientURI string `yaml:"client_uri"`
	// PolicyURI is the app's privacy policy.
	PolicyURI string `yaml:"policy_uri"`
	// TosURI is the app's terms of service.
	TosURI string `yaml:"tos_uri"`
	// InitiateLoginURI starts a sign-in from elsewhere.
	InitiateLoginURI string `yaml:"initiate_login_uri"`
	// Contacts are the people responsible for the app.
	Contacts []string `yaml:"contacts"`
	// Public clients have no secret: apps in a browser or on a device.
	Public bool `yaml:"public"`
	// Native clients may use loopback and reverse-DNS redirect URIs (RFC 8252).
	Native bool `yaml:"native"`
	// FirstParty clients skip the consent page.
	FirstParty bool `yaml:"first_party"`
	// PKCE is required, default (a confidential client sends PKCE or a nonce) or off (it may send neither).
	PKCE string `yaml:"pkce"`
	// ErrorIss is on (the default), or off for an app that fails at the iss of error responses.
	ErrorIss string `yaml:"error_iss"`
	// IDTokenAlg is RS256 (the default), ES256 or EdDSA.
	IDTokenAlg string `yaml:"id_token_alg"`
	// IDTokenClaims is scopes (the default) or minimal: the claims about the person in ID tokens.
	IDTokenClaims string `yaml:"id_token_claims"`
	// PreferredUsername is email (the default), local_part or none.
	PreferredUsername string `yaml:"preferred_username"`
}

// Off is the value of operations.listen that opens no second listener.
const Off = "off"

// maxFile is the size of the largest file accepted, in bytes.
const maxFile = 1 << 20

// Load reads the file at path ("" for none), applies the variables of environ, which are written NAME=VALUE, and
// fills in the defaults. It returns a complete, valid Config, or an incomplete one with all problems together as
// Problems. It reads only that file and those that file: references name.
func Load(path string, environ func() []string) (*Config, error) {
	c := &Config{
		Listen: "localhost:8080", Operations: Operations{Listen: "127.0.0.1:9090"}, DataDir: "./gatehouse-data",
		DatabasePool: 10, SQLiteSynchronous: "normal", Audit: Audit{Retention: 400, Refusals: 100},
		Product: Product{Name: "Gatehouse"}, Registration: "invite", Passwords: true,
		Languages: []string{"en", "fr", "es", "de"}, Log: Log{Level: "info"},
	}
	found := findings{from: map[string]string{}, literal: map[string]bool{}}
	found.read(environ)
	if path != "" {
		data, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		found.decode(data, c)
	}
	found.overlay(c)
	found.resolve(c)
	found.checkVariables()
	c.complete()
	found.check(c)
	if len(found.problems) > 0 {
		return c, found.problems
	}
	return c, nil
}

// complete fills in the defaults that depend on other settings.
func (c *Config) complete() {
	if port := portOf(c.Listen); c.Issuer == "" && port != "" {
		c.Issuer = "http://localhost:" + port
	}
	if c.Database == "" {
		c.Database = broker.Secret("sqlite:" + filepath.Join(c.DataDir, "gatehouse.db"))
	}
	if _, sqlite := c.SQLite(); sqlite && c.Keyring == "" && c.KeyringData == "" {
		c.Keyring, c.CreateKeyring = filepath.Join(c.DataDir, "keyring.json"), true
	}
	if c.Mail.SMTP == "" {
		orDefault(&c.Mail.Folder, filepath.Join(c.DataDir, "mailbox"))
		orDefault(&c.Mail.From, "Gatehouse <gatehouse@localhost>")
	}
	for i := range c.Clients {
		client := &c.Clients[i]
		if client.Public {
			orDefault(&client.AuthMethod, "none")
		}
		if client.FAPI2 {
			client.RequirePAR, client.DPoP = true, true
			orDefault(&client.AuthMethod, "private_key_jwt")
			orDefault(&client.IDTokenAlg, "ES256")
			orDefault(&client.PKCE, broker.PKCERequired)
		}
		orDefault(&client.AuthMethod, "client_secret_basic client_secret_post")
		orDefault(&client.AccessToken, "opaque")
		orDefault(&client.IDTokenAlg, "RS256")
		if client.GrantTypes == nil {
			client.GrantTypes = []string{"authorization_code", "refresh_token"}
		}
		if client.Scopes == nil {
			client.Scopes = []string{"openid", "profile", "email", "offline_access"}
		}
	}
}

func orDefault(value *string, fallback string) {
	if *value == "" {
		*value = fallback
	}
}

// SQLite returns the path of the database file. ok is false with PostgreSQL, where Database is the URL.
func (c *Config) SQLite() (path string, ok bool) {
	return strings.CutPrefix(c.Database.Reveal(), "sqlite:")
}

// DatabaseExists reports whether there is a SQLite database already. If so, no keyring is
// created: a new one could open nothing, and would hide that the right one is missing.
func (c *Config) DatabaseExists() bool {
	path, sqlite := c.SQLite()
	info, err := os.Stat(path)
	return sqlite && err == nil && info.Mode().IsRegular() && info.Size() > 0
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB")}
	}
	return data, err
}
