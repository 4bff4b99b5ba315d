package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gopura/gateway"
)

func newDiff() *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a new configuration does differently",
		Long: `Diff compares what two configurations do: routes, services, listeners and settings
that are added, removed or changed. Order, comments and where something stands don't
count. A protection that a route loses (identity, allow, limit, …) is an alarm.

The exit code is 1 when there is an alarm, else 0.`,
		Example: `  gopura diff /etc/gopura new/
  git show HEAD:gopura.yaml > /tmp/old.yaml && gopura diff /tmp/old.yaml gopura.yaml`,
		Args: cobra.ExactArgs(2),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print alarms only")
	cmd.RunE = act(func(cmd *cobra.Command, args []string) error {
		before, err := gateway.Check(loader(args[0]))
		if err != nil {
			return err
		}
		after, err := gateway.Check(loader(args[1]))
		if err != nil {
			return err
		}
		changes := gateway.Differences(before, after)
		if asJSON {
			if changes == nil {
				changes = []gateway.Change{}
			}
			if err := printJSON(cmd.OutOrStdout(), changes); err != nil {
				return err
			}
		} else {
			tellChanges(cmd.OutOrStdout(), changes, quiet)
		}
		for _, c := range changes {
			if len(c.Alarms) > 0 {
				return errReported
			}
		}
		return nil
	})
	return cmd
}

func tellChanges(w io.Writer, changes []gateway.Change, quiet bool) {
	alarms := 0
	for _, c := range changes {
		alarms += len(c.Alarms)
		if quiet && len(c.Alarms) == 0 {
			continue
		}
		mark := map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.Kind]
		fmt.Fprintf(w, "%s %s  (%s)\n", mark, c.What, c.Origin)
		for _, a := range c.Alarms {
			fmt.Fprintf(w, "    ! %s\n", a)
		}
		if quiet {
			continue
		}
		for _, d := range c.Details {
			switch {
			case d.Old == "":
				fmt.Fprintf(w, "    + %s: %s\n", d.Path, d.New)
			case d.New == "":
				fmt.Fprintf(w, "    - %s: %s\n", d.Path, d.Old)
			default:
				fmt.Fprintf(w, "    ~ %s: %s -> %s\n", d.Path, d.Old, d.New)
			}
		}
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(w, "no difference")
	case !quiet || alarms > 0:
		fmt.Fprintf(w, "%s, %s\n", count(len(changes), "change"), count(alarms, "alarm"))
	}
}
