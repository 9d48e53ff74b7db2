package oidc

import "gatehouse/broker/signing"

// The algorithms by their short names here.
const (
	algRS256   = signing.RS256
	algES256   = signing.ES256
	algEdDSA   = signing.EdDSA
	algEd25519 = signing.Ed25519
)
