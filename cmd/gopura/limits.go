package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newLimits() *cobra.Command {
	a := new(adminClient)
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Look at the limits of a gateway that runs",
		Long: `Limits asks the admin API of a gateway that runs for the state of its limits: who
asks most, what is left under a key, and resets a key.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  gopura limits top
  gopura limits show per-client 203.0.113.7
  gopura limits reset "GET /orders limit" alice`,
	}
	a.flags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use: "top", Short: "List the limits and the keys that ask most", Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error { return a.top(cmd.OutOrStdout()) }),
	}, &cobra.Command{
		Use: "show NAME KEY", Short: "Show what is left under a key", Args: cobra.ExactArgs(2),
		RunE: act(func(cmd *cobra.Command, args []string) error { return a.key(cmd.OutOrStdout(), http.MethodGet, args) }),
	}, &cobra.Command{
		Use: "reset NAME KEY", Short: "Forget what a key has used", Args: cobra.ExactArgs(2),
		RunE: act(func(cmd *cobra.Command, args []string) error {
			return a.key(cmd.OutOrStdout(), http.MethodDelete, args)
		}),
	})
	return cmd
}

func (a *adminClient) top(w io.Writer) error {
	var list []struct {
		Name, Kind, Limit, Store string
		Keys                     int
		Top                      []struct {
			Key                         string
			Allowed, Refused, Remaining int64
		}
	}
	if err := a.ask(http.MethodGet, "/api/limits", &list); err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "no limits")
	}
	for i, l := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s, in %s, %d keys\n", l.Name, l.Limit, l.Store, l.Keys)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		if len(l.Top) > 0 {
			fmt.Fprintln(t, "refused\tallowed\tremaining\t  key")
		}
		for _, k := range l.Top {
			fmt.Fprintf(t, "%d\t%d\t%d\t  %q\n", k.Refused, k.Allowed, k.Remaining, k.Key)
		}
		t.Flush()
	}
	return nil
}

func (a *adminClient) key(w io.Writer, method string, args []string) error {
	var k struct {
		Known, Allowed   bool
		Limit, Remaining int64
		RetryAfter       float64 `json:"retry_after_seconds"`
		ResetAfter       float64 `json:"reset_after_seconds"`
	}
	if err := a.ask(method, "/api/limits/"+url.PathEscape(args[0])+"/"+url.PathEscape(args[1]), &k); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d of %d left", k.Remaining, k.Limit)
	if !k.Allowed {
		fmt.Fprintf(w, ", the next in %gs", k.RetryAfter)
	}
	if k.ResetAfter > 0 {
		fmt.Fprintf(w, ", all of it in %gs", k.ResetAfter)
	}
	fmt.Fprintln(w)
	return nil
}
