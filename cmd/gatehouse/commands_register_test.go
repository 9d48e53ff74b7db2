package main

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/broker"
)

func TestAnAppRegistersItselfWithATokenOfTheOperator(t *testing.T) {
	q := newCluster(t)
	o := &operator{t: t, dir: t.TempDir()}
	o.configure("client_registration: true")
	var made struct {
		Token    string `json:"initial_access_token"`
		Endpoint string `json:"registration_endpoint"`
		Uses     int    `json:"uses"`
	}
	o.does("migrate")
	o.shows(&made, "clients", "token", "--uses", "2")
	if made.Token == "" || made.Uses != 2 || !strings.HasSuffix(made.Endpoint, "/register") {
		t.Fatalf("%+v", made)
	}
	events, err := o.store().store.Events(t.Context(), broker.EventFilter{Verb: broker.EventClientChanged, Limit: 5})
	if err != nil || len(events) != 1 || events[0].Actor != "operator" || strings.Contains(events[0].Detail["change"],
		made.Token) {
		t.Errorf("%+v, %v", events, err)
	}
	for _, wrong := range [][]string{{"--uses", "0"}, {"--uses", "101"}, {"--life", "0s"}, {"--life", "8760h"}} {
		if got := o.in("", append([]string{"clients", "token", "--config", o.config}, wrong...)...); got.code == 0 {
			t.Errorf("%q: %s", wrong, got.out)
		}
	}
	o.configure()
	o.isRefused("client_registration", "clients", "token")

	// Another deployment's token is none.
	c := q.cell(t, open, false)
	req, err := http.NewRequest(http.MethodPost, q.file.Issuer+"/register",
		strings.NewReader(`{"redirect_uris":["https://a.example/"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+made.Token)
	res, err := c.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%v %v", res, err)
	}
}
