package storetest

import (
	"testing"
	"time"

	"gatehouse/broker"
)

func connectionTests() []test {
	return append(liveConnectionTests(), []test{
		{"a connection comes back as it was put, its secrets too", func(t *testing.T, b Backend) {
			c := connection(t, b)
			same(t, got(b.Connections.Connection(within(t), c.ID))(t), c)
		}},
		{"a connection of empty fields comes back empty", func(t *testing.T, b Backend) {
			c := broker.Connection{ID: "c-" + broker.NewID()}
			ok(t, b.Connections.PutConnection(within(t), c))
			same(t, got(b.Connections.Connection(within(t), c.ID))(t), c)
		}},
		{"an unknown connection is NotFound, to look up and to delete", func(t *testing.T, b Backend) {
			_, err := b.Connections.Connection(within(t), "nothing")
			answers(t, err, broker.NotFound)
			answers(t, b.Connections.DeleteConnection(within(t), "nothing"), broker.NotFound)
		}},
		{"connections are listed by position, then name", listConnections},
		{"a draft may change completely, and can be deleted", func(t *testing.T, b Backend) {
			c := broker.Connection{ID: "c-" + broker.NewID(), Kind: "oidc", State: broker.Draft, Issuer: "https://a.example",
				CreatedAt: moment()}
			ok(t, b.Connections.PutConnection(within(t), c))
			c.Kind, c.Issuer, c.ClientID, c.Settings = "google", "https://b.example", "x", map[string]string{"hd": "x"}
			ok(t, b.Connections.PutConnection(within(t), c))
			same(t, got(b.Connections.Connection(within(t), c.ID))(t), c)
			ok(t, b.Connections.DeleteConnection(within(t), c.ID))
			_, err := b.Connections.Connection(within(t), c.ID)
			answers(t, err, broker.NotFound)
		}},
	}...)
}

func liveConnectionTests() []test {
	return []test{
		{"a connection that was live never points elsewhere, not even through another state", func(t *testing.T, b Backend) {
			for _, state := range []broker.ConnectionState{broker.Live, broker.Disabled, broker.Draft} {
				c := connection(t, b)
				c.State = state
				ok(t, b.Connections.PutConnection(within(t), c))
				for what, change := range map[string]func(*broker.Connection){
					"kind":      func(c *broker.Connection) { c.Kind = "google" },
					"issuer":    func(c *broker.Connection) { c.Issuer = "https://evil.example" },
					"client id": func(c *broker.Connection) { c.ClientID = "other" },
					"setting":   func(c *broker.Connection) { c.Settings = map[string]string{"realm": "b"} },
					"no setting": func(c *broker.Connection) {
						c.Settings = nil
					},
				} {
					moved := c
					change(&moved)
					t.Logf("%s, %s", state, what)
					answers(t, b.Connections.PutConnection(within(t), moved), broker.Conflict)
				}
				same(t, got(b.Connections.Connection(within(t), c.ID))(t), c)
			}
		}},
		{"a live connection may change the rest", func(t *testing.T, b Backend) {
			c := connection(t, b)
			c.Name, c.State, c.Secrets, c.Domains, c.Hidden, c.Position = "x", broker.Disabled, []broker.Secret{"third"}, nil,
				false, 9
			c.UpdatedAt = moment().Add(time.Hour)
			ok(t, b.Connections.PutConnection(within(t), c))
			same(t, got(b.Connections.Connection(within(t), c.ID))(t), c)
		}},
		{"a connection with identities stays", func(t *testing.T, b Backend) {
			i := identity(t, b, account(t, b))
			answers(t, b.Connections.DeleteConnection(within(t), i.Connection), broker.Conflict)
			ok(t, b.Identities.Unlink(within(t), i.ID, moment()))
			ok(t, b.Connections.DeleteConnection(within(t), i.Connection))
		}},
	}
}

func listConnections(t *testing.T, b Backend) {
	for _, c := range []broker.Connection{{ID: "o-3", Position: 2, Name: "A"}, {ID: "o-1", Position: 1, Name: "Z"},
		{ID: "o-2", Position: 2, Name: "9"}} {
		ok(t, b.Connections.PutConnection(within(t), c))
	}
	var order []string
	for _, c := range got(b.Connections.Connections(within(t)))(t) {
		if c.ID[:2] == "o-" {
			order = append(order, c.ID)
		}
	}
	same(t, order, []string{"o-1", "o-2", "o-3"})
}
