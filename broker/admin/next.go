package admin

import "context"

// NextSteps lists the commands that a new deployment still needs: for a first account,
// provider and app.
func (s *Service) NextSteps(ctx context.Context) ([]string, error) {
	accounts, err := s.Store.Accounts(ctx, "", 1)
	if err != nil {
		return nil, err
	}
	connections, err := s.Store.Connections(ctx)
	if err != nil {
		return nil, err
	}
	clients, err := s.Store.Clients(ctx)
	next := []string{}
	for _, step := range []struct {
		have int
		line string
	}{
		{len(accounts), `accounts add you@example.com --name "Your Name" --password-file -`},
		{len(connections), "connections add google --kind google --name Google --client-id … --client-secret-file -"},
		{len(clients), `clients add --name "My App" --redirect-uri http://localhost:3000/callback`},
	} {
		if step.have == 0 {
			next = append(next, step.line)
		}
	}
	return next, err
}
