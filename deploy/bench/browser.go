package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	random "math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// browser follows a login as a person's browser would. It keeps cookies in a map, because Go's cookie jar does
// not send Secure cookies to http://localhost, as browsers do.
type browser struct {
	s       *stack
	http    *http.Client
	cookies map[string]string
	address string // its own address, because logins per address are limited
}

// newBrowser shares the keep-alive connections of h.
func newBrowser(s *stack, h *http.Client) *browser {
	return &browser{s, h, map[string]string{}, fmt.Sprintf("10.%d.%d.%d", random.IntN(256), random.IntN(256),
		random.IntN(256))}
}

func newHTTP(connections int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = connections, connections
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// page is a response that is not a redirect.
type page struct {
	at   *url.URL
	body string
}

func (b *browser) send(ctx context.Context, method, at string, form url.Values) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("X-Forwarded-For", b.address)
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := b.http.Do(req)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, "", err
	}
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return res, string(body), nil
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)

// follow follows redirects, and signs in as email at the upstream, until a page needs input or the app is
// reached. In the latter case page is nil and code is the app's code.
func (b *browser) follow(ctx context.Context, method, at string, form url.Values, email string) (p *page, code string,
	err error) {
	for range 12 {
		res, body, err := b.send(ctx, method, at, form)
		if err != nil {
			return nil, "", err
		}
		next := res.Header.Get("Location")
		if m := refresh.FindStringSubmatch(body); res.StatusCode == http.StatusOK && m != nil {
			next = html.UnescapeString(m[1])
		}
		if next == "" {
			if res.StatusCode == http.StatusServiceUnavailable {
				return nil, "", fmt.Errorf("%w: %s %s: %s", errBusy, method, at, brief(body))
			}
			if res.StatusCode != http.StatusOK {
				return nil, "", fmt.Errorf("%s %s: %s\n%s", method, at, res.Status, brief(body))
			}
			return &page{res.Request.URL, body}, "", nil
		}
		target, err := res.Request.URL.Parse(next)
		if err != nil {
			return nil, "", err
		}
		if at = target.String(); strings.HasPrefix(at, appRedirect) {
			if code := target.Query().Get("code"); code != "" {
				return nil, code, nil
			}
			return nil, "", fmt.Errorf("the app received %s", target.RawQuery)
		}
		if strings.HasPrefix(at, b.s.upstream.issuer) {
			if at, err = b.s.upstream.authorize(target, email); err != nil {
				return nil, "", err
			}
		}
		method, form = http.MethodGet, nil
	}
	return nil, "", errors.New("too many redirects")
}

// errBusy is returned while the broker's password queue is full or its upstream is not responding.
var errBusy = errors.New("busy")

var tags = regexp.MustCompile(`<[^>]*>|\s+`)

func brief(body string) string {
	text := strings.Join(strings.Fields(tags.ReplaceAllString(body, " ")), " ")
	return text[:min(len(text), 400)]
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	nameIs   = regexp.MustCompile(`\sname="([^"]*)"`)
	valueIs  = regexp.MustCompile(`\svalue="([^"]*)"`)
)

// fill submits the form that has the field.
func (b *browser) fill(ctx context.Context, p *page, field, value string) (*page, string, error) {
	for _, m := range formTag.FindAllStringSubmatch(p.body, -1) {
		form := url.Values{}
		for _, tag := range inputTag.FindAllString(m[2], -1) {
			if name := nameIs.FindStringSubmatch(tag); name != nil {
				form.Set(name[1], "")
				if v := valueIs.FindStringSubmatch(tag); v != nil {
					form.Set(name[1], html.UnescapeString(v[1]))
				}
			}
		}
		if !form.Has(field) {
			continue
		}
		form.Set(field, value)
		action, err := p.at.Parse(html.UnescapeString(m[1]))
		if err != nil {
			return nil, "", err
		}
		return b.follow(ctx, http.MethodPost, action.String(), form, "")
	}
	return nil, "", fmt.Errorf("no form with %q at %s:\n%s", field, p.at, brief(p.body))
}

// tokens is a response of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// request is one authorization request of the app.
type request struct{ verifier, url string }

func (s *stack) request(alg string, extra url.Values) request {
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {s.clients[alg].ID}, "redirect_uri": {appRedirect},
		"scope": {"openid profile email offline_access"},
		"state": {rand.Text()}, "nonce": {rand.Text()}, "code_challenge": {b64(challenge[:])},
		"code_challenge_method": {"S256"}}
	for name, values := range extra {
		q[name] = values
	}
	return request{verifier, s.issuer + "/authorize?" + q.Encode()}
}

// token calls an endpoint as the app and decodes its JSON.
func (b *browser) token(ctx context.Context, path, alg string, form url.Values, into any) error {
	c := b.s.clients[alg]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.s.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	return b.call(req, into)
}

func (b *browser) call(req *http.Request, into any) error {
	res, err := b.http.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s %s", req.Method, req.URL.Path, res.Status, brief(string(body)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func (b *browser) redeem(ctx context.Context, alg string, r request, code string) (t tokens, err error) {
	err = b.token(ctx, "/token", alg, url.Values{"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {appRedirect}, "code_verifier": {r.verifier}}, &t)
	return t, err
}

// federated signs a person in through the upstream.
func (b *browser) federated(ctx context.Context, alg, email string) (tokens, error) {
	r := b.s.request(alg, url.Values{"connection": {connection}})
	p, code, err := b.follow(ctx, http.MethodGet, r.url, nil, email)
	if err != nil {
		return tokens{}, err
	}
	if p != nil {
		return tokens{}, fmt.Errorf("unexpected page %s:\n%s", p.at, brief(p.body))
	}
	return b.redeem(ctx, alg, r, code)
}

// local signs a person in with a password.
func (b *browser) local(ctx context.Context, alg, email string) (tokens, error) {
	r := b.s.request(alg, nil)
	p, _, err := b.follow(ctx, http.MethodGet, r.url, nil, "")
	if err != nil || p == nil {
		return tokens{}, errors.Join(errors.New("no sign-in page"), err)
	}
	if p, _, err = b.fill(ctx, p, "email", email); err != nil || p == nil {
		return tokens{}, errors.Join(errors.New("no password page"), err)
	}
	in, code, err := b.fill(ctx, p, "password", password)
	for errors.Is(err, errBusy) && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		in, code, err = b.fill(ctx, p, "password", password)
	}
	if err != nil {
		return tokens{}, err
	}
	if in != nil {
		return tokens{}, fmt.Errorf("not signed in after the password:\n%s", brief(in.body))
	}
	return b.redeem(ctx, alg, r, code)
}
