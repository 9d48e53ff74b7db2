// Package providers knows the upstreams: one file per kind, and the defences that all of them share.
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

// Kind is a sort of upstream: what an administrator fills in, and how to open it.
type Kind struct {
	Name  string // as in broker.Connection.Kind; never changes
	Label string // the brand, as people know it
	Icon  string // the stem of its picture's file name
	// Fields are the lines of the console's form, in order.
	Fields []Field
	// Open configures the upstream of a connection without Problems. It asks nobody anything: what has to be
	// loaded is loaded when first needed.
	Open func(Env, broker.Connection) (broker.Upstream, error)
	// check finds what no field can see alone; nil for none.
	check func(broker.Connection) []string
}

// Field is one setting. The keys issuer, client_id and client_secret name the connection's own members, every
// other key names one of its Settings. Label and Help are for administrators, in English, where the catalogs
// have no "field.<kind>.<key>".
type Field struct {
	Key, Label, Help string
	Required         bool
	Secret           bool     // write-only
	Flag             bool     // "true" or "false"
	Long             bool     // several lines, such as a certificate
	Free             bool     // may change while the connection is live: it does not say whom an identity means
	Default          string   // what an empty value means
	Options          []string // the only values, if any
	// Check says what is wrong with a value that is there, or ""; nil accepts everything.
	Check func(value string) string
}

// The keys that name members of a connection instead of its settings.
const (
	keyIssuer       = "issuer"
	keyClientID     = "client_id"
	keyClientSecret = "client_secret"
)

// Env is what a kind gets to open an upstream with.
type Env struct {
	// HTTP goes out through egress, with the allowances of this connection and of no other.
	HTTP *http.Client
	Now  func() time.Time
	Log  *slog.Logger
}

var kinds = map[string]Kind{}

// register makes a kind known; two of one name are a programmer's mistake.
func register(k Kind) Kind {
	if _, taken := kinds[k.Name]; taken {
		panic("providers: two kinds named " + k.Name)
	}
	kinds[k.Name] = k
	return k
}

// Kinds lists every kind by name.
func Kinds() []Kind {
	return slices.SortedFunc(maps.Values(kinds), func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
}

// Find looks a kind up by its name.
func Find(name string) (Kind, bool) {
	k, ok := kinds[name]
	return k, ok
}

// Pinned names the settings of a kind that never change once a connection was live: those that say who its people are.
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

// Normalise undoes what pasting does: white space around a value, and the discovery path behind an issuer.
// Everything else stays byte for byte, a trailing slash included, because an issuer is compared byte for byte
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

// Problems says in plain words why a connection cannot be used as it is configured, nothing if it can. It looks
// at the configuration alone and asks no network.
func Problems(c broker.Connection) []string {
	c = Normalise(c)
	k, ok := Find(c.Kind)
	if !ok {
		return []string{fmt.Sprintf("there is no kind of connection named %q", c.Kind)}
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
			found = append(found, fmt.Sprintf("%s is no setting of the kind %s", key, k.Name))
		}
	}
	if c.Issuer != "" && !known[keyIssuer] {
		found = append(found, fmt.Sprintf("issuer is no setting of the kind %s", k.Name))
	}
	if k.check != nil && len(found) == 0 {
		found = append(found, k.check(c)...)
	}
	return found
}

// maxSetting is the longest value of a setting in bytes; a CA bundle is the longest that makes sense.
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

// maxSecrets is how many secrets live at a time: the old one and the new one of a rotation.
const maxSecrets = 2

func (f Field) secretProblem(secrets []broker.Secret) string {
	switch {
	case len(secrets) == 0 && f.Required:
		return "is missing"
	case len(secrets) > maxSecrets:
		return "may have two live values, the old one and the new one"
	case slices.Contains(secrets, ""):
		return "must not be empty"
	}
	return ""
}

// value is the configured text of a field that is no secret.
func (f Field) value(c broker.Connection) string {
	switch f.Key {
	case keyIssuer:
		return c.Issuer
	case keyClientID:
		return c.ClientID
	}
	return c.Settings[f.Key]
}

// setting is the value of a key, or what stands for an empty one.
func setting(c broker.Connection, key, otherwise string) string {
	return cmp.Or(c.Settings[key], otherwise)
}

// listed splits a setting with several values, separated by white space or commas.
func listed(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' })
}
