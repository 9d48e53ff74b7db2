package main

import (
	"fmt"
	"io"

	"gatehouse/broker"
	"gatehouse/broker/admin"
)

func (t *tool) showClient(c broker.Client, secret broker.Secret) error {
	v := admin.ViewClient(c, secret)
	return t.print(v, func(w io.Writer) {
		rows(w, v.Rows())
		if v.Secret != "" {
			fmt.Fprintf(w, "client_secret\t%s\n\nThe secret is shown this once. Keep it in the app's secret store.\n", v.Secret)
		}
	})
}
