package main

import "github.com/alecthomas/kong"

// commandLine is every command with its flags, in the order of the help.
type commandLine struct {
	Config  string `group:"common" placeholder:"FILE" help:"Configuration file (YAML). Variables GATEHOUSE_… win."`
	JSON    bool   `group:"common" name:"json" help:"Print JSON."`
	Help    bool   `group:"common" short:"h" help:"Show help."`
	Version bool   `group:"common" help:"Show the version."`

	Demo    demoCmd    `cmd:"" example:"--addr localhost:8081" group:"run" help:"Run a demo with simulated providers and a sample app."`
	Serve   serveCmd   `cmd:"" example:"--config gatehouse.yaml" group:"run" help:"Run the broker."`
	Check   checkCmd   `cmd:"" example:"--config gatehouse.yaml" group:"run" help:"Check everything that a start needs. Changes nothing."`
	Migrate migrateCmd `cmd:"" example:"--config gatehouse.yaml" group:"run" help:"Migrate the database to this version."`

	Accounts    accountsCmd    `cmd:"" group:"accounts" help:"Manage accounts."`
	Clients     clientsCmd     `cmd:"" group:"clients" help:"Manage apps."`
	Connections connectionsCmd `cmd:"" group:"connections" help:"Manage connections to providers."`
	Keys        keysCmd        `cmd:"" group:"keys" help:"Manage the signing keys and the keyring."`

	Explain explainCmd `cmd:"" example:"--connection google --claims claims.json" group:"look" help:"Show what a sign-in with these claims would end in, and why."`
	Audit   auditCmd   `cmd:"" example:"--account ana@example.com --since 24h" group:"look" help:"Read the audit log, newest first."`

	Completion completionCmd `cmd:"" example:"bash" group:"look" help:"Print a script that completes commands in your shell."`
}

// groups are the sections of the help.
func groups() []kong.Group {
	return []kong.Group{{Key: "run", Title: "Run:"}, {Key: "accounts", Title: "Accounts:"},
		{Key: "clients", Title: "Apps:"},
		{Key: "connections", Title: "Providers:"}, {Key: "keys", Title: "Keys:"}, {Key: "look", Title: "More:"},
		{Key: "app-keys", Title: "Its keys:"}, {Key: "app-out", Title: "Sign-out:"},
		{Key: "app-tokens", Title: "Tokens:"}, {Key: "app-protocol", Title: "Protocol:"},
		{Key: "app-about", Title: "About the app:"},
		{Key: "common", Title: "Common flags:"}}
}

type accountsCmd struct {
	Add        accountsAdd        `cmd:"" example:"ana@example.com --name \"Ana Silva\" --password-file -" help:"Create an account."`
	List       accountsList       `cmd:"" example:"--limit 20" help:"List accounts by e-mail address."`
	Show       accountsShow       `cmd:"" example:"ana@example.com" help:"Show an account and its sign-in methods."`
	Change     accountsChange     `cmd:"" example:"ana@example.com --name \"Ana Silva\" --locale pt" help:"Change what the flags name. Apps learn it at the next sign-in."`
	Password   accountsPassword   `cmd:"" example:"ana@example.com --password-file new.txt" help:"Set a password and mail its owner. Sessions and tokens end."`
	Disable    accountsDisable    `cmd:"" example:"ana@example.com" help:"Disable an account. Its sessions and tokens end."`
	Enable     accountsEnable     `cmd:"" example:"ana@example.com" help:"Enable an account."`
	Restrict   accountsRestrict   `cmd:"" example:"ana@example.com --only microsoft" help:"Let an account sign in one way only. Its sessions and tokens end."`
	Unrestrict accountsUnrestrict `cmd:"" example:"ana@example.com" help:"Let an account sign in every way again."`
	Signout    accountsSignout    `cmd:"" example:"ana@example.com" help:"End every session and token of an account."`
	Unlink     accountsUnlink     `cmd:"" example:"ana@example.com --identity 4Q7…" help:"Remove an identity from an account and mail its owner."`
	Consents   consentsCmd        `cmd:"" help:"What an account allowed each client."`
}

type consentsCmd struct {
	List   consentsList   `cmd:"" example:"ana@example.com" default:"withargs" help:"List what the account allowed each client."`
	Remove consentsRemove `cmd:"" example:"ana@example.com --client wiki" help:"Revoke an account's consent to a client. Its tokens end."`
}

type clientsCmd struct {
	Add     clientsAdd     `cmd:"" example:"--name Wiki --redirect-uri https://wiki.example.com/cb --json" help:"Register an app. Prints its id and, once, its secret."`
	List    clientsList    `cmd:"" example:"--json" help:"List the apps."`
	Show    clientsShow    `cmd:"" example:"wiki" help:"Show an app."`
	Change  clientsChange  `cmd:"" example:"wiki --redirect-uri https://wiki.example.com/cb" help:"Change what the flags name. A list is replaced as a whole."`
	Secret  clientsSecret  `cmd:"" example:"wiki --json" help:"Make a new secret. The old one stays valid until --end-old."`
	Disable clientsDisable `cmd:"" example:"wiki" help:"Disable an app. Its tokens end."`
	Enable  clientsEnable  `cmd:"" example:"wiki" help:"Enable an app."`
	Token   clientsToken   `cmd:"" example:"--life 1h --json" help:"Make a token with which an app registers itself."`
	Logouts clientsLogouts `cmd:"" example:"--json" help:"List sign-out notices not yet delivered to apps, and why."`
	Remove  clientsRemove  `cmd:"" example:"wiki" help:"Remove an app with its consents and tokens."`
}

type connectionsCmd struct {
	Kinds   connectionsKinds   `cmd:"" help:"List the kinds of provider and their settings."`
	Add     connectionsAdd     `cmd:"" example:"google --kind google --name Google --client-id 123 --client-secret-file -" help:"Connect a provider, as a draft. Prints the redirect URI to register there."`
	List    connectionsList    `cmd:"" example:"--json" help:"List the connections."`
	Show    connectionsShow    `cmd:"" example:"google" help:"Show a connection."`
	Change  connectionsChange  `cmd:"" example:"google --name \"Google Workspace\" --domain example.com" help:"Change what the flags name."`
	Secret  connectionsSecret  `cmd:"" example:"google --client-secret-file new.txt" help:"Add a new client secret. The one before stays valid until the next."`
	Test    connectionsTest    `cmd:"" example:"google" help:"Ask a connection's provider whether a sign-in can work."`
	Disable connectionsDisable `cmd:"" example:"google" help:"Disable a connection. Sign-in through it stops."`
	Enable  connectionsEnable  `cmd:"" example:"google" help:"Enable a connection. A draft must pass its test."`
	Remove  connectionsRemove  `cmd:"" example:"google" help:"Remove a connection that no account uses."`
}

type keysCmd struct {
	Create        keysCreate        `cmd:"" example:"/etc/gatehouse/keyring.json" help:"Create a keyring file. With SQLite the first start does it."`
	List          keysList          `cmd:"" example:"--json" help:"List the signing keys and the keys of the keyring."`
	Rotate        keysRotate        `cmd:"" help:"Rotate the keyring while servers run, and re-seal stored values."`
	Retire        keysRetire        `cmd:"" example:"k4mzt2xqa" help:"Remove an old key of the keyring that nothing uses any more."`
	RotateSigning keysRotateSigning `cmd:"" help:"Publish new signing keys, which take over in 24 hours."`
}

// accountArg names an account.
type accountArg struct {
	Account string `arg:"" name:"EMAIL|ID" help:"E-mail address or id of the account."`
}

// clientArg names an app.
type clientArg struct {
	ID string `arg:"" name:"ID" help:"Id of the app."`
}

// connectionArg names a connection.
type connectionArg struct {
	ID string `arg:"" name:"ID" help:"Id of the connection."`
}
