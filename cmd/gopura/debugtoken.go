package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newDebugToken() *cobra.Command {
	a := new(adminClient)
	var life time.Duration
	var host, path string
	cmd := &cobra.Command{
		Use:   "debug-token",
		Short: "Make a header that has real requests explained",
		Long: `Debug-token asks a gateway that runs for the value of the header Gopura-Debug. A request
with it is served as any other, and what happened to it is noted; its answer says in
Gopura-Explanation under which id 'GET /api/explanations/ID' shows that. The header
never reaches a service.

It is good until its time is over, for the host and path that it is for, at every gateway
with the same admin.token.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  curl -H "Gopura-Debug: $(gopura debug-token)" https://shop.example.com/users/42 -i
  gopura debug-token --for 1h --host shop.example.com --path /users/`,
		Args: cobra.NoArgs,
	}
	a.flags(cmd)
	spanFlag(cmd, &life, "for", 10*time.Minute, "how long it is good, at most 1h")
	cmd.Flags().StringVar(&host, "host", "", "only for requests for this host")
	cmd.Flags().StringVar(&path, "path", "", "only for requests for this path and below")
	cmd.RunE = act(func(cmd *cobra.Command, _ []string) error {
		var token struct{ Value string }
		want := map[string]string{"for": life.String(), "host": host, "path": path}
		if err := a.send(http.MethodPost, "/api/debug-tokens", want, &token); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), token.Value)
		return nil
	})
	return cmd
}
