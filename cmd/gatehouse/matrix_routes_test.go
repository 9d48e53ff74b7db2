package main

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// given is what a route may give to its caller.
type given int

const (
	nothing   given = iota // no session, code or token, whatever is sent
	authority              // a session, code or token, or an answer that rests on one: the matrix drives it
)

// routeRow is the row of one route: whether authority can come of it, and how the
// matrix drives it or why it gives none.
type routeRow struct {
	gives given
	how   string
}

// classified has every route of the public listener. A route that is missing
// fails the build, and so does a row whose route is gone.
var classified = map[string]routeRow{
	"GET /{$}":                                  {nothing, "page"},
	"GET /login":                                {nothing, "begins a login"},
	"GET /login/{id}":                           {authority, "every way ends here"},
	"GET /login/{id}/{step}":                    {authority, "every way ends here"},
	"GET /login/{id}/to/{connection}":           {nothing, "departs"},
	"GET /login/{id}/restart":                   {nothing, "page"},
	"POST /login/{id}/email":                    {nothing, "an address is no proof"},
	"POST /login/{id}/password":                 {authority, "password"},
	"POST /login/{id}/link":                     {authority, "link by password"},
	"POST /login/{id}/own":                      {authority, "own"},
	"POST /login/{id}/register":                 {authority, "registration of an address that has an account"},
	"POST /login/{id}/code":                     {authority, "neutral page, then a code"},
	"POST /login/{id}/resend":                   {nothing, "mails"},
	"POST /login/{id}/wish":                     {nothing, "a wish is no proof"},
	"POST /login/{id}/factor":                   {authority, "the hall's table: nobody can enrol"},
	"POST /login/{id}/confirm":                  {authority, "a fresh proof by the password"},
	"POST /login/{id}/continue":                 {authority, "the account chooser"},
	"POST /login/{id}/cancel":                   {nothing, "restarts"},
	"POST /login/{id}/restart":                  {nothing, "restarts"},
	"GET /callback/{connection}":                {authority, "every provider"},
	"POST /callback/{connection}":               {authority, "adfs posts"},
	"POST /callback/{connection}/deauthorize":   {nothing, "drops an identity"},
	"POST /callback/{connection}/data-deletion": {nothing, "drops an identity"},
	"POST /callback/{connection}/logout":        {nothing, "ends"},
	"GET /callback/{connection}/logout":         {nothing, "ends"},
	"GET /data-deletion/{code}":                 {nothing, "status"},

	"GET /account":                      {authority, "old session"},
	"GET /account/methods":              {authority, "old session"},
	"POST /account/methods/link":        {authority, "old session"},
	"GET /account/methods/{id}/unlink":  {authority, "old session"},
	"POST /account/methods/{id}/unlink": {authority, "old session"},

	"POST /device_authorization": {nothing, "a person decides"},
	"GET /device":                {nothing, "page"},
	"POST /device":               {nothing, "a user code is no proof"},
	"GET /device/{id}":           {nothing, "page"},
	"POST /device/{id}":          {authority, "device"},
	"POST /register":             {nothing, "a client is no person"},
	"GET /register/{id}":         {nothing, "a client is no person"},
	"PUT /register/{id}":         {nothing, "a client is no person"},
	"DELETE /register/{id}":      {nothing, "ends"},

	"GET /.well-known/openid-configuration":       {nothing, "public"},
	"GET /.well-known/oauth-authorization-server": {nothing, "public"},
	"GET /jwks": {nothing, "public"},
	"OPTIONS /.well-known/openid-configuration":       {nothing, "preflight"},
	"OPTIONS /.well-known/oauth-authorization-server": {nothing, "preflight"},
	"OPTIONS /jwks":             {nothing, "preflight"},
	"OPTIONS /token":            {nothing, "preflight"},
	"OPTIONS /userinfo":         {nothing, "preflight"},
	"OPTIONS /revoke":           {nothing, "preflight"},
	"OPTIONS /par":              {nothing, "preflight"},
	"POST /par":                 {nothing, "a request: its code comes of GET /authorize"},
	"POST /token":               {authority, "by grant type"},
	"GET /userinfo":             {authority, "access token"},
	"POST /userinfo":            {authority, "access token"},
	"POST /revoke":              {nothing, "ends"},
	"POST /introspect":          {authority, "access and refresh token"},
	"GET /authorize":            {authority, "authorize"},
	"POST /authorize":           {nothing, "comes back as a GET"},
	"GET /consent/{id}":         {nothing, "page"},
	"POST /consent/{id}":        {authority, "consent"},
	"GET /end_session":          {nothing, "ends"},
	"POST /end_session":         {nothing, "comes back as a GET"},
	"POST /end_session/confirm": {nothing, "ends"},
	"GET /assets/{name}":        {nothing, "public"},
	"GET /favicon.ico":          {nothing, "public"},
	"GET /robots.txt":           {nothing, "public"},

	"GET /.well-known/change-password": {nothing, "public"},
}

// grants are what the token endpoint may be asked for.
var grants = map[string]routeRow{
	"authorization_code": {authority, "a code of before the lock"},
	"refresh_token":      {authority, "a refresh token of before the lock"},
	"client_credentials": {nothing, "no person"},
	grantDevice:          {authority, "device"},
}

// recorder is a router that records what is mounted.
type recorder []string

func (r *recorder) Handle(pattern string, _ http.Handler) { *r = append(*r, pattern) }

func TestD1_EveryRouteIsClassified(t *testing.T) {
	m := newCluster(t)
	h, err := openApp(t.Context(), m.h.cfg, slog.New(slog.DiscardHandler), m.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	r, err := h.build()
	if err != nil {
		t.Fatal(err)
	}
	var mounted recorder
	r.mount(&mounted)
	for _, route := range mounted {
		if classified[route].how == "" {
			t.Errorf("%q is not classified: can a session, code or token come of it?", route)
		}
	}
	for route := range classified {
		if !slices.Contains(mounted, route) {
			t.Errorf("%q is classified and not mounted", route)
		}
	}
	b := m.cell(t, open, false)
	b.open(m.file.Issuer + "/.well-known/openid-configuration")
	_, after, _ := strings.Cut(b.page.body, `"grant_types_supported":[`)
	list, _, _ := strings.Cut(after, "]")
	offered := strings.Split(strings.ReplaceAll(list, `"`, ""), ",")
	for _, g := range offered {
		if grants[g].how == "" {
			t.Errorf("the grant %q is not classified", g)
		}
	}
	if len(offered) != len(grants) {
		t.Errorf("offered %q, classified %d", offered, len(grants))
	}
}
