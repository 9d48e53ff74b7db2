package admin

import (
	"strings"
	"time"

	"gatehouse/providers"
)

// KeysView is Keys as JSON.
type KeysView struct {
	Signing []SigningKeyView `json:"signing"`
	Keyring []KeyringKeyView `json:"keyring"`
}

// SigningKeyView is a signing key as JSON, without its private key.
type SigningKeyView struct {
	ID       string    `json:"kid"`
	Alg      string    `json:"alg"`
	State    string    `json:"state"`
	ActiveAt time.Time `json:"active_at"`
	RetireAt time.Time `json:"retire_at,omitzero"`
}

// KeyringKeyView is a key of the keyring as JSON, without its secret.
type KeyringKeyView struct {
	ID      string    `json:"id"`
	Primary bool      `json:"primary"`
	Created time.Time `json:"created_at"`
	Uses    int       `json:"uses"`
}

// ViewKeys returns the view of the keys.
func ViewKeys(keys Keys) KeysView {
	v := KeysView{Signing: []SigningKeyView{}}
	for _, k := range keys.Signing {
		v.Signing = append(v.Signing, SigningKeyView{k.ID, k.Alg, string(k.State), k.ActiveAt, k.RetireAt})
	}
	for _, k := range keys.Keyring {
		v.Keyring = append(v.Keyring, KeyringKeyView(k))
	}
	return v
}

// ConsentView is a consent as JSON.
type ConsentView struct {
	Client    string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	GrantedAt time.Time `json:"granted_at"`
}

// RegistrationTokenView is an initial access token as JSON. It is shown once.
type RegistrationTokenView struct {
	Token    string    `json:"initial_access_token"`
	Endpoint string    `json:"registration_endpoint"`
	Uses     int       `json:"uses"`
	Expires  time.Time `json:"expires_at"`
}

// KindView is a kind of provider as JSON.
type KindView struct {
	Name   string      `json:"kind"`
	Label  string      `json:"label"`
	Fields []FieldView `json:"settings"`
}

// FieldView is a setting of a kind as JSON.
type FieldView struct {
	Key      string   `json:"key"`
	About    string   `json:"about"`
	Required bool     `json:"required"`
	Default  string   `json:"default,omitempty"`
	Options  []string `json:"options,omitempty"`
}

// Kinds lists the kinds of provider and their settings.
func Kinds() (all []KindView) {
	for _, k := range providers.Kinds() {
		v := KindView{Name: k.Name, Label: k.Label}
		for _, f := range k.Fields {
			about := strings.TrimSpace(f.Label + ". " + f.Help)
			v.Fields = append(v.Fields, FieldView{f.Key, about, f.Required, f.Default, f.Options})
		}
		all = append(all, v)
	}
	return all
}
