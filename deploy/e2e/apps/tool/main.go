// Command tool signs in as kubelogin does: go-oidc and x/oauth2, on a loopback port or with a device code (FLOW).
// It prints the address to open, then the claims of its ID token before and after a refresh.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	if err := run(context.Background(), json.NewEncoder(os.Stdout)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out *json.Encoder) error {
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	if err != nil {
		return err
	}
	config := &oauth2.Config{
		ClientID: os.Getenv("CLIENT_ID"), Endpoint: provider.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	var token *oauth2.Token
	if os.Getenv("FLOW") == "device" {
		token, err = device(ctx, config, out)
	} else {
		token, err = loopback(ctx, config, out)
	}
	if err != nil {
		return err
	}
	if err := claims(ctx, provider, config, token, out); err != nil {
		return err
	}
	next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		return err
	}
	return claims(ctx, provider, config, next, out)
}

func device(ctx context.Context, config *oauth2.Config, out *json.Encoder) (*oauth2.Token, error) {
	auth, err := config.DeviceAuth(ctx)
	if err != nil {
		return nil, err
	}
	if err := out.Encode(map[string]string{"open": auth.VerificationURIComplete}); err != nil {
		return nil, err
	}
	return config.DeviceAccessToken(ctx, auth)
}

func loopback(ctx context.Context, config *oauth2.Config, out *json.Encoder) (*oauth2.Token, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config.RedirectURL = "http://" + listener.Addr().String()
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	codes := make(chan string, 1)
	go func() {
		log.Print(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("state") == state {
				codes <- r.FormValue("code")
			}
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<h1>Authenticated</h1>"))
		})))
	}()
	open := config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
	if err := out.Encode(map[string]string{"open": open}); err != nil {
		return nil, err
	}
	return config.Exchange(ctx, <-codes, oauth2.VerifierOption(verifier))
}

func claims(ctx context.Context, provider *oidc.Provider, config *oauth2.Config, token *oauth2.Token,
	out *json.Encoder) error {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return errors.New("no id_token")
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return err
	}
	var v map[string]any
	if err := verified.Claims(&v); err != nil {
		return err
	}
	return out.Encode(v)
}
