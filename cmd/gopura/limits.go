package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// adminClient asks the admin API of a gateway that runs.
type adminClient struct{ address, token string }

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
	cmd.PersistentFlags().StringVar(&a.address, "admin", "127.0.0.1:9900", "the address of the admin listener")
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

// ask sends a request to the admin API and decodes the answer.
func (a *adminClient) ask(method, path string, into any) error {
	return a.askFor(10*time.Second, method, path, into)
}

// askFor is ask, for as long as the answer may take.
func (a *adminClient) askFor(long time.Duration, method, path string, into any) error {
	base := a.address
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	r, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Gopura-Admin", "1")
	if token := os.Getenv("GOPURA_ADMIN_TOKEN"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: long}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var p struct{ Detail string }
		json.Unmarshal(body, &p)
		return fmt.Errorf("the gateway answers %s: %s", resp.Status, p.Detail)
	}
	return json.Unmarshal(body, into)
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
