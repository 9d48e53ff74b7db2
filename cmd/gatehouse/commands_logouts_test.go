package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A browser signs in to the app of the demo, which is then told that its session was
// ended by a command, which another process ran.
func TestA17_ASignOutByACommandReachesTheAppsAndWaitsInTheListUntilThen(t *testing.T) {
	w := newHarness(t)
	o := operatorOf(w)
	heard := make(chan string, 10)
	var calls atomic.Int32
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			rw.WriteHeader(http.StatusTeapot)
		}
		heard <- r.FormValue("logout_token")
	}))
	defer app.Close()
	var apps []clientView
	o.shows(&apps, "clients", "list")
	o.does("clients", "change", apps[0].ID, "--backchannel-logout-uri", app.URL+"/bye")
	w.signedIn("ben@example.test", "Ben Carter")
	o.does("accounts", "signout", "ben@example.test")
	w.clock.advance(time.Minute) // the command went by the time of the world
	first := <-heard
	var waits []logoutView
	for { // the app's answer is older than what is written of it
		if o.shows(&waits, "clients", "logouts"); len(waits) != 1 {
			t.Fatalf("the list is %+v", waits)
		}
		if waits[0].Attempts == 1 {
			break
		}
	}
	if waits[0].Client != apps[0].ID || waits[0].LastError != "the app responded with status 418" ||
		waits[0].ExpiresAt.Sub(waits[0].EndedAt) != 24*time.Hour || first == "" {
		t.Errorf("%+v", waits)
	}
	w.clock.advance(time.Minute)
	if second := <-heard; second == first {
		t.Error("the same token again")
	}
}
