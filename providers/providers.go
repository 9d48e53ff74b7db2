// Package providers implements the upstreams: one file per kind, and the checks that all kinds share.
package providers

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/broker"
)

// Kind describes one kind of upstream: the settings an administrator fills in, and how to open it.
type Kind struct {
	Name  string // as in broker.Connection.Kind; never changes
	Label string // the brand name
	Icon  string // file name of its icon, without the extension
	// Fields are the fields of the console's form, in order.
	Fields []Field
	// Open builds the upstream of a connection without Problems. It must not use the network: documents are
	// loaded when they are first needed.
	Open func(Env, broker.Connection) (broker.Upstream, error)
	// check finds problems that involve several fields; nil for none.
	check func(broker.Connection) []string
}

// Field is one setting. The keys issuer, client_id and client_secret name members of the connection; every other
// key names one of its Settings. Label and Help are English texts for administrators, used where the catalogs
// have no "field.<kind>.<key>".
type Field struct {
	Key, Label, Help string
	Required         bool
	Secret           bool     // write-only
	Flag             bool     // "true" or "false"
	Long             bool     // multi-line, such as a certificate
	Free             bool     // may change while the connection is live, because it does not identify people
	Default          string   // the value that an empty one stands for
	Options          []string // the only values allowed, if any
	// Check returns what is wrong with a non-empty value, or ""; nil accepts everything.
	Check func(value string) string
}

// The keys that name members of a connection rather than its settings.
const (
	keyIssuer       = "issuer"
	keyClientID     = "client_id"
	keyClientSecret = "client_secret"
)

// Env is what a kind opens an upstream with.
type Env struct {
	// HTTP goes through egress, with the networks and certificates of this connection only.
	HTTP *http.Client
	Now  func() time.Time
	Log  *slog.Logger
}

var kinds = map[string]Kind{}

// register adds a kind. It panics on a duplicate name, which is a programming error.
func register(k Kind) Kind {
	if _, taken := kinds[k.Name]; taken {
		panic("providers: two kinds named " + k.Name)
	}
	kinds[k.Name] = k
	return k
}

// Kinds returns all kinds, sorted by name.
func Kinds() []Kind {
	return slices.SortedFunc(maps.Values(kinds), func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
}

// Find returns the kind of that name.
func Find(name string) (Kind, bool) {
	k, ok := kinds[name]
	return k, ok
}

// kindNames lists the kinds for an error text.
func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds)), ", ") }

// Pinned returns the settings of a kind that never change once a connection was live, because they identify its
// people.
func Pinned(kind string) []string {
	var keys []string
	for _, f := range kinds[kind].Fields {
		if !f.Free {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

const wellKnown = "/.well-known/openid-configuration"

// Normalise removes what pasting adds: white space around a value, and the discovery path after an issuer.
// Everything else stays byte for byte, a trailing slash included, because issuers are compared byte for byte
// (OIDC Discovery §4.3). Save what it returns; Problems and Set.Open apply it too.
func Normalise(c broker.Connection) broker.Connection {
	c.Issuer = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(c.Issuer), wellKnown))
	c.ClientID = strings.TrimSpace(c.ClientID)
	settings := make(map[string]string, len(c.Settings))
	for key, value := range c.Settings {
		if value = strings.TrimSpace(value); value != "" {
			settings[key] = value
		}
	}
	c.Settings = settings
	return c
}

// Problems returns why a connection cannot be used as configured, or nothing if it can. It checks the
// configuration only and does not use the network.
func Problems(c broker.Connection) []string {
	c = Normalise(c)
	k, ok := Find(c.Kind)
	if !ok {
		return []string{fmt.Sprintf("unknown kind %q; kinds are %s", c.Kind, kindNames())}
	}
	var found []string
	known := map[string]bool{}
	for _, f := range k.Fields {
		known[f.Key] = true
		if why := f.problem(c); why != "" {
			found = append(found, f.Key+" "+why)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
		if !known[key] {
			found = append(found, fmt.Sprintf("unknown setting %s for the kind %s%s", key, k.Name, k.hint(key)))
		}
	}
	if c.Issuer != "" && !known[keyIssuer] {
		found = append(found, fmt.Sprintf("unknown setting issuer for the kind %s", k.Name))
	}
	if k.check != nil && len(found) == 0 {
		found = append(found, k.check(c)...)
	}
	return found
}

// hint completes the error about an unknown key.
func (k Kind) hint(key string) string {
	var keys []string
	for _, f := range k.Fields {
		if f.Key == strings.ReplaceAll(strings.ToLower(key), "-", "_") {
			return "; did you mean " + f.Key + "?"
		}
		keys = append(keys, f.Key)
	}
	return "; its settings are " + strings.Join(keys, ", ")
}

// maxSetting is the longest value of a setting in bytes. The longest sensible value is a CA bundle.
const maxSetting = 64 << 10

func (f Field) problem(c broker.Connection) string {
	if f.Key == keyClientSecret {
		return f.secretProblem(c.Secrets)
	}
	value := f.value(c)
	switch {
	case value == "" && f.Required:
		return "is missing"
	case value == "":
		return ""
	case len(value) > maxSetting:
		return "is too long"
	case f.Flag && value != "true" && value != "false":
		return `must be "true" or "false"`
	case len(f.Options) > 0 && !slices.Contains(f.Options, value):
		return "must be one of " + strings.Join(f.Options, ", ")
	case f.Check != nil:
		return f.Check(value)
	}
	return ""
}

// maxSecrets is the number of live secrets: the old and the new one during a rotation.
const maxSecrets = 2

func (f Field) secretProblem(secrets []broker.Secret) string {
	switch {
	case len(secrets) == 0 && f.Required:
		return "is missing"
	case len(secrets) > maxSecrets:
		return "has more than two live values; remove the oldest"
	case slices.Contains(secrets, ""):
		return "must not be empty"
	}
	return ""
}

// value returns the configured value of a field that is not a secret.
func (f Field) value(c broker.Connection) string {
	switch f.Key {
	case keyIssuer:
		return c.Issuer
	case keyClientID:
		return c.ClientID
	}
	return c.Settings[f.Key]
}

// setting returns the value of a key, or otherwise if it is empty.
func setting(c broker.Connection, key, otherwise string) string {
	return cmp.Or(c.Settings[key], otherwise)
}

// splitList splits a setting that holds several values, separated by white space or commas.
func splitList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r'
	})
}
