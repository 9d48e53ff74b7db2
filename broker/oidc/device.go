package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"gatehouse/broker"
	"gatehouse/broker/clients"
	"gatehouse/broker/seal"
	"gatehouse/broker/web"
)

const (
	pathDeviceAuthorization = "/device_authorization"
	pathDevice              = "/device"

	purposeDevice   = "device_code"
	purposeUserCode = "user_code"
)

// The times of the device grant (RFC 8628 §3.2).
const (
	deviceLife     = 10 * time.Minute
	deviceInterval = 5 * time.Second
	// deviceKept exceeds deviceLife, so that an expired code gets a proper error, and a second use is detected.
	deviceKept = 2 * deviceLife
)

// deviceCall is a device's request, stored under the keyed hash of its device code.
type deviceCall struct {
	// Grant is what the device gets once a person allows it, with that person's session.
	Grant    codeRecord   `json:"grant"`
	Address  string       `json:"address"`
	At       time.Time    `json:"at"`
	Expires  time.Time    `json:"expires"`
	Decision deviceAnswer `json:"decision,omitempty"`
	// By is the id of the question that the person answered.
	By string `json:"by,omitempty"`
}

// deviceAnswer is a person's decision, which is final.
type deviceAnswer string

const (
	deviceAllowed deviceAnswer = "allowed"
	deviceDenied  deviceAnswer = "denied"
)

// devicePoll records when a device last polled, and how long it must wait.
type devicePoll struct {
	Last     time.Time     `json:"last"`
	Interval time.Duration `json:"interval"`
}

// deviceAsk is the question shown to one browser.
type deviceAsk struct {
	Call    string `json:"call"` // the key of the deviceCall
	Code    string `json:"code"` // as typed, normalized and sealed
	Browser string `json:"browser"`
	Session string `json:"session,omitempty"` // the session that saw the question
}

// deviceDesk stores the requests of devices and the decisions of people.
type deviceDesk struct {
	calls   broker.EphemeralStore[deviceCall]
	codes   broker.EphemeralStore[string] // the keyed hash of a user code to the key of its call
	polls   broker.EphemeralStore[devicePoll]
	asks    broker.EphemeralStore[deviceAsk]
	guesses web.Guesses
	keyring *seal.Keyring
	now     func() time.Time
}

func newDeviceDesk(in broker.Ephemeral, keyring *seal.Keyring, now func() time.Time) *deviceDesk {
	return &deviceDesk{
		calls:   broker.EphemeralStore[deviceCall]{Name: "device", Life: deviceKept, In: in, Now: now},
		codes:   broker.EphemeralStore[string]{Name: "device.code", Life: deviceKept, In: in, Now: now},
		polls:   broker.EphemeralStore[devicePoll]{Name: "device.poll", Life: deviceKept, In: in, Now: now},
		asks:    broker.EphemeralStore[deviceAsk]{Name: "device.ask", Life: deviceKept, In: in, Now: now},
		guesses: web.Guesses{In: in, Keyring: keyring, Now: now}, keyring: keyring, now: now,
	}
}

// userCodeLetters are easy to tell apart and spell no words (RFC 8628 §6.1).
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

const userCodeLength = 8

// newUserCode returns a code of 34 bits. That is enough, because few are valid at a time and tries are counted.
func newUserCode() string {
	code := make([]byte, 0, userCodeLength)
	for b := make([]byte, 1); len(code) < userCodeLength; {
		_, _ = rand.Read(b) // never fails (crypto/rand)
		if int(b[0]) < 256/len(userCodeLetters)*len(userCodeLetters) {
			code = append(code, userCodeLetters[int(b[0])%len(userCodeLetters)])
		}
	}
	return string(code)
}

// tidyUserCode normalizes a typed code: any case, with spaces and dashes. It returns "" for anything that cannot
// be a code.
func tidyUserCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	code := strings.NewReplacer(" ", "", "\t", "", "-", "", "\u2010", "", "\u2011", "", "\u2013", "", "\u2014", "",
		"\u00a0", "").Replace(strings.ToUpper(typed))
	if len(code) != userCodeLength || strings.Trim(code, userCodeLetters) != "" {
		return ""
	}
	return code
}

// shownUserCode returns a code in two halves, for display.
func shownUserCode(code string) string {
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:]
}

// open stores a request and returns its two codes.
func (k *deviceDesk) open(ctx context.Context, c deviceCall) (deviceCode, userCode string, err error) {
	deviceCode = broker.NewToken()
	key := k.keyring.Hash(purposeDevice, []byte(deviceCode))
	if err := k.calls.Put(ctx, key, c); err != nil {
		return "", "", err
	}
	if err := k.polls.Put(ctx, key, devicePoll{Interval: deviceInterval}); err != nil {
		return "", "", err
	}
	for range 5 { // retry if another device has the code
		userCode = newUserCode()
		err = k.codes.Put(ctx, k.keyring.Hash(purposeUserCode, []byte(userCode)), key)
		if !errors.Is(err, broker.Conflict) {
			return deviceCode, userCode, err
		}
	}
	return "", "", broker.Unavailable.Because(err)
}

// byDeviceCode finds a request, or returns NotFound.
func (k *deviceDesk) byDeviceCode(ctx context.Context, code string) (key string, c deviceCall, err error) {
	if len(code) > 128 {
		return "", c, broker.NotFound
	}
	for _, key := range k.keyring.Hashes(purposeDevice, []byte(code)) {
		c, err := k.calls.Get(ctx, key)
		if !errors.Is(err, broker.NotFound) {
			return key, c, err
		}
	}
	return "", c, broker.NotFound
}

// byUserCode finds the request of a normalized code, or returns NotFound.
func (k *deviceDesk) byUserCode(ctx context.Context, code string) (key string, c deviceCall, err error) {
	for _, hash := range k.keyring.Hashes(purposeUserCode, []byte(code)) {
		key, err := k.codes.Get(ctx, hash)
		if errors.Is(err, broker.NotFound) {
			continue
		}
		if err != nil {
			return "", c, err
		}
		c, err = k.calls.Get(ctx, key)
		return key, c, err
	}
	return "", c, broker.NotFound
}

// answer stores a decision. Only the first one counts; later ones get Conflict.
func (k *deviceDesk) answer(ctx context.Context, key, by string, how deviceAnswer, who session) error {
	_, err := k.calls.Change(ctx, key, func(c *deviceCall) error {
		//defence:A5
		if c.Decision != "" || !k.now().Before(c.Expires) {
			return broker.Conflict
		}
		c.Decision, c.By, c.Grant.Session = how, by, who
		return nil
	})
	if errors.Is(err, broker.NotFound) {
		return broker.Conflict
	}
	return err
}

// jitter is how much the network may shorten the time between two polls.
const jitter = time.Second

// tooSoon records a poll, and reports whether the device must slow down. Two concurrent polls are always too
// fast.
func (k *deviceDesk) tooSoon(ctx context.Context, key string) (bool, error) {
	slow := false
	_, err := k.polls.Change(ctx, key, func(p *devicePoll) error {
		now := k.now()
		if slow = now.Before(p.Last.Add(p.Interval - jitter)); slow {
			p.Interval += deviceInterval
		}
		p.Last = now
		return nil
	})
	if errors.Is(err, broker.Conflict) {
		return true, nil
	}
	return slow, err
}

// deviceAuthorization responds to a device without a browser (RFC 8628 §3.1).
func (d *Handler) deviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	ctx, u := withUnit(r.Context())
	err := bodyForm(r)
	if err == nil {
		_, err = d.provider.AuthenticateClient(ctx, r, r.PostForm)
	}
	scopes := strings.Fields(r.PostForm.Get("scope"))
	if err == nil {
		err = deviceScopes(u.client, scopes)
	}
	q := &request{form: r.PostForm, client: u.client}
	if err == nil {
		//defence:A13
		err = checkResources(q)
	}
	if err != nil {
		return d.refuse(w, r, u, err)
	}
	address, now := d.toolkit.Address(r), d.now()
	// A public client is not authenticated, so anyone could fill the ephemeral store (SECURITY.md H4).
	if err := d.newcomers.Allow(ctx, address, 0); err != nil {
		return err
	}
	deviceCode, userCode, err := d.desk.open(ctx, deviceCall{
		Grant: codeRecord{ID: broker.NewID(), Client: u.client.ID, Scopes: scopes,
			//defence:A13 = u.client.Audience
			Audience: q.audience()},
		Address: address, At: now, Expires: now.Add(deviceLife),
	})
	if err != nil {
		return err
	}
	shown := shownUserCode(userCode)
	return writeJSON(w, http.StatusOK, map[string]any{
		"device_code": deviceCode, "user_code": shown,
		"verification_uri": d.issuer + pathDevice, "verification_uri_complete": d.issuer + pathDevice + "?" +
			url.Values{"user_code": {shown}}.Encode(),
		"expires_in": int(deviceLife / time.Second), "interval": int(deviceInterval / time.Second),
	})
}

func deviceScopes(c broker.Client, scopes []string) error {
	if !c.May(clients.GrantDevice) {
		return notRegistered(fosite.ErrUnauthorizedClient, c, "grant type", clients.GrantDevice, c.GrantTypes, "--grant TYPE")
	}
	for _, s := range scopes {
		if !slices.Contains(c.Scopes, s) {
			return notRegistered(fosite.ErrInvalidScope, c, "scope", s, c.Scopes, "--scope SCOPE")
		}
	}
	return nil
}
