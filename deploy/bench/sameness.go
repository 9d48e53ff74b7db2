package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sameness prints the duration of responses that must not reveal whether an address has an account (SECURITY.md
// E1): the medians for known and unknown addresses, requested alternately by one caller.
func (s *stack) sameness(ctx context.Context) error {
	for _, step := range []struct {
		name   string
		rounds int
		status int
		do     func(ctx context.Context, b *browser, login, email string) (string, url.Values, error)
	}{
		{"wrong password", 3, http.StatusUnprocessableEntity,
			func(ctx context.Context, b *browser, login, email string) (string, url.Values, error) {
				_, _, err := b.send(ctx, http.MethodPost, login+"/email", url.Values{"email": {email}})
				return login + "/password", url.Values{"email": {email}, "password": {"not the password at all"}}, err
			}},
		{"registration", 1, http.StatusSeeOther, func(ctx context.Context, b *browser, login, email string) (string,
			url.Values, error) {
			_, _, err := b.send(ctx, http.MethodPost, login+"/wish", url.Values{"wish": {"new"}})
			return login + "/email", url.Values{"email": {email}}, err
		}},
	} {
		var took [2][]time.Duration
		for n := range step.rounds * guarded {
			for i, email := range []string{person(people + n%guarded),
				fmt.Sprintf("nobody%d-%d@%s", n, step.rounds, "example.test")} {
				b := newBrowser(s, newHTTP(1))
				p, _, err := b.follow(ctx, http.MethodGet, s.request("RS256", nil).url, nil, "")
				if err != nil {
					return err
				}
				login := s.issuer + strings.TrimSuffix(p.at.Path, "/")
				at, form, err := step.do(ctx, b, login, email)
				if err != nil {
					return err
				}
				began := time.Now()
				res, body, err := b.send(ctx, http.MethodPost, at, form)
				took[i] = append(took[i], time.Since(began))
				if err != nil || res.StatusCode != step.status {
					return fmt.Errorf("%s: %v, want %d: %s %v", step.name, res, step.status, brief(body), err)
				}
			}
		}
		known, unknown := median(took[0]), median(took[1])
		fmt.Printf("%-34s known %.2f ms, unknown %.2f ms, apart by %.1f %% (medians of %d)\n", "sameness: "+step.name,
			ms(known), ms(unknown), 100*(ms(known)-ms(unknown))/ms(unknown), len(took[0]))
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
