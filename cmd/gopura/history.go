package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gopura/gateway"
)

func newHistory() *cobra.Command {
	a := new(adminClient)
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history [GENERATION]",
		Short: "List the configurations that were in force",
		Long: `History asks the admin API of a gateway that runs which configurations have been in
force since it started, the latest first, or what one of them did differently from the
one before it.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  gopura history
  gopura history 4`,
		Args: cobra.MaximumNArgs(1),
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := generationOf(args)
		if err != nil {
			return err
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			if n > 0 {
				return a.difference(cmd.OutOrStdout(), n, asJSON)
			}
			return a.history(cmd.OutOrStdout(), asJSON)
		})(cmd, args)
	}
	return cmd
}

func generationOf(args []string) (uint64, error) {
	if len(args) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no number of a generation: see 'gopura history'", args[0])
	}
	return n, nil
}

func (a *adminClient) history(w io.Writer, asJSON bool) error {
	var h struct {
		InForce    uint64              `json:"in_force"`
		RolledBack *gateway.RolledBack `json:"rolled_back,omitempty"`
		Entries    []gateway.Entry     `json:"entries"`
	}
	if err := a.ask(http.MethodGet, "/api/history", &h); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, h)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  generation\tapplied\thash\troutes\tservices\tby\tchanges")
	for _, e := range h.Entries {
		mark, how := " ", e.How
		if e.Generation == h.InForce {
			mark = "*"
		}
		if e.RolledBackTo > 0 {
			how += fmt.Sprintf(" to %d", e.RolledBackTo)
		}
		changes := strconv.Itoa(e.Changes)
		if e.Alarms > 0 {
			changes += ", " + count(e.Alarms, "alarm")
		}
		fmt.Fprintf(t, "%s %d\t%s\t%s\t%d\t%d\t%s\t%s\n", mark, e.Generation, e.Applied.Local().Format(time.DateTime), e.Hash, e.Routes, e.Services, how, changes)
	}
	t.Flush()
	if b := h.RolledBack; b != nil {
		fmt.Fprintf(w, "rolled back from %d to %d (%s): until the files change, or a reload is asked for\n", b.From, b.To, b.Reason)
	}
	return nil
}

func (a *adminClient) difference(w io.Writer, n uint64, asJSON bool) error {
	var d struct {
		From    uint64           `json:"from"`
		To      uint64           `json:"to"`
		Changes []gateway.Change `json:"changes"`
	}
	if err := a.ask(http.MethodGet, fmt.Sprintf("/api/history/%d/diff", n), &d); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, d)
	}
	fmt.Fprintf(w, "from generation %d to %d\n", d.From, d.To)
	tellChanges(w, d.Changes, false)
	return nil
}

func newRollback() *cobra.Command {
	a := new(adminClient)
	cmd := &cobra.Command{
		Use:   "rollback [GENERATION]",
		Short: "Put an earlier configuration in force again",
		Long: `Rollback tells a gateway that runs to put an earlier configuration in force again, the
one before unless you name one (see 'gopura history'). Variables, secrets and
certificates are those of now.

The files stay as they are. What was put in force stays until their text changes, or
somebody asks for a reload (SIGHUP, POST /api/reload), or the gateway is started again:
mend the files.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  gopura rollback
  gopura rollback 3`,
		Args: cobra.MaximumNArgs(1),
	}
	a.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := generationOf(args)
		if err != nil {
			return err
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			var i struct {
				Generation uint64              `json:"generation"`
				RolledBack *gateway.RolledBack `json:"rolled_back"`
			}
			if err := a.send(http.MethodPost, "/api/rollback", map[string]uint64{"generation": n}, &i); err != nil {
				return err
			}
			if i.RolledBack == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "generation %d is in force, which is what the files say\n", i.Generation)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "generation %d is in force, with the content of %d, until the files change\n", i.Generation, i.RolledBack.To)
			return nil
		})(cmd, args)
	}
	return cmd
}
