package oidc

import (
	"gatehouse/broker/clients"
	"gatehouse/broker/signing"
)

// Short names for what the registry and the signing keys define.
const (
	algRS256   = signing.RS256
	algPS256   = clients.PS256
	algES256   = signing.ES256
	algEdDSA   = signing.EdDSA
	algEd25519 = signing.Ed25519

	grantCode    = clients.GrantCode
	grantRefresh = clients.GrantRefresh
	grantClient  = clients.GrantClient
	grantDevice  = clients.GrantDevice

	scopeOpenID  = clients.ScopeOpenID
	scopeProfile = clients.ScopeProfile
	scopeEmail   = clients.ScopeEmail
	scopeOffline = clients.ScopeOffline

	methodKey = clients.MethodKey
)
