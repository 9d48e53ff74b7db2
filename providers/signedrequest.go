package providers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"gatehouse/broker"
)

const (
	maxSignedRequest = 8 << 10 // bytes
	noticeAge        = 10 * time.Minute
)

// Notice verifies the signed_request of Facebook's deauthorize and data-deletion callbacks. The same message
// verifies again within ten minutes, so the caller's action must be idempotent.
func (f *meta) Notice(_ context.Context, kind broker.NoticeKind, form url.Values) (broker.Notice, error) {
	if kind != broker.NoticeDeauthorized && kind != broker.NoticeDeletion {
		return broker.Notice{}, broker.RequestInvalid.Because(errors.New("facebook sends no such notice"))
	}
	if len(form["signed_request"]) != 1 {
		return broker.Notice{}, broker.RequestInvalid.Because(errors.New("signed_request is missing or occurs twice"))
	}
	subject, err := readSignedRequest(form.Get("signed_request"), f.secrets, f.env.Now())
	if err != nil {
		return broker.Notice{}, broker.RequestInvalid.Because(err)
	}
	return broker.Notice{Kind: kind, Issuer: f.issuer(), Subject: subject}, nil
}

// readSignedRequest returns the user_id of a message recently signed with one of the secrets. It verifies the
// signature, which covers the encoded payload, before it decodes anything.
func readSignedRequest(message string, secrets []broker.Secret, now time.Time) (string, error) {
	if len(message) > maxSignedRequest {
		return "", errors.New("signed_request is too long")
	}
	first, payload, ok := strings.Cut(message, ".")
	if !ok {
		return "", errors.New("signed_request has no signature")
	}
	signature, err := fromBase64URL(first)
	//defence:B23
	if err != nil || !signedBy(secrets, signature, payload) {
		return "", errors.New("signed_request is not signed with the app's secret")
	}
	decoded, err := fromBase64URL(payload)
	if err != nil {
		return "", errors.New("signed_request is not base64url")
	}
	d, err := parseDocument(decoded)
	if err != nil {
		return "", err
	}
	//defence:B23
	if d["algorithm"] != "HMAC-SHA256" {
		return "", errors.New("signed_request names another algorithm")
	}
	at, ok := d.date("issued_at")
	//defence:B23
	if !ok || now.Sub(at) > noticeAge || at.Sub(now) > skew {
		return "", errors.New("issued_at is missing, too old or in the future")
	}
	id := d.subject("user_id")
	if id == "" || checkDigits(id) != "" {
		return "", errors.New("user_id is missing or not a number")
	}
	return id, nil
}

func signedBy(secrets []broker.Secret, signature []byte, payload string) bool {
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		mac.Write([]byte(payload))
		if s != "" && hmac.Equal(signature, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

func fromBase64URL(s string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}
