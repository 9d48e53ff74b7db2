package fakeidp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SignedRequest returns what Facebook posts as signed_request when a person removes the app or asks for
// deletion. userID is the app-scoped id, Persona.Subject.
func (s *Server) SignedRequest(userID string, issuedAt time.Time) string {
	return SignRequest(s.opts.ClientSecret, map[string]any{
		"algorithm": "HMAC-SHA256", "user_id": userID, "issued_at": issuedAt.Unix(), "expires": 0,
	})
}

// SignRequest signs any payload as a signed_request, for forgeries: another secret, algorithm or age. It panics
// on a payload that JSON cannot hold.
func SignRequest(secret string, payload map[string]any) string {
	encoded, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("fakeidp: signed_request: %v", err))
	}
	part := base64.RawURLEncoding.EncodeToString(encoded)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(part))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + part
}

// PostSignedRequest sends a signed_request to the app's deauthorize or data-deletion address. The caller closes
// the body.
func PostSignedRequest(ctx context.Context, client *http.Client, target, signed string) (*http.Response, error) {
	body := strings.NewReader(url.Values{"signed_request": {signed}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, fmt.Errorf("post signed_request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("post signed_request: %w", err)
	}
	return response, nil
}
